"""The conformance kit finds every mistake that is made here on purpose, and nothing in good code.

A check makes processes, so all of them are run at the beginning, several at a time, and those
of classes in forks: the other ones begin as for a user.
"""

import doctest
import importlib.util
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from forked_checks import forked_checks

from flame_flwr.clients import StarClient
from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.testing import ConformanceError, ConformanceWarning, check_analysis
from flame_flwr.testing.kit import check_path


def load(name):
    """Import a file of this folder, which is no package, as a module of its own."""
    spec = importlib.util.spec_from_file_location(
        f"kit_{name}", Path(__file__).with_name(f"{name}.py")
    )
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = load("analyses")
SPLITS = made.SPLITS
NO_SECOND_RUN = {"skip": ("repeats",)}
MANY = {"simple_analysis": False}

CHECKED = {
    "good": (
        made.Careful,
        made.Thorough,
        {
            **MANY,
            "analyzer_kwargs": {"seed": 3},
            "multiple_results": True,
            "output_type": ["str", "bytes", "pickle"],
        },
    ),
    "unsaved": (made.Unsaved, made.Total, NO_SECOND_RUN),
    "remembers": (made.Remembers, made.TakesTheFirst, {**MANY, **NO_SECOND_RUN}),
    "tells": (made.Tells, made.Listens, NO_SECOND_RUN),
    "set order": (made.SetOrder, made.KeepsLists, {}),
    "arrival": (made.Numbers, made.Arrival(made.Total), NO_SECOND_RUN),
    "careless": (made.Careless, made.Vague, {**MANY, **NO_SECOND_RUN, "output_type": "bytes"}),
    "lists": (made.Lists, made.Total, NO_SECOND_RUN),
    "reads, and skips others": (
        made.Reads,
        made.Total,
        {"skip": ("repeats", "process", "state", "order")},
    ),
    "reads, with a client": (made.Reads, made.Total, {"client": StarClient}),
    "moves": (made.Moves, made.Total, NO_SECOND_RUN),
    "dies": (made.Dies, made.Total, NO_SECOND_RUN),
    "hangs": (made.Hangs, made.Total, {**NO_SECOND_RUN, "seconds": 4.0}),
}

