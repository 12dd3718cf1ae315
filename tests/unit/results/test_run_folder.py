"""A run's folder: every file complete or absent, nothing lost, what is recorded."""

import csv
import hashlib
import io
import json
import pickle
import platform
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import flame_flwr
from flame_flwr.errors import ConfigError, NodeFailedError, ResultError
from flame_flwr.metrics import FORMULA
from flame_flwr.privacy import Laplace
from flame_flwr.results import Outputs, RoundRecord, RunFolder, RunRecord
from flame_flwr.results.final_files import write_outputs


class NoPickle:
    """Cannot be pickled, but says what it is."""

    def __init__(self, text="something"):
        self.text = text

    def __reduce__(self):
        raise TypeError("no")

    def __repr__(self):
        return f"NoPickle({self.text})"


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# ---- final results --------------------------------------------------------------------------


def test_final_files_are_written_and_their_paths_returned(tmp_path):
    outputs = Outputs.declare(["str", "bytes"], ["a.txt", "b.bin"], True)
    paths = write_outputs(tmp_path, outputs, [1, b"2"])
    assert paths == [tmp_path / "a.txt", tmp_path / "b.bin"]
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]


def test_a_misfit_is_saved_whole(tmp_path):
    outputs = Outputs.declare("str", ["a.txt", "b.txt"], True)
    result = ["one", {"w": np.arange(3)}, "three"]
    with pytest.raises(ResultError) as raised:
        write_outputs(tmp_path, outputs, result)
    text = str(raised.value)
    assert "3 elements, output_type 3 and filename 2" in text
    assert str(tmp_path / "rescue.pkl") in text
    assert files_below(tmp_path) == ["rescue.pkl"]
    saved = pickle.loads((tmp_path / "rescue.pkl").read_bytes())
    assert saved[0] == "one"
    assert saved[1]["w"].tolist() == [0, 1, 2]


def test_one_misfit_means_no_file_is_written(tmp_path):
    outputs = Outputs.declare(["str", "bytes"], ["a.txt", "b.bin"], True)
    with pytest.raises(ResultError, match=r"b\.bin.*output_type 'bytes'.*rescue\.pkl"):
        write_outputs(tmp_path, outputs, ["a", "not bytes"])
    assert files_below(tmp_path) == ["rescue.pkl"]


def test_the_rescue_file_stands_beside_the_result(tmp_path):
    outputs = Outputs.declare("bytes", "out/deep/a.bin", False, paths=True)
    with pytest.raises(ResultError):
        write_outputs(tmp_path, outputs, "text")
    assert files_below(tmp_path) == ["out/deep/rescue.pkl"]


class NoText:
    """Its ``str`` raises, with a value in the error."""

    def __str__(self):
        raise ArithmeticError("value 4711")


def test_a_result_whose_text_raises_is_saved(tmp_path):
    with pytest.raises(ResultError) as raised:
        write_outputs(tmp_path, Outputs.declare("str", None, False), NoText())
    assert "ArithmeticError" in raised.value.message
    assert "rescue.pkl" in raised.value.message
    assert "4711" not in raised.value.message
    assert "4711" in str(raised.value)
    assert isinstance(pickle.loads((tmp_path / "rescue.pkl").read_bytes()), NoText)


def test_what_cannot_be_pickled_is_saved_as_text(tmp_path):
    with pytest.raises(ResultError, match=r"rescue\.txt"):
        write_outputs(tmp_path, Outputs.declare("pickle", None, False), NoPickle("5 µg \ud800"))
    assert files_below(tmp_path) == ["rescue.txt"]
    assert "NoPickle(5 µg" in (tmp_path / "rescue.txt").read_text("utf-8")


class NoPickleNoRepr(NoPickle):
    def __repr__(self):
        raise RuntimeError("no repr either")


def test_an_unsavable_result_does_not_hide_the_error(tmp_path):
    with pytest.raises(ResultError, match="output_type 'bytes'"):
        write_outputs(tmp_path, Outputs.declare("bytes", None, False), NoPickleNoRepr())


# ---- the run's folder -----------------------------------------------------------------------


def test_a_run_has_a_folder_below_results(tmp_path):
    folder = RunFolder(str(tmp_path / "results"), 42)
    assert folder.path.parent == tmp_path / "results"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-42", folder.path.name)
    assert folder.scratch == folder.path / "scratch"
    assert folder.scratch.is_dir()
    assert files_below(folder.path) == []


