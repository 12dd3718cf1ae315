"""What looks at a user's exception never puts one of its own in its place."""

import linecache
import sys

import pytest
from node_messages import train

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import DataError
from flame_flwr.failure.failure import Failure
from flame_flwr.failure.hints import hint_analyzer, hint_relative
from flame_flwr.failure.tracebacks import place_of, user_traceback
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class NoTextError(TypeError):
    def __str__(self):
        raise RuntimeError("no text")


class OwnError(DataError):
    """Of the framework's, and without its constructor."""

    def __init__(self, *arguments):
        pass


class NoNotesError(TypeError):
    def add_note(self, note):
        raise OSError("no notes")


class OddNotesError(TypeError):
    __notes__ = 7


class OddLookError(TypeError):
    @property
    def __notes__(self):
        raise RuntimeError("no look")


class NoReprError(FileNotFoundError):
    @property
    def filename(self):
        raise RuntimeError("no file name")


def of_none():
    return None + 1


def too_deep():
    return too_deep()


def grouped():
    raise ExceptionGroup("several", [TypeError("NoneType"), NoTextError()])


def circular():
    error = TypeError("NoneType")
    error.__context__ = other = ValueError("other")
    other.__context__ = error
    raise error


def of_text():
    exec("def run(x):\n    return x + 1\nrun(None)", {})


def of_a_file_that_is_gone():
    exec(compile("def run(x):\n    return x + 1\nrun(None)", "/gone/away.py", "exec"), {})


def of_an_odd_loader():
    class Loader:
        def get_source(self, name):
            raise RuntimeError("no source")

    names = {"__loader__": Loader(), "__name__": "odd"}
    exec(compile("def run(x):\n    return x + 1\nrun(None)", "<odd>", "exec"), names)


def raising(kind):
    def fail():
        raise kind("NoneType of mine")

    fail.__name__ = kind.__name__
    return fail


KINDS = (NoTextError, NoNotesError, OddNotesError, OddLookError, NoReprError, OwnError)
FAILING = {
    of_none: TypeError,
    too_deep: RecursionError,
    grouped: ExceptionGroup,
    circular: TypeError,
    of_text: TypeError,
    of_a_file_that_is_gone: TypeError,
    of_an_odd_loader: TypeError,
    **{raising(kind): kind for kind in KINDS},
}
LIMITS = ("unset", None, 0, -1)


@pytest.fixture(params=LIMITS, ids=str)
def limit(request, monkeypatch):
    """Have a user's ``sys.tracebacklimit``; pytest itself reads tracebacks without."""
    with monkeypatch.context() as patch:
        if request.param != "unset":
            patch.setattr(sys, "tracebacklimit", request.param, raising=False)
        yield request.param


@pytest.fixture(params=FAILING, ids=lambda function: function.__name__)
def failing(request):
    return request.param


def caught(function):
    """Return the exception that a function raises."""
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def in_process(analysis=None, aggregation=None):
    class Analyzer(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return analysis() if analysis else 1

    class Aggregator(StarAggregator):
        def aggregation_method(self, analysis_results):
            return aggregation() if aggregation else 1

        def has_converged(self, result, last_result):
            return True

    StarModelTester([1, 2], Analyzer, Aggregator, "s3")


@pytest.mark.parametrize("role", ["analysis", "aggregation"])
def test_in_process_an_error_comes_as_itself(failing, role, limit):
    assert type(caught(lambda: in_process(**{role: failing}))) is FAILING[failing]


def test_over_messages_a_failure_names_the_error(failing, limit):
    class Analyzer(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return failing()

    with LocalGrid(NodePlan(Analyzer, data_type="s3"), [1]) as grid:
        failure = train(grid, 1)
    assert failure.type == FAILING[failing].__name__
    assert " in " in failure.place


def test_a_failure_is_described_shared_or_not(failing, limit, tmp_path):
    error = caught(failing)
    for share in (False, True):
        failure = Failure.of(error, share=share)
        assert failure.type == type(error).__name__
        arrived = Failure.from_json(failure.to_json())
        assert arrived.text == " ".join(failure.text.split("\n"))
        assert (arrived.type, arrived.place) == (failure.type, failure.place)
        assert arrived.traceback == failure.traceback[: len(arrived.traceback)]
    assert place_of(error.__traceback__)
    assert type(error).__name__ in user_traceback(error, __file__)
    RunFiles(tmp_path).write_failure(RunRecord(), {}, error)
    assert (tmp_path / "run.json").is_file()


def test_a_place_does_not_depend_on_tracebacklimit(limit):
    assert place_of(caught(of_none).__traceback__).endswith("in of_none")


def test_a_hint_does_not_depend_on_tracebacklimit(monkeypatch):
    class Analyzer(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return aggregator_results + 1

    class Aggregator(StarAggregator):
        def aggregation_method(self, analysis_results):
            return 1

        def has_converged(self, result, last_result):
            return True

    with monkeypatch.context() as patch:
        patch.setattr(sys, "tracebacklimit", 0, raising=False)
        error = caught(lambda: StarModelTester([1], Analyzer, Aggregator, "s3"))
    assert "aggregator_results is None in the first round" in error.__notes__[0]


def test_looking_for_a_hint_never_fails():
    hint_analyzer(TypeError("NoneType"), None, None, "s3", is_split=True)
    hint_relative(NoReprError("x"))
    linecache.clearcache()
