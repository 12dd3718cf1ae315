"""What a run in one process alone says of an analysis: no process is made here."""

import importlib
import re
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from flame_flwr.clients import StarClient
from flame_flwr.errors import ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.testing import CHECKS, ConformanceError, Finding
from flame_flwr.testing.global_state import changed, snapshot
from flame_flwr.testing.kit import check_analysis
from flame_flwr.testing.observer import At, Observer
from flame_flwr.testing.runs import run
from flame_flwr.testing.spec import CheckSpec, Settings
from flame_flwr.testing.subjects import ClassSource
from flame_flwr.testing.trace import Trace, Trouble
from flame_flwr.testing.verdicts import Verdicts

MANY = {"simple_analysis": False}


def findings_of(
    analysis=None,
    aggregation=None,
    converged=None,
    seconds=600,
    splits=(1, 2),
    score=None,
    **arguments,
):
    """Run an analysis of these three methods once, in this process, and judge it."""

    class Analyzer(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data if analysis is None else analysis(self, data, aggregator_results)

    if score is not None:
        Analyzer.evaluation_method = score

    class Aggregator(StarAggregator):
        def aggregation_method(self, analysis_results):
            return sum(analysis_results) if aggregation is None else aggregation(self)

        def has_converged(self, result, last_result):
            return self.num_iterations >= 1 if converged is None else converged(self)

    source = ClassSource(Analyzer, Aggregator, splits, arguments)
    spec = CheckSpec(source, [], max_rounds=5, seconds=seconds, tolerance=1e-6)
    subject = source.load(None)
    observer = Observer(lambda at: None, iterative=not subject.simple_analysis)
    observer.wrap(Analyzer, Aggregator)
    verdicts = Verdicts(subject, spec)
    verdicts.first_run(run(subject, spec, Settings((0, 1), (0, 1)), observer, None))
    return verdicts.findings


def fails(self, *args):
    raise LookupError("no column pasc")


def exits(self, *args):
    sys.exit(3)


def of_analyzer(check, seen, mend):
    return check, "Analyzer.analysis_method", seen, mend


def of_aggregator(check, seen, mend, method="aggregation_method"):
    return check, f"Aggregator.{method}", seen, mend


NEVER = of_aggregator(
    "converges",
    "it did not say True in 1000 rounds; a run fails then",
    "`or self.num_iterations >= 50`",
    "has_converged",
)
NONE = of_aggregator(
    "converges",
    "it returned None (aggregator, round 1)",
    "Return True or False in every case",
    "has_converged",
)
ARRAY = of_aggregator("converges", "(ndarray of shape (2,); aggr", "`bool((cha", "has_converged")
FOUND = {
    "nothing": ({},),
    "an exception": (
        {"analysis": fails},
        of_analyzer(
            "runs",
            "LookupError: no column pasc at test_verdicts.py:",
            "Mend it there; flame_flwr.star.StarModelTester runs the same in one process",
        ),
    ),
    "an exception that is explained": (
        {"analysis": lambda self, data, aggregator_results: aggregator_results["coef"]},
        of_analyzer(
            "runs",
            "TypeError: 'NoneType' object is not subscriptable at test_verdicts.py:",
            "aggregator_results is None in the first round, when there is no aggregate yet",
        ),
    ),
    "sys.exit": (
        {"aggregation": exits},
        of_aggregator("runs", "it called sys.exit (aggregator, round 1)", "Return a value, or rai"),
    ),
    "a result that cannot travel": (
        {"analysis": lambda *args: {"model": {"tree": object()}}},
        of_analyzer(
            "travels",
            "a value of type object at $.*.* (at $.model.tree) cannot travel between nodes",
            "flame_flwr.payload.register_type",
        ),
    ),
    "an aggregate that cannot travel": (
        {"aggregation": lambda self: [1, (2, threading.Thread)], **MANY},
        of_aggregator("travels", "(at $[1][1]) cannot travel between nodes (aggregator, rou", ""),
    ),
    "has_converged that forgets to return": (
        {"converged": lambda self: None, **MANY},
        NONE,
        NEVER,
    ),
    "has_converged that never says True, with a client": (
        {"converged": lambda self: False, "client": StarClient, **MANY},
        NEVER,
    ),
    "has_converged of an array": (
        {"converged": lambda self: np.array([True, True]), **MANY},
        ARRAY,
    ),
    "has_converged of None in a simple analysis": ({"converged": lambda self: None},),
    "a result that does not fit": (
        {"multiple_results": True},
        of_aggregator("result", "needs a list or tuple", "output_type"),
    ),
}


@pytest.mark.parametrize("client", [None, StarClient])
def test_slow_runs_end_beyond_max_rounds(client):
    def slow(self, *args):
        time.sleep(0.01)
        return 1

    slowly = {"analysis": slow, "seconds": 0.5, "simple_analysis": False, "client": client}
    [finding] = findings_of(**slowly, converged=lambda self: False)
    said = re.fullmatch(r"it did not say True in (\d+) rounds; max_rounds is 5", finding.seen)
    assert 5 <= int(said[1]) < 1000
    assert (finding.check, finding.severity) == ("converges", "warning")
    [finding] = findings_of(converged=lambda self: self.num_iterations >= 6, client=client, **MANY)
    assert finding.seen == "it said True only after 7 rounds; max_rounds is 5"
    assert finding.severity == "warning"
    slowly["seconds"] = 0.1
    assert findings_of(**slowly, converged=lambda self: self.num_iterations >= 4) == []


CASES = dict.fromkeys(FOUND, ())
# `make test` has what forgets to return, which never says True either.
CASES["has_converged that never says True, with a client"] = pytest.mark.exhaustive


@pytest.mark.parametrize("case", [pytest.param(name, marks=mark) for name, mark in CASES.items()])
def test_a_run_in_one_process_finds(case):
    arguments, *expected = FOUND[case]
    findings = findings_of(**arguments)
    assert [(f.check, f.location) for f in findings] == [entry[:2] for entry in expected]
    for finding, (_, _, seen, mend) in zip(findings, expected, strict=True):
        assert seen in finding.seen
        assert mend in finding.mend


def test_rows_are_found_in_results_and_metrics():
    def leaks(self, data, aggregator_results):
        self.flame.report_metrics({f"patient {i}": 0.5 for i in range(len(data))})
        return data

    def scores(self, data, result):
        return {f"patient {i}": 0.5 for i in range(len(data))}

    splits = ([0.5] * 90, [0.5] * 60)
    found = findings_of(leaks, aggregation=lambda self: 0, splits=splits, score=scores)
    assert [(f.check, f.method, f.severity) for f in found] == [
        ("rows", "analysis_method", "error"),
        ("rows", "report_metrics", "error"),
        ("rows", "evaluation_method", "error"),
    ]
    for finding in found:
        assert "row-level data: 90 rows, as many as the input (node-0, round 1; " in finding.seen


def judged(spec=None):
    source = ClassSource(*_classes(), [1, 2], {})
    return Verdicts(source.load(None), spec or CheckSpec(source, [], 5, 1.5, 1e-6))


def _classes():
    class Analyzer(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data

    class Aggregator(StarAggregator):
        def aggregation_method(self, analysis_results):
            return analysis_results

        def has_converged(self, result, last_result):
            return True

    return Analyzer, Aggregator


AT = At("Analyzer", "analysis_method", "node-1", 3)


def test_a_hung_run_says_where():
    verdicts = judged()
    verdicts.first_run(Trace(trouble=Trouble("hung", at=AT)))
    [finding] = verdicts.findings
    assert finding.location == "Analyzer.analysis_method"
    assert finding.seen == "it had not come to its end after 1.5 s (node-1, round 3)"
    assert "more time" in finding.mend


def test_an_unsaved_attribute_comes_with_the_mend():
    text = (
        "the attribute 'file' of Analyzer (TextIOWrapper) cannot be saved for the next round; "
        "make it anew in analysis_method [TypeError: cannot pickle '_io.TextIOWrapper' object]"
    )
    verdicts = judged()
    verdicts.compare(
        "process", Trace(), Trace(trouble=Trouble("unsaved", "ModelError", text, at=AT))
    )
    [finding] = verdicts.findings
    assert finding.check == "state"
    assert finding.seen.startswith("the attribute 'file' of Analyzer (TextIOWrapper) cannot be sav")
    assert finding.mend == "Make it anew in analysis_method"


def test_imports_that_make_folders_are_warned_of():
    verdicts = judged()
    verdicts.imported([])
    assert verdicts.findings == []
    verdicts.imported(["plots"])
    [finding] = verdicts.findings
    assert finding.check == "folder"
    assert finding.seen.startswith("its import makes 'plots' relative to the working directory")


def test_a_missing_file_is_reported_once():
    verdicts = judged()
    first = Trace(findings=[Finding("folder", *AT[:2], "it reads 'a.csv'", "mend")])
    verdicts.first_run(replace(first, converged=True))
    verdicts.compare(
        "process", first, Trace(trouble=Trouble("raised", "FileNotFoundError", "a.csv", at=AT))
    )
    assert [finding.check for finding in verdicts.findings] == ["folder"]


def test_a_check_that_is_left_out_reports_nothing():
    source = ClassSource(*_classes(), [1, 2], {})
    verdicts = judged(CheckSpec(source, [], 5, 1.5, 1e-6, frozenset({"runs"})))
    verdicts.first_run(Trace(trouble=Trouble("hung", at=AT)))
    assert verdicts.findings == []


def test_a_second_run_without_time_leaks_nothing():
    verdicts = judged(CheckSpec(ClassSource(*_classes(), [1, 2], {}), [], 5, 1.5, 1e-6))
    verdicts.leaks(Trace(changed=["x"]), Trace(trouble=Trouble("hung", at=AT)))
    assert verdicts.findings == []
    verdicts.leaks(Trace(changed=["x"]), Trace(trouble=Trouble("died", text="7")))
    (finding,) = verdicts.findings
    assert "in the same process ended the process with code 7" in finding.seen
    assert "from its checkpoint after the server's death loses" in finding.mend


def test_what_a_run_imports_first_has_not_changed(tmp_path, monkeypatch):
    (tmp_path / "late_helper.py").write_text("TABLE = [1]\n\nclass Kept:\n    many = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = set(sys.modules)
    before = snapshot(among=loaded)
    module = importlib.import_module("late_helper")
    try:
        assert changed(before, snapshot(among=loaded)) == []
        loaded, before = set(sys.modules), snapshot()
        module.TABLE.append(2)
        after = snapshot(among=loaded)
        assert changed(before, after) == ["the module global `TABLE` of late_helper.py"]
    finally:
        del sys.modules["late_helper"]


def test_an_unsaved_aggregator_is_warned_of():
    def locks(self):
        self.lock = threading.Lock()
        return 1

    (finding,) = findings_of(aggregation=locks)
    assert (finding.check, finding.severity) == ("state", "warning")
    assert finding.location == "Aggregator.aggregation_method"
    assert finding.seen.startswith("the attribute 'lock' of Aggregator (lock) cannot be saved (")
    assert "a run with `checkpoint` would fail" in finding.seen
    assert "Make it anew in aggregation_method" in finding.mend


def test_findings_are_an_assertion_error_that_lists_them():
    finding = Finding("data", "Analyzer", "analysis_method", "it changes its data", "Copy it")
    error = ConformanceError([finding])
    assert isinstance(error, AssertionError)
    assert error.findings == [finding]
    assert str(error) == (
        "1 finding\n  [data] Analyzer.analysis_method: it changes its data. Copy it."
    )
    assert str(replace(finding, class_name="", method="")).startswith("[data] the analysis: ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"skip": ["sate"]}, "skip: there is no check 'sate'; there are declared, runs"),
        ({"skip": "sate"}, "skip: there is no check 'sate'"),
        ({"max_rounds": 1}, "max_rounds must be at least 2"),
        ({"seconds": 0}, "seconds above 0"),
        ({"analyzer_kwargs": {"lock": threading.Lock()}}, "cannot be handed to the processes"),
    ],
)
def test_a_wrong_call_is_refused(arguments, text):
    with pytest.raises(ModelError, match=text):
        check_analysis(*_classes(), [1, 2], **arguments)


def test_a_check_within_a_check_is_refused(monkeypatch):
    monkeypatch.setenv("FLAME_FLWR_CHECKING", "1")
    with pytest.raises(ModelError, match="put the call into a test function, or under `if __name"):
        check_analysis(*_classes(), [1, 2])


def test_every_check_says_what_holds():
    assert len(CHECKS) == len(set(CHECKS.values())) == 15
