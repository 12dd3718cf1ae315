"""What is written beside the results, where it is asked for or installed."""

import importlib.util
import json
import pickle

import pytest

from flame_flwr.errors import ConfigError, NotConvergedError
from flame_flwr.results.extra_files import Extras
from flame_flwr.star import StarModel, StarModelTester

from .small_runs import Average, Fits, Never, events


@pytest.mark.parametrize("extra", ["report", "tensorboard"])
def test_a_missing_extra_says_what_to_install(extra, tmp_path, monkeypatch, serve):
    missing = {"report": "jinja2", "tensorboard": "tensorboardX"}[extra]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "flame_flwr.results.extra_files.find_spec",
        lambda name: None if name == missing else find(name),
    )
    message = rf"`{extra}` .* is \"on\", and {missing} is not installed.*flame-flwr\[{extra}\]"
    with pytest.raises(ConfigError, match=message):
        serve(StarModel(Fits, Average, "s3"), str(tmp_path), **{extra: "on"})
    assert list(tmp_path.iterdir()) == []  # before anything
    serve(StarModel(Fits, Average, "s3"), str(tmp_path), **{extra: "auto"})
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ConfigError, match=r"is \"auto\", \"on\" or \"off\", not 'yes'"):
        Extras.of(**{"report": "off", "tensorboard": "off", extra: "yes"})


def test_a_quiet_tester_writes_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.extra_files.by_default", lambda extra: True)
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"r.txt", "history.csv", "run.json"}
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", quiet=False)
    assert {path.name for path in tmp_path.iterdir()} == names | {"report.html", "tensorboard"}


def test_files_that_no_run_wrote_stay(tmp_path, caplog):
    (tmp_path / "history.csv").write_text("my own")
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", report="on")
    assert (tmp_path / "history.csv").read_text() == "my own"
    assert {path.name for path in tmp_path.iterdir()} == {"r.txt", "history.csv"}
    assert "no run wrote the history.csv that is there" in caplog.text


def test_a_failed_run_writes_its_rounds(tmp_path):
    with pytest.raises(NotConvergedError):
        StarModelTester(
            [2.0],
            Fits,
            Never,
            "s3",
            simple_analysis=False,
            filename=tmp_path / "r.txt",
            max_rounds=3,
            report="on",
            tensorboard="on",
        )
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert len(lines) == 4
    assert pickle.loads((tmp_path / "rescue.pkl").read_bytes()).tolist() == [2.0 / 3, 2.0]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"
    page = (tmp_path / "report.html").read_text()
    assert "NotConvergedError" in page
    assert len(events(tmp_path)["loss/node-0"]) == 3
