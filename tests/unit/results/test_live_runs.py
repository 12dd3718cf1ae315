"""A run's live state is there while it goes on, and gone when its files are there."""

import json
import os
import time

import numpy as np
import pytest

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.files import write_whole
from flame_flwr.results import Outputs, RunFolder, run_files
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.live_state import LiveWriter
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.run_json import file_as_json
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester

from .live_file import written
from .small_runs import Average, Fits


class Slow(Fits):
    def analysis_method(self, data, aggregator_results):
        time.sleep(0.15)
        return super().analysis_method(data, aggregator_results)


def test_a_local_run_is_seen_under_way(tmp_path):
    seen = []

    class Looks(Average):
        def aggregation_method(self, analysis_results):
            if (tmp_path / LIVE).exists():
                seen.append(written(tmp_path))
            return np.mean(analysis_results, axis=0)

    options = {"simple_analysis": False, "filename": tmp_path / "r.txt", "quiet": False}
    StarModelTester([2.0, 4.0], Slow, Looks, "s3", **options)
    assert seen
    assert {node.name for node in seen[-1].nodes} == {"node-0", "node-1"}
    assert seen[-1].doing == "round"
    assert not (tmp_path / LIVE).exists()
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "completed"


def test_a_result_of_its_name_stays(tmp_path):
    class Once(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            time.sleep(0.3)
            return data

    class Sum(StarAggregator):
        def aggregation_method(self, analysis_results):
            return json.dumps({"live": 1, "sum": sum(analysis_results)})

        def has_converged(self, result, last_result):
            return True

    StarModelTester([2.0, 4.0], Once, Sum, "s3", filename=tmp_path / LIVE, quiet=False)
    assert json.loads((tmp_path / LIVE).read_text()) == {"live": 1, "sum": 6.0}


@pytest.fixture
def patient(monkeypatch):
    """Return the beats that are seen while a run's files are being written, one after another."""
    monkeypatch.setattr("flame_flwr.results.live_state.BEAT", 0.05)
    monkeypatch.setattr("flame_flwr.results.live_state.FOLDER_EVERY", 0.02)
    monkeypatch.setattr("flame_flwr.results.run_files._BRIEF_RUN", 0.0)
    beats, write = [], RunFiles._write_record

    def slowly(files, *given):
        deadline = time.monotonic() + 5  # as a report of many plots, or a large file to be hashed
        while len(set(beats)) < 3 and time.monotonic() < deadline:
            if (files.path / LIVE).exists():
                beats.append(written(files.path).written)
            time.sleep(0.01)
        write(files, *given)

    monkeypatch.setattr(RunFiles, "_write_record", slowly)
    return beats


def test_a_local_run_lives_until_its_files(tmp_path, patient):
    options = {"simple_analysis": False, "filename": tmp_path / "r.txt", "quiet": False}
    StarModelTester([2.0, 4.0], Slow, Average, "s3", **options)
    assert len(set(patient)) >= 3
    assert {path.name for path in tmp_path.iterdir()} >= {"run.json", "r.txt"}
    assert not (tmp_path / LIVE).exists()


def test_a_deployed_run_lives_until_its_files(tmp_path, patient, context):
    model = StarModel(Slow, Average, "s3", simple_analysis=False)
    asked = {"results": str(tmp_path), "report": "off", "tensorboard": "off"}
    with LocalGrid(NodePlan(Slow, data_type="s3"), [2.0, 4.0]) as grid:
        model.server_app(grid, context(run_config=asked))
    assert len(set(patient)) >= 3
    [folder] = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} >= {"run.json", "result"}
    assert not (folder / LIVE).exists()


def test_a_vanishing_live_file_harms_no_run(tmp_path, context, monkeypatch):
    """What a run's folder has beside its results is listed, and may be gone when it is read."""
    write, renamed = RunFiles._write_record, []
    monkeypatch.setattr(os, "replace", lambda source, target: renamed.append(source.name))
    write_whole(tmp_path / LIVE, [b"{}"])
    monkeypatch.undo()
    [path] = tmp_path.iterdir()
    path.unlink()

    def meanwhile(run, *given):
        (run.path / renamed[0]).write_bytes(b"{")
        write(run, *given)

    def renames(path, folder):
        if path.name == renamed[0]:
            path.unlink()
        return file_as_json(path, folder)

    monkeypatch.setattr(RunFiles, "_write_record", meanwhile)
    monkeypatch.setattr(run_files, "file_as_json", renames)
    model = StarModel(Slow, Average, "s3", simple_analysis=False)
    asked = {"results": str(tmp_path), "report": "off", "tensorboard": "off"}
    with LocalGrid(NodePlan(Slow, data_type="s3"), [2.0, 4.0]) as grid:
        model.server_app(grid, context(run_config=asked))
    [folder] = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} >= {"run.json", "result", "history.csv"}


def test_in_a_store_it_goes_at_delivery(tmp_path, monkeypatch):
    happened = []

    class Store:
        def __init__(self, *given):
            self.place = "s3://bucket/study/run"

        def upload(self, *given):
            happened.append("uploaded")
            return 0

    monkeypatch.setattr("flame_flwr.results.run_folder.Upload", Store)
    monkeypatch.setattr(LiveWriter, "end", lambda self: happened.append("ended"))
    folder = RunFolder("s3://bucket/study", 7)
    folder.live()
    folder.write_success(Outputs.declare("str", "mean.txt", False), RunRecord(result="4"), {})
    assert happened == []
    folder.deliver()
    assert happened == ["uploaded", "ended"]