EXPECTED = {
    "unsaved": [("state", "Unsaved.analysis_method", "the attribute 'lock' of Unsaved")],
    "remembers": [
        ("process", "Remembers.analysis_method", "the module global `SEEN` of analyses.py"),
        ("order", "TakesTheFirst.aggregation_method", "is another one with the nodes in an"),
    ],
    "tells": [("process", "Listens.aggregation_method", "message failed: IndexError: list in")],
    "set order": [("repeats", "SetOrder.analysis_method", "$[0]: 'column ")],
    "arrival": [("arrival", "Arrival.aggregation_method", "depends on which node answers first")],
    "careless": [
        ("folder", "Vague.aggregation_method", "it reads codes.csv in "),
        ("folder", "Careless.evaluation_method", "! it writes 'scores.txt' relative to the workin"),
        ("folder", "Careless.analysis_method", "it reads 'settings.ini' relative to the working"),
        ("data", "Careless.analysis_method", "! it changes its data, before and after: data[0]: o"),
        ("converges", "Vague.has_converged", "an array (ndarray of shape (2,); aggregator, rou"),
        ("result", "Vague.final_method", "output_type 'bytes' needs bytes or an ndarray"),
    ],
    "lists": [
        ("process", "Lists.analysis_method", "returned in round 1 differs with a new process")
    ],
    "reads, and skips others": [("folder", "Reads.analysis_method", "it reads 'settings.ini' rel")],
    "reads, with a client": [("folder", "Reads.analysis_method", "it reads 'settings.ini' rela")],
    "moves": [
        ("folder", "Moves.analysis_method", "! it writes 'deep' relative to the working directory"),
    ],
    "dies": [("runs", "Dies.analysis_method", "its process ended with code 7 (node-0, round 1)")],
    "hangs": [("runs", "Hangs.analysis_method", "not come to its end after 4 s (node-0, round 1)")],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder in which the user works; its temporary folders are in another one."""
    folder, before, temporary = tmp_path_factory.mktemp("home"), os.getcwd(), tempfile.tempdir
    (folder / "settings.ini").write_text("quick")
    (folder / "codes.csv").write_text("code\n1\n")
    os.chdir(folder)
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
    yield folder
    os.chdir(before)
    tempfile.tempdir = temporary


@pytest.fixture(scope="module")
def found(home):
    """What every check gave, by its name; what it raised where it did."""

    def check(name):
        if name not in CHECKED:
            return OTHERS[name](home)
        analyzer, aggregator, arguments = CHECKED[name]
        if aggregator is made.Vague:
            arguments = {**arguments, "aggregator_kwargs": {"home": str(home)}}
        return check_analysis(analyzer, aggregator, SPLITS, raises=False, **arguments)

    with ThreadPoolExecutor(4) as pool:
        with forked_checks():
            done = dict(zip(CHECKED, pool.map(check, CHECKED), strict=True))
        return {**done, **dict(zip(OTHERS, pool.map(check, OTHERS), strict=True))}


# ---- other ways to ask for a check ----------------------------------------------------------


def local_classes(home):
    """Check classes that only this function has, whose analyzer returns what cannot travel."""
    factor = 2

    class Local(made.Numbers):
        def analysis_method(self, data, aggregator_results):
            return (made.number(data) * factor, object())

    try:
        return check_analysis(Local, made.Total, SPLITS, **NO_SECOND_RUN)
    except ConformanceError as error:
        return error


SCRIPT = """
import os
import threading
from pathlib import Path

from flame.star import StarAggregator, StarAnalyzer, StarModelTester
from helper import mean

threading.Thread(target=threading.Event().wait, daemon=True).start()
PLOTS = Path("plots")
PLOTS.mkdir(exist_ok=True)


class MyAnalyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        import helper

        helper.CALLS.append(self.id)
        self.made_by = os.getpid()
        return mean(data) + len(helper.CALLS)


class MyAggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        (PLOTS / "mean.txt").write_text("drawn")
        return mean(analysis_results)

    def has_converged(self, result, last_result):
        return True


if __name__ == "__main__":
    numbers = [int(n) for n in Path("numbers.txt").read_text().split()]
    tester = StarModelTester([numbers, [4, 5]], MyAnalyzer, MyAggregator, "s3")
    os.makedirs("results", exist_ok=True)
    print(round(tester.result, 2), file=open("results/mean.txt", "w"))
"""


def script(home):
    """Check a FLAME script that starts a thread, so that its processes cannot be forked."""
    folder = home / "script"
    folder.mkdir()
    (folder / "analysis.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("CALLS = []\ndef mean(n):\n    return sum(n) / len(n)\n")
    (folder / "numbers.txt").write_text("1 2 3")
    skip = ("repeats", "arrival", "order")
    return check_path(folder / "analysis.py", skip=skip)


def broken_script(home):
    path = home / "broken.py"
    path.write_text("import nothing_of_this_name\n")
    return check_path(path)


def dying_script(home):
    path = home / "dying.py"
    path.write_text("import os\nprint('so long', flush=True)\nos._exit(5)\n")
    return check_path(path)


def docstring(home):
    """Execute the example in the docstring of ``check_analysis``; its last line is the result."""
    [example] = doctest.DocTestFinder().find(check_analysis, "check_analysis")
    *before, last = (part.source for part in example.examples)
    space = {"__name__": "kit_docstring"}
    for source in before:
        exec(source, space)
    return eval(last, space)


OTHERS = {
    "docstring": docstring,
    "local classes": local_classes,
    "script": script,
    "broken script": broken_script,
    "dying script": dying_script,
}


def test_good_code_has_no_findings(found):
    assert found["good"] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_one_mistake_is_found_and_nothing_else(found, name):
    findings = found[name]
    assert [(f.check, f.location) for f in findings] == [(c, w) for c, w, _ in EXPECTED[name]]
    for finding, (_, _, seen) in zip(findings, EXPECTED[name], strict=True):
        assert seen.removeprefix("! ") in finding.seen
        assert finding.severity == ("warning" if seen.startswith("! ") else "error")
        assert len(finding.mend) > 20


def test_errors_are_raised_and_warnings_warned_of():
    with (
        forked_checks(),
        pytest.warns(ConformanceWarning, match=r"\[leaks, warning\] the analysis: a second run"),
        pytest.raises(ConformanceError, match=r"^1 finding\n  \[converges\] Both\."),
    ):
        check_analysis(made.Numbers, made.Both, SPLITS, **MANY, **NO_SECOND_RUN)
    with forked_checks(), pytest.warns(ConformanceWarning) as warned:
        [finding] = check_analysis(made.Numbers, made.Leaks, SPLITS, **NO_SECOND_RUN)
    assert warned[0].filename == __file__
    assert finding.severity == "warning"


def test_the_users_folder_is_as_it_was(home, found):
    assert found
    assert sorted(path.name for path in home.rglob("*")) == [
        "analysis.py",
        "broken.py",
        "codes.csv",
        "dying.py",
        "helper.py",
        "numbers.txt",
        "script",
        "settings.ini",
    ]


def test_no_folder_and_no_process_is_left(found):
    assert found
    assert os.listdir(tempfile.gettempdir()) == []
    links = [process / "cwd" for process in Path("/proc").glob("[0-9]*")]
    assert not [link for link in links if tempfile.gettempdir() in _target(link)]


def test_local_classes_are_checked(found):
    error = found["local classes"]
    assert isinstance(error, AssertionError)
    assert [finding.location for finding in error.findings] == ["Local.analysis_method"]
    assert "(at $[1]) cannot travel between nodes" in str(error)


def test_the_example_in_the_docstring_is_right(found):
    assert found["docstring"] == []


def test_a_tester_is_checked_on_its_splits(found):
    report = found["script"]
    assert report.about == {
        "analyzer": "MyAnalyzer",
        "server": "MyAggregator",
        "nodes": 2,
        "rounds": 1,
    }
    [finding] = report.findings
    assert finding.check == "process"
    assert "what node-1 returned in round 1 differs" in finding.seen
    assert (
        "($: 6.5 and 5.5). Changed while it ran: the module global `CALLS` of help" in finding.seen
    )


def test_a_failing_import_is_a_finding(found):
    [finding] = found["broken script"].findings
    assert finding.location == ""
    assert finding.seen == (
        "it cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name' at "
        "broken.py:1 in <module>"
    )


def test_an_import_that_ends_the_process_is_found(found, tmp_path, monkeypatch):
    [finding] = found["dying script"].findings
    assert finding.seen == "its import ended the process with code 5: so long"
    monkeypatch.setattr("flame_flwr.testing.check_process.GRACE", 0.5)
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(60)\n")
    [finding] = check_path(tmp_path / "hanging.py", seconds=0.5).findings
    assert finding.seen == "its import had not come to its end after 1 s"


def test_a_path_without_an_analysis_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no script and no app"):
        check_path(tmp_path / "analysis.py")
    with pytest.raises(FlameError, match="is no Flower app: its pyproject"):
        check_path(tmp_path)


def _target(link):
    try:
        return os.readlink(link)
    except OSError:
        return ""
