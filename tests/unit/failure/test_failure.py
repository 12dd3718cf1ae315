"""What a node says when it failed: the place in user code, no text unless it is shared."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import flame_flwr
from flame_flwr.errors import DataError, NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.node_notes import noting_node
from flame_flwr.failure.tracebacks import place_of

HERE = Path(__file__).name


def caught(function, *arguments):
    """Return the exception that a function raises."""
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def compiled(source, filename):
    """Run source as if it stood in that file and return its ``run``."""
    names = {}
    exec(compile(source, filename, "exec"), names)
    return names["run"]


def line_of(function, offset):
    return function.__code__.co_firstlineno + offset


def fails_itself():
    raise ValueError("text")


def fails_in_numpy():
    return np.linalg.inv(np.zeros((2, 2)))


def fails_in_the_standard_library():
    return json.loads("{")


def fails_deeper():
    return fails_itself()


@pytest.mark.parametrize(
    ("function", "place"),
    [
        (fails_itself, (fails_itself, 1)),
        (fails_in_numpy, (fails_in_numpy, 1)),
        (fails_in_the_standard_library, (fails_in_the_standard_library, 1)),
        (fails_deeper, (fails_itself, 1)),
    ],
)
def test_a_failures_place_is_the_innermost_user_code(function, place):
    where, offset = place
    error = caught(function)
    assert place_of(error.__traceback__) == f"{HERE}:{line_of(where, offset)} in {where.__name__}"


def test_the_frameworks_frames_do_not_count():
    def user():
        with noting_node("node-0", "round 1"):
            raise KeyError

    assert place_of(caught(user).__traceback__).endswith("in user")


def test_a_packages_compiled_code_is_not_user_code():
    def user():
        return pd.to_numeric(pd.Series(["text"]))

    assert place_of(caught(user).__traceback__).endswith("in user")


def test_without_user_code_the_innermost_frame_counts():
    reduced = compiled(
        "import json\ndef run():\n    return json.loads('{')",
        str(Path(flame_flwr.__file__).with_name("somewhere.py")),
    )
    error = caught(reduced)
    trace = error.__traceback__.tb_next  # without this file's frame
    assert place_of(trace).startswith("decoder.py:")


@pytest.mark.skipif("site-packages" in flame_flwr.__file__, reason="only beside a checkout")
@pytest.mark.parametrize("folder", ["flame_flwr", "clients", "strategies"])
def test_a_folder_named_alike_is_user_code(folder):
    beside = Path(flame_flwr.__file__).resolve().parent.with_name(f"{folder}_study")
    run = compiled("import json\ndef run():\n    return json.loads('{')", f"{beside}/analysis.py")
    trace = caught(run).__traceback__.tb_next
    assert place_of(trace) == "analysis.py:3 in run"


def test_there_is_no_place_without_a_traceback():
    assert place_of(None) == ""


def test_a_place_has_no_folder():
    assert "/" not in place_of(caught(fails_itself).__traceback__)


def test_an_errors_text_is_left_out_unless_shared():
    error = caught(fails_itself)
    kept, shared = Failure.of(error, share=False), Failure.of(error, share=True)
    assert (kept.type, kept.text, kept.traceback) == ("ValueError", "", "")
    assert shared.text == "text"
    assert "Traceback" in shared.traceback
    assert "fails_itself" in shared.traceback


def test_our_messages_travel_without_their_detail():
    error = DataError("the folder is empty", detail="/srv/secret")
    assert Failure.of(error, share=False).text == "the folder is empty"
    assert Failure.of(error, share=True).text == "the folder is empty [/srv/secret]"


def test_sys_exit_is_named_for_what_it_is():
    failure = Failure.of(SystemExit("secret"), share=False)
    assert failure.type == "SystemExit"
    assert failure.text == "user code called sys.exit; return a value or raise an error instead"
    assert "secret" not in str(failure)


@pytest.mark.parametrize(
    "failure",
    [
        Failure("ValueError"),
        Failure("ValueError", "a.py:3 in f", "täxt", "Traceback\n  …"),
        Failure("", "", "", ""),
    ],
)
def test_a_failure_survives_its_way(failure):
    assert Failure.from_json(failure.to_json()) == failure


def test_a_failure_that_arrives_is_text():
    said = Failure("E\x1b[2J", "a.py:3\nin f", " two\r\n  lines\x00", "T\n  \x9bline\n")
    assert Failure.from_json(said.to_json()) == Failure(
        "E?[2J", "a.py:3 in f", "two lines?", "T\n  ?line\n"
    )
    long = Failure.from_json(Failure(*["x" * 10**6] * 4).to_json())
    assert sum(map(len, (long.type, long.place, long.text, long.traceback))) < 30_000


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure("ValueError"), "ValueError"),
        (Failure("ValueError", "a.py:3 in f"), "ValueError at a.py:3 in f"),
        (Failure("timeout", text="no answer"), "timeout: no answer"),
        (Failure("E", "a.py:3 in f", "why", "Traceback"), "E at a.py:3 in f: why"),
    ],
)
def test_a_failure_is_one_line(failure, text):
    assert str(failure) == text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"[1, 2]",
        b'"text"',
        b"3",
        None,
        3.5,
        "text",
        [1, 2],
        10**12,
        -1,
        b"[" * 200_000,
    ],
    ids=lambda data: repr(data)[:12],
)
def test_what_is_no_failure_is_unreadable(data):
    failure = Failure.from_json(data)
    assert failure.type == "unreadable"
    assert "the node answered with an unreadable failure" in failure.text


def test_a_number_for_a_failure_allocates_nothing():
    tracemalloc.start()
    try:
        Failure.from_json(2 * 10**8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_fields_of_wrong_types_become_text():
    failure = Failure.from_json(b'{"type": 3, "place": null, "text": ["a"], "more": 1}')
    assert failure == Failure("3", "None", "['a']", "")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("one line", "one line"),
        ("Traceback\n  File\nValueError: last \n\n", "ValueError: last"),
        ("", "no reason given"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_flowers_reason_is_cut_to_its_last_line(reason, text):
    assert Failure.of_flower("crash", reason) == Failure("crash", text=text)


def test_where_adds_node_and_round():
    error = caught(in_where, ValueError("mine"))
    assert type(error) is ValueError
    assert error.args == ("mine",)
    assert error.__notes__ == ["in node-3, round 2"]


@pytest.mark.parametrize("code", [None, 0, 1, "bye"])
def test_where_turns_sys_exit_into_an_error(code):
    error = caught(in_where, SystemExit(code))
    assert type(error) is NodeFailedError
    assert str(error) == (
        f"node-3, round 2: user code called sys.exit at {HERE}:{line_of(in_where, 2)} in in_where; "
        "return a value or raise an error instead"
    )


def test_where_lets_ctrl_c_through():
    assert type(caught(in_where, KeyboardInterrupt())) is KeyboardInterrupt


def in_where(error):
    with noting_node("node-3", "round 2"):
        raise error
