"""``StarModelTester``: files, results, history, what it prints, what it refuses."""

import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from flame_flwr.errors import ConfigError, ModelError, NotConvergedError, ResultError, StoreError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1


def run(splits, **kwargs):
    return StarModelTester(splits, Analyzer, Aggregator, kwargs.pop("data_type", "s3"), **kwargs)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("spelling", ["result_filepath", "filename"])
def test_result_files_are_relative_to_the_working_directory(here, spelling):
    run([1, 2], **{spelling: "results/model.txt"})
    assert (here / "results" / "model.txt").read_text() == "[1, 2]"


def test_both_spellings_at_once_are_refused():
    with pytest.raises(ModelError, match="are one thing: give one of them"):
        run([1], filename="a", result_filepath="a")


def test_without_a_file_nothing_is_written(here):
    assert run([1, 2]).result == [1, 2]
    assert list(here.iterdir()) == []


class NeverRuns(Analyzer):
    def analysis_method(self, data, aggregator_results):
        raise AssertionError("the analysis was run")


@pytest.mark.parametrize("spelling", ["result_filepath", "filename"])
@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        ("out", ModelError, "'out' is a folder: name the file in it, such as 'out/result.txt'"),
        ("new/", ModelError, "'new/' is a folder: name the file in it, such as 'new/result.txt'"),
        (["a.txt", "out"], ModelError, "'out' is a folder: name the file in it"),
        ("pipe", ModelError, "'pipe' is there and is no file: name another one"),
        ("a-file/r.txt", StoreError, "'a-file/r.txt' cannot be written to (File exists): name a f"),
        ("a-file/x/r.txt", StoreError, "'a-file/x/r.txt' cannot be written to (File exists): nam"),
        ("/proc/x/r.txt", StoreError, "'/proc/x/r.txt' cannot be written to ("),
        (["a.txt", "a-file/b"], StoreError, "'a-file/b' cannot be written to (File exists)"),
    ],
)
def test_an_impossible_result_file_is_refused_first(here, names, kind, message, spelling):
    (here / "out").mkdir()
    (here / "a-file").write_text("mine")
    os.mkfifo(here / "pipe")
    where = {spelling: names, "multiple_results": isinstance(names, list)}
    with pytest.raises(kind) as caught:
        StarModelTester([1], NeverRuns, Aggregator, "s3", **where)
    assert str(caught.value).startswith(f"{spelling} {message}")
    assert sorted(path.name for path in here.iterdir()) == ["a-file", "out", "pipe"]
    assert list((here / "out").iterdir()) == []


def test_a_home_folder_is_written_with_its_sign(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    run([1, 2], result_filepath="~/a.txt")
    assert (here / "home" / "a.txt").exists()
    assert not (here / "~").exists()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"output_type": "bytes"}, "bytes"),
        (
            {"multiple_results": True, "output_type": ["str"]},
            "the result has 2 elements, output_type 1: ",
        ),
    ],
)
def test_a_misfit_is_saved_without_a_filename(here, temporary, declared, message):
    with pytest.raises(ResultError, match=message):
        StarModelTester([1, 2], Analyzer, Aggregator, "s3", **declared)
    [saved] = temporary.glob("flame-flwr-rescue-*/rescue.pkl")
    assert pickle.loads(saved.read_bytes()) == [1, 2]


