"""The files of ``StarModelTester``: where they go, and what becomes of those that cannot."""

import hashlib
import json
import os
import pickle

import numpy as np
import pytest
from echo import Aggregator, Analyzer, run

from flame_flwr.errors import ModelError, ResultError, StoreError
from flame_flwr.star import StarModelTester


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
        (["a.txt", "a-file/b"], StoreError, "'a-file/b.txt' cannot be written to (File exists)"),
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