@pytest.mark.parametrize(("results", "below"), [("~/mine", "mine"), ("", "flame-results")])
def test_results_may_be_in_the_home_folder(tmp_path, monkeypatch, results, below):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder(results, 1).path.parent == tmp_path / below


@pytest.mark.parametrize("results", ["results", "../a", " ", "file:///tmp/x", "gs://bucket/x"])
def test_relative_results_are_refused(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        RunFolder(results, 1)
    text = str(raised.value)
    assert "`results` in the run config must be an absolute path" in text
    assert results in text
    assert ("working directories" in text) is ("://" not in results)
    assert list(tmp_path.iterdir()) == []


def test_results_below_a_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as raised:
        RunFolder(str(tmp_path / "file"), 1)
    text = str(raised.value)
    assert "`results` in the run config cannot be written to" in text
    assert str(tmp_path / "file") in text


def test_a_full_disk_is_found_first(tmp_path, disk_full_after):
    with disk_full_after(1000), pytest.raises(ConfigError) as raised:
        RunFolder(str(tmp_path), 1)
    assert "`results` in the run config cannot be written to" in str(raised.value)
    assert files_below(tmp_path) == []


# ---- run.json and history.csv ---------------------------------------------------------------


@pytest.fixture
def record():
    """A run of two rounds and two nodes, one of which failed in the second."""
    first = RoundRecord(1, 1.5, {"a": 0.25, "b": 0.5}, {"a": 100, "b": 200}, {}, "float")
    second = RoundRecord(
        2, 2.5, {"a": 0.125}, {"a": 101}, {"b": 'ValueError, at "x.py:3"\nnew line'}, "float"
    )
    second.converged, second.reason = True, "has_converged returned True"
    return RunRecord(
        nodes=["a", "b"],
        history=[first, second],
        aggregate=7.25,
        evaluations={"a": {"auc": 0.75}},
        result=8.5,
        converged=True,
    )


def test_run_json_says_what_happened(tmp_path, record):
    folder = RunFolder(str(tmp_path), 2**63 + 5)
    paths = folder.write_success(
        Outputs.declare("str", "a.txt", False), record, {"max-rounds": 5, "mine.key": "x"}
    )
    assert paths == [folder.path / "a.txt"]
    about = json.loads((folder.path / "run.json").read_bytes())
    assert about["status"] == "completed"
    assert about["error"] is None
    assert about["run_id"] == str(2**63 + 5)
    assert about["nodes"] == ["a", "b"]
    assert about["rounds"] == 2
    assert about["converged"] is True
    assert about["reason"] == "has_converged returned True"
    assert about["evaluations"] == {"a": {"auc": 0.75}}
    assert about["privacy"] is None
    assert about["parameters"] == {"max-rounds": 5, "mine.key": "x"}
    assert about["versions"]["flame-flwr"] == flame_flwr.__version__
    assert about["versions"]["flwr"] == version("flwr")
    assert about["versions"]["numpy"] == np.__version__
    assert about["versions"]["python"] == platform.python_version()
    assert isinstance(about["versions"]["wire"], int)
    assert about["started"] <= about["finished"]
    assert 0 <= about["seconds"] < 60
    assert about["files"] == [
        {"name": "a.txt", "bytes": 3, "sha256": hashlib.sha256(b"8.5").hexdigest()}
    ]
    assert [entry["round"] for entry in about["history"]] == [1, 2]
    assert about["history"][0]["node_seconds"] == {"a": 0.25, "b": 0.5}
    assert about["history"][1]["failed"] == record.history[1].failed


def test_history_csv_has_lines_per_round_and_node(tmp_path, record):
    folder = RunFolder(str(tmp_path), 1)
    folder.write_success(Outputs.declare("str", None, False), record, {})
    with (folder.path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["round"], row["node"]) for row in rows] == [
        ("1", "a"),
        ("1", "b"),
        ("2", "a"),
        ("2", "b"),
    ]
    assert rows[1] == {
        "round": "1",
        "node": "b",
        "seconds": "0.5",
        "bytes": "200",
        "failed": "",
        "round_seconds": "1.5",
        "reason": "",
        "change": "",
    }
    assert rows[3]["seconds"] == rows[3]["bytes"] == ""
    assert rows[3]["failed"] == record.history[1].failed["b"]
    assert rows[3]["reason"] == "has_converged returned True"


def test_run_json_is_strict_json(tmp_path, record):
    record.evaluations = {"a": {"auc": float("nan"), "loss": float("inf")}}
    folder = RunFolder(str(tmp_path), 1)
    folder.write_success(Outputs.declare("str", None, False), record, {})

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads((folder.path / "run.json").read_bytes(), parse_constant=refuse)