def test_lines_for_debugging_are_shown(here, capsys, monkeypatch):
    class Says(Analyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.flame_log("a detail", log_type="debug")
            return data

    StarModelTester([1], Says, Aggregator, "s3", quiet=False)
    assert "DEBUG: [node-0, round 1] a detail" in capsys.readouterr().out


def test_a_full_disk_is_found_before_the_run(here, disk_full_after):
    with disk_full_after(1000), pytest.raises(StoreError) as caught:
        StarModelTester([1], NeverRuns, Aggregator, "s3", result_filepath="new/result.txt")
    assert str(caught.value) == (
        "result_filepath 'new/result.txt' cannot be written to (File too large): files of this "
        "size are not allowed here: name another folder"
    )
    assert list(here.iterdir()) == []


@pytest.fixture
def temporary(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


class Blocks(Aggregator):
    """Its run puts a file where the folder of the result is to be made."""

    def aggregation_method(self, analysis_results):
        if not os.path.exists("out"):
            open("out", "w").close()
        return analysis_results


def test_an_unwritable_result_is_saved_elsewhere(here, temporary):
    with pytest.raises(StoreError) as caught:
        StarModelTester([1, 2], Analyzer, Blocks, "s3", filename="out/a.txt")
    [saved] = temporary.glob("flame-flwr-rescue-*/rescue.pkl")
    assert str(caught.value) == (
        f"the result could not be written to {here / 'out'} (File exists): name a folder that "
        f"this user can write to; the result is saved whole in {saved}"
    )
    assert pickle.loads(saved.read_bytes()) == [1, 2]


def test_one_unwritable_file_saves_all_results_elsewhere(here, temporary):
    with pytest.raises(StoreError, match="the result is saved whole in"):
        StarModelTester(
            [1, 2], Analyzer, Blocks, "s3", multiple_results=True, filename=["a.txt", "out/b.txt"]
        )
    [saved] = temporary.glob("*/rescue.pkl")
    assert pickle.loads(saved.read_bytes()) == [1, 2]
    assert (here / "a.txt").read_text() == "1"


def test_a_result_saved_nowhere_is_reported_lost(here, temporary):
    class Nowhere(Blocks):
        def aggregation_method(self, analysis_results):
            temporary.rmdir()
            return super().aggregation_method(analysis_results)

    with pytest.raises(StoreError, match="the result could not be saved elsewhere either"):
        StarModelTester([1, 2], Analyzer, Nowhere, "s3", filename="out/a.txt")


def test_an_unwritable_rescue_file_is_saved_elsewhere(temporary, caplog):
    class Fails(Blocks):
        def final_method(self, result, evaluations):
            raise KeyError("plot")

    with pytest.raises(KeyError, match="plot"):
        StarModelTester([1, 2], Analyzer, Fails, "s3", filename="out/a.txt")
    [saved] = temporary.glob("*/rescue.pkl")
    assert pickle.loads(saved.read_bytes()) == [1, 2]
    assert f"the last aggregate was saved in {saved}" in caplog.text


def test_a_failed_rescue_does_not_hide_the_error(temporary, caplog):
    class Fails(Blocks):
        def final_method(self, result, evaluations):
            temporary.rmdir()
            raise KeyError("plot")

    with pytest.raises(KeyError, match="plot"):
        StarModelTester([1, 2], Analyzer, Fails, "s3", filename="out/a.txt")
    assert "the last aggregate could not be saved" in caplog.text


def test_files_go_where_the_run_began(here):
    (here / "elsewhere").mkdir()

    class Moves(Aggregator):
        def aggregation_method(self, analysis_results):
            os.chdir("elsewhere")
            return 1

    StarModelTester([1], Analyzer, Moves, "s3", filename="out/a.txt")
    assert (here / "out" / "a.txt").read_text() == "1"
    assert list((here / "elsewhere").iterdir()) == []


def test_many_results_of_mixed_types(here):
    run(
        ["text", np.arange(3), {"a": 1}],
        multiple_results=True,
        output_type=["str", "bytes", "pickle"],
        filename=["a.txt", "deep/b.bin", here / "c.pkl"],
    )
    assert (here / "a.txt").read_text() == "text"
    assert (here / "deep" / "b.bin").read_bytes() == np.arange(3).tobytes()
    assert pickle.loads((here / "c.pkl").read_bytes()) == {"a": 1}


def test_a_misfit_is_rescued_beside_the_files(here):
    with pytest.raises(ResultError, match="2 elements, output_type 2 and filename 3") as caught:
        run([1, 2], multiple_results=True, filename=["out/a", "out/b", "out/c"])
    assert pickle.loads((here / "out" / "rescue.pkl").read_bytes()) == [1, 2]
    assert "rescue.pkl" in str(caught.value)
    assert len((here / "out" / "history.csv").read_text().splitlines()) == 3
    assert json.loads((here / "out" / "run.json").read_text())["error"].startswith("ResultError")


def test_never_converging_rescues_the_aggregate(here):
    class Never(Aggregator):
        def has_converged(self, result, last_result):
            return False

    with pytest.raises(NotConvergedError, match=r"not converged after 5 rounds \(max_rounds\)"):
        StarModelTester(
            [1, 2], Analyzer, Never, "s3", simple_analysis=False, filename="a", max_rounds=5
        )
    assert pickle.loads((here / "rescue.pkl").read_bytes()) == [1, 2]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (0, "max_rounds must be at least 1, not 0"),
        (-3, "max_rounds must be at least 1, not -3"),
        (True, "max_rounds must be int, not bool"),
        ("5", "max_rounds must be int, not str"),
        (5.0, "max_rounds must be int, not float"),
    ],
)
def test_an_impossible_max_rounds_is_refused(limit, message):
    with pytest.raises(ConfigError) as caught:
        run([1], max_rounds=limit)
    assert str(caught.value) == message


