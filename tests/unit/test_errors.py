"""The errors: one family, message and detail kept apart, whole after pickling."""

import copy
import pickle

import pytest

from flame_flwr import errors
from flame_flwr.cli.submit import SubmitError
from flame_flwr.errors import FlameError, NodeFailedError, PayloadError

EVERY = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", [*EVERY, SubmitError])
def test_one_base_catches_every_error_of_the_framework(cls):
    assert issubclass(cls, FlameError)
    assert cls.__doc__


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("ModelError", TypeError),
        ("ModelError", ValueError),
        ("NodeFailedError", RuntimeError),
        ("NodesMissingError", TimeoutError),
        ("NotConvergedError", RuntimeError),
        ("PayloadError", TypeError),
        ("ResultError", ValueError),
        ("StoreError", OSError),
        ("UnavailableError", NotImplementedError),
    ],
)
def test_python_programmers_catch_what_they_expect(name, builtin):
    assert issubclass(getattr(errors, name), builtin)


@pytest.mark.parametrize("cls", EVERY)
def test_an_errors_text_is_message_and_detail(cls):
    error = cls("what and mend", detail="/srv/secret")
    assert (error.message, error.detail) == ("what and mend", "/srv/secret")
    assert error.args == ("what and mend",)
    assert (str(error), str(cls("what"))) == ("what and mend [/srv/secret]", "what")


@pytest.mark.parametrize("cls", [*EVERY, SubmitError])
@pytest.mark.parametrize("detail", [None, "the path"])
@pytest.mark.parametrize("way", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_message_and_detail_survive_pickling_and_copying(cls, detail, way):
    error = way(cls("what", detail=detail))
    assert type(error) is cls
    assert error.message == "what"
    assert error.detail == detail
    assert str(error) == str(cls("what", detail=detail))
    assert error.args == ("what",)


def test_notes_survive_pickling():
    error = NodeFailedError("what")
    error.add_note("in node-1, round 2")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["in node-1, round 2"]


class OwnError(PayloadError):
    """Has another constructor, as a subclass of a user's may."""

    def __init__(self, kind):
        super().__init__(f"no {kind}", detail=kind * 2)
        self.kind = kind


def test_a_subclass_with_another_constructor_survives_pickling():
    error = pickle.loads(pickle.dumps(OwnError("x")))
    assert type(error) is OwnError
    assert (error.message, error.detail, error.kind) == ("no x", "xx", "x")


def test_the_detail_is_given_by_name_only():
    with pytest.raises(TypeError):
        FlameError("what", "the path")
