"""The record and the report of a run that failed: where, and what had left."""

import hashlib
import json
import os
import re

import pytest

from flame_flwr.clients import StarClient
from flame_flwr.errors import NodeFailedError
from flame_flwr.privacy import TopFraction
from flame_flwr.results.egress_log import EgressLog
from flame_flwr.results.export import export_files
from flame_flwr.star import StarModel
from flame_flwr.text.sizes import shown_size

from .small_runs import Average, Fits, Never, Page, below, full_run, listed, reported

pytestmark = pytest.mark.usefixtures("undrawn")


class FailsLate(Fits):
    error: type[BaseException] = ValueError

    def analysis_method(self, data, aggregator_results):
        if self.num_iterations == 2 and data == 4.0:
            raise self.error("it is 4711.0815")
        return super().analysis_method(data, aggregator_results)


class InterruptedLate(FailsLate):
    error = KeyboardInterrupt


def failed(tmp_path, analyzer, **kwargs):
    with pytest.raises(BaseException, match="it is") as raised:
        reported(tmp_path, analyzer, [2.0, 4.0], **kwargs)
    assert raised.type is analyzer.error
    page = Page((tmp_path / "report.html").read_text())
    return json.loads((tmp_path / "run.json").read_text()), page.text


def test_record_and_report_say_where_and_what_left(tmp_path):
    about, page = failed(tmp_path, FailsLate)
    error = "ValueError: it is 4711.0815 (in node-1, round 3)"
    assert about["error"] == error
    [failure] = about["failures"]
    assert (failure["round"], failure["node"]) == (3, "node-1")
    assert re.fullmatch(
        r"ValueError at test_failed_runs.py:\d+ in analysis_method: it is 4711.0815", failure["why"]
    )
    assert error in page
    assert f"round 3: {failure['why']}" in page
    assert len(about["history"]) == 2
    left = about["left"]["node-0"]
    assert [kind["answers"] for kind in left] == [3, 3]
    assert shown_size(sum(kind["bytes"] for kind in left)) in page


def test_an_earlier_runs_result_is_warned_of(tmp_path, caplog):
    reported(tmp_path, Fits, [2.0, 4.0])
    os.utime(tmp_path / "r.txt", (0, 0))
    failed(tmp_path, FailsLate)
    assert f"of an earlier run, and not of this one: {tmp_path / 'r.txt'}" in caplog.text
    (tmp_path / "r.txt").unlink()
    caplog.clear()
    failed(tmp_path, FailsLate)
    assert "of an earlier run" not in caplog.text


def test_two_filters_of_one_kind_are_told_apart(tmp_path):
    filters = [TopFraction(0.25), TopFraction(0.5)]
    page = reported(tmp_path, Fits, [2.0, 4.0], filters=filters)
    for node in ("node-0", "node-1"):
        for fraction in ("0.25", "0.5"):
            assert f"{node}top fraction (fraction: {fraction})analysis3\n" in page.text


def test_a_private_runs_error_is_its_place(tmp_path):
    private = {"aggregator": Never, "epsilon": 1.0, "sensitivity": 1.0}
    about, page = failed(tmp_path, FailsLate, **private)
    assert about["error"] == "ValueError (in node-1, round 3)"
    assert about["failures"][0]["why"].startswith("ValueError at test_failed_runs.py:")
    assert "4711.0815" not in json.dumps(about["failures"]) + page


def test_a_private_run_writes_no_nodes_text(tmp_path):
    with pytest.raises(NodeFailedError, match="node node-1 failed in round 3: ValueError at"):
        reported(
            tmp_path,
            FailsLate,
            [2.0, 4.0],
            Never,
            epsilon=1.0,
            sensitivity=1.0,
            client=StarClient,
        )
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["failures"][0]["why"].startswith("ValueError at test_failed_runs.py:")
    assert "it is" not in about["error"] + json.dumps(about["failures"])


def test_ctrl_c_is_said_in_words(tmp_path):
    about, page = failed(tmp_path, InterruptedLate)
    error = "KeyboardInterrupt: stopped by Ctrl-C (in node-1, round 3)"
    assert about["error"] == error
    assert error in page
    assert about["failures"] == []


def test_a_failed_evaluation_is_in_the_record(tmp_path):
    class FailsScores(Fits):
        error = ValueError

        def evaluation_method(self, data, result):
            raise ValueError("it is lost")

    about, page = failed(tmp_path, FailsScores)
    assert about["error"] == "ValueError: it is lost (in node-0, evaluation)"
    assert about["failures"][0]["why"].startswith("evaluation: ValueError at test_failed_runs.py:")
    assert "round 3: evaluation: ValueError" in page


def test_exported_files_name_what_was_asked(serve, tmp_path):
    model = StarModel(Fits, Average, "s3", simple_analysis=False, filename="mean.txt")
    serve(model, str(tmp_path / "runs"), report="on", tensorboard="on")
    [folder] = (tmp_path / "runs").iterdir()
    target = tmp_path / "results"
    full_run(target)
    asked = {"results": "what/the user asked for", "data": ["patients"]}
    assert export_files(folder, target, asked) == [target / "mean.txt"]
    about = json.loads((target / "run.json").read_text())
    assert about["parameters"]["results"] == asked["results"]
    page = Page((target / "report.html").read_text())
    assert asked["results"] in page.text
    assert str(tmp_path) not in page.text
    assert "mean.txt" in page.text
    assert below(target) == listed(target) | {"mean.txt", "r.txt", "run.json"}
    for file in about["other_files"]:
        content = (target / file["name"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("error", [OverflowError("math range error"), RecursionError("deep")])
def test_an_unwritable_record_loses_no_run(tmp_path, monkeypatch, caplog, error):
    def raising(self):
        raise error

    monkeypatch.setattr(EgressLog, "to_json", raising)
    full_run(tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    assert (about["status"], about["rounds"], about["incomplete"]) == ("completed", 3, True)
    assert about["nodes"] == ["node-0", "node-1"]
    assert f"as the record cannot be written: {type(error).__name__}: {error}" in caplog.text
    assert (tmp_path / "r.txt").exists()
