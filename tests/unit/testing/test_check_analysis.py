"""The conformance kit finds every mistake that is made here on purpose, and nothing in good code.

A check makes processes, so all of them are run at the beginning, several at a time.
"""

import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy
from flame_flwr.testing import ConformanceError, check_analysis
from flame_flwr.testing.kit import check_path

SPLITS = [[{"x.csv": b"a\n1\n"}], [{"x.csv": b"a\n5\n"}], [{"x.csv": b"a\n2\n"}]]


def number(data):
    return int(data[0]["x.csv"].split()[1])


class Numbers(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return number(data)


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


# ---- good -----------------------------------------------------------------------------------


class Careful(StarAnalyzer):
    """Keeps everything on itself, seeds, copies, and prints."""

    def __init__(self, flame, seed):
        super().__init__(flame)
        self.random = np.random.default_rng(seed)
        self.history = []

    def analysis_method(self, data, aggregator_results):
        print("a print is fine")
        self.history.append(float(self.random.normal()))
        self.flame.save_intermediate_data(len(self.history), "local", tag="rounds")
        files = dict(data[0])
        files["more"] = b""
        return {
            "id": self.id,
            "value": number(data),
            "names": sorted({"one", "two", "three"}),
            "history": np.array(self.history),
            "kept": self.flame.get_intermediate_data("local", tag="rounds"),
        }

    def evaluation_method(self, data, result):
        return {"missing": result["total"] - number(data)}


class Thorough(StarAggregator):
    """Its results hold one entry per node in several forms, which is no dependence on order."""

    def aggregation_method(self, analysis_results):
        Path("plots").mkdir(exist_ok=True)
        Path("plots", "figure.txt").write_text("drawn")
        return {
            "total": sum(result["value"] for result in analysis_results),
            "by node": {result["id"]: result["history"] for result in analysis_results},
            "listed": [result["value"] for result in analysis_results],
            "array": np.array([result["value"] for result in analysis_results]),
            "text": "\n".join(f"{r['id']}: {r['value']}" for r in analysis_results),
            "mean": np.mean([result["history"] for result in analysis_results], axis=0),
        }

    def has_converged(self, result, last_result):
        return np.bool_(self.num_iterations >= 2)

    def final_method(self, result, evaluations):
        return [Path("plots", "figure.txt").read_text(), result["text"].encode(), evaluations]


# ---- mistakes -------------------------------------------------------------------------------

SEEN = []


class Unsaved(Numbers):
    def analysis_method(self, data, aggregator_results):
        self.lock = threading.Lock()
        return 1


class Remembers(StarAnalyzer):
    history = []  # noqa: RUF012  (the mistake)

    def analysis_method(self, data, aggregator_results):
        SEEN.append(number(data))
        self.history.append(1)
        return len(self.history) + sum(SEEN)


class Tells(Numbers):
    """Tells the aggregator something by a global."""

    def analysis_method(self, data, aggregator_results):
        SEEN.append(1)
        return 1


class Listens(Total):
    def aggregation_method(self, analysis_results):
        return SEEN[0]


class SetOrder(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return list({f"column {i}" for i in range(20)})


class KeepsLists(Total):
    def aggregation_method(self, analysis_results):
        return analysis_results


class TakesTheFirst(Total):
    def aggregation_method(self, analysis_results):
        return analysis_results[0] * 10 + sum(analysis_results)


class FirstCome:
    """An aggregation for which the first answer is the base of the others."""

    def begin(self, number):
        self.base, self.total = None, 0

    def add(self, node, value):
        self.base = value if self.base is None else self.base
        self.total += value - self.base

    def finish(self):
        from flame_flwr.aggregation import Finished

        return Finished(self.total, True, "one round")

    def final(self, aggregate, evaluations):
        return aggregate


class Arrival(StarStrategy):
    def make_aggregation(self, flame, nodes, simple_analysis):
        return FirstCome()


class Careless(StarAnalyzer):
    """Changes its data and reads, writes and lists files where it happens to be."""

    def analysis_method(self, data, aggregator_results):
        data[0]["parsed"] = number(data)
        return Path("settings.ini").read_text()

    def evaluation_method(self, data, result):
        with open("scores.txt", "w") as file:
            file.write("1")
        return {"files": len(os.listdir("."))}


class Vague(StarAggregator):
    """Has an array for an answer, reads a path of this machine, and a result that does not fit."""

    def __init__(self, flame, home):
        super().__init__(flame)
        self.home = Path(home)

    def aggregation_method(self, analysis_results):
        (self.home / "codes.csv").read_text()
        return np.array([1.0, 2.0])

    def has_converged(self, result, last_result):
        return result == last_result

    def final_method(self, result, evaluations):
        return "text"


class WritesHome(Vague):
    def aggregation_method(self, analysis_results):
        (self.home / "made.txt").write_text("drawn")
        return 1


class Dies(Numbers):
    def analysis_method(self, data, aggregator_results):
        os._exit(7)


class Hangs(Numbers):
    def analysis_method(self, data, aggregator_results):
        while True:
            time.sleep(0.01)


NO_SECOND_RUN = {"skip": ("repeats",)}
MANY = {"simple_analysis": False}

CHECKED = {
    "good": (
        Careful,
        Thorough,
        {
            **MANY,
            "analyzer_kwargs": {"seed": 3},
            "multiple_results": True,
            "output_type": ["str", "bytes", "pickle"],
        },
    ),
    "unsaved": (Unsaved, Total, NO_SECOND_RUN),
    "remembers": (Remembers, TakesTheFirst, {**MANY, **NO_SECOND_RUN}),
    "tells": (Tells, Listens, NO_SECOND_RUN),
    "set order": (SetOrder, KeepsLists, {}),
    "arrival": (Numbers, Arrival(Total), NO_SECOND_RUN),
    "careless": (Careless, Vague, {**MANY, **NO_SECOND_RUN, "output_type": "bytes"}),
    "writes home": (Numbers, WritesHome, NO_SECOND_RUN),
    "dies": (Dies, Total, NO_SECOND_RUN),
    "hangs": (Hangs, Total, {**NO_SECOND_RUN, "seconds": 2.0}),
}

EXPECTED = {
    "unsaved": [("state", "Unsaved.analysis_method", "the attribute 'lock' of Unsaved")],
    "remembers": [
        ("process", "Remembers.analysis_method", "the module global `SEEN` of test_check_an"),
        ("order", "TakesTheFirst.aggregation_method", "with the nodes in another order"),
    ],
    "tells": [("process", "Listens.aggregation_method", "it failed: IndexError: list index out")],
    "set order": [("repeats", "SetOrder.analysis_method", "$[0]: 'column ")],
    "arrival": [("arrival", "Arrival.aggregation_method", "depends on which node answers first")],
    "careless": [
        ("folder", "Careless.analysis_method", "it reads 'settings.ini' relative to the working"),
        ("folder", "Vague.aggregation_method", "it reads codes.csv in "),
        ("folder", "Careless.evaluation_method", "it writes 'scores.txt' relative to the worki"),
        ("data", "Careless.analysis_method", "data[0]: only one of them has 'parsed'"),
        ("converges", "Vague.has_converged", "an array (ndarray of shape (2,); aggregator, rou"),
        ("result", "Vague.final_method", "output_type 'bytes' needs bytes or an ndarray"),
    ],
    "writes home": [("folder", "WritesHome.aggregation_method", "it writes made.txt into ")],
    "dies": [("runs", "Dies.analysis_method", "its process ended with code 7 (node-0, round 1)")],
    "hangs": [("runs", "Hangs.analysis_method", "not come to its end after 2 s (node-0, round 1)")],
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
        if aggregator in (Vague, WritesHome):
            arguments = {**arguments, "aggregator_kwargs": {"home": str(home)}}
        return check_analysis(analyzer, aggregator, SPLITS, raises=False, **arguments)

    names = [*CHECKED, *OTHERS]
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(check, names), strict=True))


# ---- other ways to ask for a check ----------------------------------------------------------


def local_classes(home):
    """Check classes that only this function has, whose analyzer returns what cannot travel."""
    factor = 2

    class Local(Numbers):
        def analysis_method(self, data, aggregator_results):
            return (number(data) * factor, object())

    try:
        return check_analysis(Local, Total, SPLITS, **NO_SECOND_RUN)
    except ConformanceError as error:
        return error


SCRIPT = """
import os
import threading
from pathlib import Path

from flame.star import StarAggregator, StarAnalyzer, StarModelTester
from helper import mean

threading.Thread(target=threading.Event().wait, daemon=True).start()


class MyAnalyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        import helper

        helper.CALLS.append(self.id)
        self.made_by = os.getpid()
        return mean(data) + len(helper.CALLS)


class MyAggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
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


OTHERS = {"local classes": local_classes, "script": script, "broken script": broken_script}


def test_good_code_has_no_findings(found):
    assert found["good"] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_a_mistake_is_found_named_and_nothing_else_is(found, name):
    findings = found[name]
    assert [(f.check, f.where) for f in findings] == [(c, w) for c, w, _ in EXPECTED[name]]
    for finding, (_, _, seen) in zip(findings, EXPECTED[name], strict=True):
        assert seen in finding.seen
        assert len(finding.mend) > 20


def test_the_users_folder_is_as_it_was(home, found):
    assert found
    assert sorted(path.name for path in home.rglob("*")) == [
        "analysis.py",
        "broken.py",
        "codes.csv",
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


def test_classes_of_a_function_are_checked_and_findings_are_raised(found):
    error = found["local classes"]
    assert isinstance(error, AssertionError)
    assert [finding.where for finding in error.findings] == ["Local.analysis_method"]
    assert "(at $[1]) cannot travel between nodes" in str(error)


def test_a_script_with_a_tester_is_checked_on_its_own_splits(found):
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


def test_a_script_that_cannot_be_imported_is_a_finding(found):
    [finding] = found["broken script"].findings
    assert finding.where == ""
    assert finding.seen == (
        "it cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name' at "
        "broken.py:1 in <module>"
    )


def test_a_path_without_a_script_or_an_app_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no script and no app"):
        check_path(tmp_path / "analysis.py")
    with pytest.raises(FlameError, match="is no Flower app: its pyproject"):
        check_path(tmp_path)


def _target(link):
    try:
        return os.readlink(link)
    except OSError:
        return ""