def test_history_has_seconds_and_bytes_per_node():
    tester = run([np.zeros(10_000), 3], simple_analysis=False)
    assert (tester.rounds, tester.converged) == (2, True)
    first, last = tester.record.history
    assert list(first.node_seconds) == list(first.node_bytes) == ["node-0", "node-1"]
    assert 80_000 < first.node_bytes["node-0"] < 80_300
    assert first.node_bytes["node-1"] < 40
    assert 0 < sum(first.node_seconds.values()) <= first.seconds
    assert first.aggregate == "list of 2"
    assert (first.converged, first.reason) == (False, "")
    assert (last.converged, last.reason) == (True, "has_converged returned True")


def test_aggregate_and_evaluations_are_attributes_too():
    class Scores(Analyzer):
        def evaluation_method(self, data, result):
            return {"n": len(result)}

    class Finishes(Aggregator):
        def final_method(self, result, evaluations):
            return "file"

    tester = StarModelTester([1, 2], Scores, Finishes, "s3")
    assert tester.result == "file"
    assert tester.aggregate == [1, 2]
    assert tester.evaluations == {"node-0": {"n": 2}, "node-1": {"n": 2}}


@pytest.mark.parametrize("data_type", ["s3", "fhir", "none"])
def test_any_split_reaches_the_analyzer_untouched(data_type):
    marker = object()
    seen = []

    class Looks(Analyzer):
        def analysis_method(self, data, aggregator_results):
            seen.append(data)
            return 1

    StarModelTester([marker], Looks, Aggregator, data_type, query="Patient?_count=100")
    assert seen == [None if data_type == "none" else marker]


def test_an_unusual_split_is_warned_of_once(caplog, monkeypatch):
    monkeypatch.setattr("flame_flwr.analysis.splits._WARNED_OF", set())
    with caplog.at_level(logging.WARNING, logger="flame_flwr"):
        run([[{"a": b""}], [1, 2], 3])
        run([[{"a": b""}], [1, 2]])
    [record] = caplog.records
    assert record.getMessage().startswith("data_splits[1] is of type list. That works here")
    run([4])
    assert "data_splits[0] is of type int" in caplog.text


@pytest.mark.parametrize("splits", [3, None, "ab", b"ab", {"a": 1}, {1, 2}, []])
def test_data_splits_that_are_no_list_are_refused(splits):
    said = "data_splits is empty" if splits == [] else "must be a list with one entry per node"
    with pytest.raises(ModelError, match=said):
        run(splits)


def test_node_roles_may_say_what_is_so():
    assert run([1, 2], node_roles=["default", "default"]).result == [1, 2]
    assert run([1], node_roles=["default", "aggregator"]).result == [1]
    with pytest.raises(ModelError, match="node_roles must be 'default' for every one of the 2"):
        run([1, 2], node_roles=["default", "proxy"])