def test_only_an_empty_scratch_folder_is_removed(tmp_path, record):
    empty, used = RunFolder(str(tmp_path), 1), RunFolder(str(tmp_path), 2)
    (used.scratch / "plot.png").write_bytes(b"png")
    for folder in (empty, used):
        folder.write_success(Outputs.declare("str", "a.txt", False), record, {})
    assert files_below(empty.path) == ["a.txt", "history.csv", "run.json"]
    assert not empty.scratch.exists()
    assert files_below(used.path) == ["a.txt", "history.csv", "run.json", "scratch/plot.png"]


def test_a_failed_run_leaves_aggregate_and_error(tmp_path, record):
    folder = RunFolder(str(tmp_path), 1)
    folder.write_failure(record, {}, NodeFailedError("node b failed in round 3"))
    assert files_below(folder.path) == ["history.csv", "rescue.pkl", "run.json"]
    assert pickle.loads((folder.path / "rescue.pkl").read_bytes()) == 7.25
    about = json.loads((folder.path / "run.json").read_bytes())
    assert about["status"] == "failed"
    assert about["error"] == "NodeFailedError: node b failed in round 3"
    assert about["files"] == []
    assert about["rounds"] == 2


def test_a_failed_first_round_rescues_nothing(tmp_path):
    folder = RunFolder(str(tmp_path), 1)
    folder.write_failure(RunRecord(nodes=["a"]), {}, NodeFailedError("x"))
    assert files_below(folder.path) == ["history.csv", "run.json"]


def test_a_rescued_result_is_not_overwritten(tmp_path, record):
    folder = RunFolder(str(tmp_path), 1)
    with pytest.raises(ResultError) as raised:
        folder.write_success(Outputs.declare("bytes", None, False), record, {})
    folder.write_failure(record, {}, raised.value)
    assert pickle.loads((folder.path / "rescue.pkl").read_bytes()) == 8.5
    assert json.loads((folder.path / "run.json").read_bytes())["status"] == "failed"


def test_record_is_kept_elsewhere_without_the_folder(tmp_path, record, caplog):
    folder = RunFolder(str(tmp_path), 1)
    shutil.rmtree(folder.path)
    folder.path.write_text("a file now")
    folder.write_failure(record, {}, NodeFailedError("gone"))
    kept = Path(folder.record_elsewhere)
    try:
        assert kept.stat().st_mode & 0o077 == 0 or kept.parent.stat().st_mode & 0o077 == 0
        about = json.loads(kept.read_bytes())
        assert (about["status"], about["files"]) == ("failed", [])
        assert f"run.json is saved in {kept}" in caplog.text
    finally:
        shutil.rmtree(kept.parent)


@pytest.mark.parametrize(
    "text", ["=1+1", "a =1", "a:=1", "a^@SUM(1)", "%+1", 'a"=1', "a;-1", " =1", "x|\uff1d1"]
)
def test_no_separator_makes_a_formula_of_text(tmp_path, record, text):
    folder = RunFolder(str(tmp_path), 1)
    record.history[-1].failed["node-0"] = text
    folder.write_failure(record, {}, NodeFailedError("gone"))
    table = (folder.path / "history.csv").read_text()
    for separator in {",", *text} - set(FORMULA) - set('"1aSUM()'):
        for row in csv.reader(io.StringIO(table), delimiter=separator):
            assert not any(cell.lstrip(' "').startswith(FORMULA) for cell in row)


def test_a_failed_rescue_still_leaves_run_json(tmp_path, record):
    record.aggregate = NoPickleNoRepr()
    folder = RunFolder(str(tmp_path), 1)
    folder.write_failure(record, {}, NodeFailedError("the reason"))
    about = json.loads((folder.path / "run.json").read_bytes())
    assert about["error"] == "NodeFailedError: the reason"


def test_release_noises_the_result():
    pytest.importorskip("opendp")
    record = RunRecord(result=[10.0, 20.0], aggregate=[10.0, 20.0])
    record.release(Laplace(0.5, 1.0))
    assert record.result != [10.0, 20.0]
    assert len(record.result) == 2
    assert record.privacy == {
        "mechanism": "Laplace (OpenDP), on the final result",
        "epsilon": 0.5,
        "sensitivity": 1.0,
    }


def test_a_records_json_holds_no_result():
    record = RunRecord(nodes=["a"], aggregate="exact-aggregate", result="exact-result")
    text = json.dumps(record.to_json())
    assert "exact" not in text