def test_a_private_result_has_its_budget_beside_it(here):
    pytest.importorskip("opendp")

    class Counts(Aggregator):
        def aggregation_method(self, analysis_results):
            return sum(analysis_results)

    budget = {"epsilon": 2.0, "sensitivity": 1.0}
    tester = StarModelTester([1, 2], Analyzer, Counts, "s3", filename="out/n.txt", **budget)
    about = json.loads((here / "out" / "run.json").read_text())
    assert about["privacy"] == tester.privacy
    assert budget.items() <= tester.privacy.items()
    [file] = about["files"]
    content = (here / "out" / "n.txt").read_bytes()
    assert (file["name"], file["sha256"]) == ("n.txt", hashlib.sha256(content).hexdigest())
    assert (about["status"], about["run_id"], about["rounds"]) == ("completed", None, 1)
    with pytest.raises(ModelError, match=r"'run\.json' is where the privacy budget goes"):
        StarModelTester([1, 2], Analyzer, Counts, "s3", filename="x/run.json", **budget)
    assert run([1], filename="plain/n.txt").privacy is None
    assert sorted(path.name for path in (here / "plain").iterdir()) == [
        "history.csv",
        "n.txt",
        "run.json",
    ]


@pytest.mark.parametrize(
    "setup",
    [
        "",
        "import logging; logging.basicConfig(level='WARNING', stream=sys.stdout)",
        "import logging; logging.getLogger('flame_flwr').setLevel('ERROR')",
    ],
)
def test_quiet_false_prints_once_whatever_logging_does(here, setup):
    code = f"""
import sys
{setup}
from flame_flwr.star import *
class A(StarAnalyzer):
    def analysis_method(self, data, r): return 1
class G(StarAggregator):
    def aggregation_method(self, rs): return 4321
    def has_converged(self, result, last): return True
for quiet in (False, True, False):
    StarModelTester([[dict(a=1)]], A, G, "s3", quiet=quiet)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("Final result: 4321") == 2


def test_what_it_prints_outside_pytest(tmp_path):
    code = """
from flame_flwr.star import *
class A(StarAnalyzer):
    def analysis_method(self, data, r):
        self.flame.flame_log(f"sum {sum(data[0].values())}")
        return 1
class G(StarAggregator):
    def aggregation_method(self, rs): return len(rs)
    def has_converged(self, result, last): return True
StarModelTester([[{"a": 1}], [{"a": 2}]], A, G, "s3")
StarModelTester([[{"a": 1}]], A, G, "s3", filename="out.txt")
StarModelTester([[{"a": 1}]], A, G, "s3", quiet=True)
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "2 nodes take part: node-0, node-1",
        "--- Round 1 ---",
        "[node-0, round 1] sum 1",
        "[node-1, round 1] sum 2",
    ]
    assert lines[4].startswith("round 1: 2 of 2 nodes, ")
    assert lines[4].endswith(": a simple analysis has one round")
    assert lines[5] == "Final result: 2"
    assert lines[6] == "1 node takes part: node-0"
    assert lines[-1] == f"Final result written to {tmp_path / 'out.txt'}"
    assert lines.count("--- Round 1 ---") == 2


def test_payload_and_client_work_in_process():
    from flame_flwr.clients import StarClient

    class Twice(StarClient):
        def fit(self, parameters, config):
            arrays, examples, metrics = super().fit(parameters, config)
            return arrays, 2 * examples, metrics

    class Odd:
        """Travels as a pickle only."""

    globals()["Odd"] = Odd
    Odd.__qualname__ = "Odd"
    assert run([1, 2], client=Twice).result == [1, 2]
    [value] = run([Odd()], payload="pickle").result
    assert type(value) is Odd


def test_a_table_as_splits_is_refused(tmp_path):
    import pandas as pd

    from flame_flwr.analysis.splits import check_splits
    from flame_flwr.data import read_folder
    from flame_flwr.errors import DataError

    with pytest.raises(ModelError, match="pass a list of DataFrames"):
        check_splits(pd.DataFrame({"a": [1], "b": [2]}), None)
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(DataError, match="is a file; name the folder that it is in"):
        read_folder(tmp_path / "x.csv")
