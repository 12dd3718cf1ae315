"""A run that writes into an object store, and the commands that list and fetch it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import Deployment

from flame_flwr.engine.submit import simulation

pytestmark = pytest.mark.simulation

PLOTS = """
from pathlib import Path


class Plots(Aggregator):
    def aggregation_method(self, analysis_results):
        Path("plot.png").write_bytes(bytes(1000))
        return super().aggregation_method(analysis_results)
"""
MODEL = "StarModel(Analyzer, Plots, 's3', simple_analysis=False, filename='result.txt')"


@pytest.fixture
def federation(object_store, request, tmp_path, monkeypatch):
    """Where apps run; only the SuperLink has the store's address and key in its environment."""
    if getattr(request, "param", "simulation") == "simulation":
        with simulation(2) as place:
            yield place
        return
    for name in object_store.environment:
        monkeypatch.delenv(name)  # neither the nodes nor the analyst need them
    made = Deployment(tmp_path / "deployment")
    without, made.environment = made.environment, {**made.environment, **object_store.environment}
    with made:
        made.environment = without
        for name in ("a", "b"):
            made.start_node(name)
        yield made.federation


def command(*arguments, **environment):
    """Run ``flame-flwr results`` as an analyst does."""
    program = str(Path(sys.executable).with_name("flame-flwr"))
    return subprocess.run(
        [program, "results", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_results_reach_the_analyst_through_a_store(run_app, object_store, tmp_path):
    url = "s3://bucket/hospitals/study"
    done = run_app(PLOTS, MODEL, results=url)
    assert done.succeeded, done.log
    [behind] = (object_store.bucket / "hospitals" / "study").iterdir()
    assert f"results in {url}/{behind.name}" in done.log
    assert f"  {url}/{behind.name}/result.txt" in done.log
    assert object_store.environment["AWS_SECRET_ACCESS_KEY"] not in done.log

    listed = command(url)
    assert listed.returncode == 0, listed.stderr
    head, line = listed.stdout.splitlines()
    assert head.split()[0] == "run"
    assert line.split()[0] == behind.name
    assert "tests/app 1.0.0" in line
    assert line.split()[5:8] == ["completed", "2", "6"]

    fetched = command(url, behind.name[:13], "--to", tmp_path / "mine")
    assert fetched.returncode == 0, fetched.stderr
    folder = tmp_path / "mine" / behind.name
    assert fetched.stdout.strip() == f"fetched and checked: {folder}"
    assert (folder / "result.txt").read_text() == "[1.0, 2.0]"
    about = json.loads((folder / "run.json").read_text())
    names = [file["name"] for file in about["files"] + about["other_files"]]
    *shown, events = names
    assert shown == ["result.txt", "history.csv", "report.html", "scratch/plot.png"]
    assert events.startswith("tensorboard/events.out.tfevents.")
    for file in about["files"] + about["other_files"]:
        content = (folder / file["name"]).read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]

    again = command(url, behind.name, "--to", tmp_path / "mine")
    assert again.returncode == 1
    assert "is there already" in again.stderr

    (behind / "result.txt").write_text("[1.0, 2.1]")
    damaged = command(url, behind.name, "--to", tmp_path / "other")
    assert damaged.returncode == 1
    assert "error: result.txt of" in damaged.stderr
    assert "its SHA-256 is another" in damaged.stderr
    assert list((tmp_path / "other").iterdir()) == []

    wrong = command(url, AWS_SECRET_ACCESS_KEY="not-the-secret")
    assert wrong.returncode == 1
    assert "access denied (403 SignatureDoesNotMatch)" in wrong.stderr
    assert "not-the-secret" not in wrong.stderr
    assert command(url, behind.name).returncode == 2  # where to?

    missing = run_app(PLOTS, MODEL, results="s3://other/study")
    assert not missing.succeeded
    assert "is there a bucket other on http://127.0.0.1" in missing.log
    assert "round 1" not in missing.log


@pytest.mark.parametrize("federation", ["deployment"], indirect=True)
def test_on_a_deployment_only_the_superlink_has_the_key(run_app, object_store):
    """The nodes get the run config, but nothing of the store's key."""
    model = MODEL.replace("'s3'", "'none'")
    done = run_app(PLOTS, model, results="s3://bucket/study", data="", nodes=2)
    assert done.succeeded, done.log
    [behind] = (object_store.bucket / "study").iterdir()
    assert (behind / "result.txt").read_text() == "[None, None]"
    assert json.loads((behind / "run.json").read_text())["nodes"] == ["a", "b"]


def test_a_folder_is_listed_and_fetched_the_same_way(tmp_path):
    assert "there is no folder" in command(tmp_path / "none").stderr
    assert command(tmp_path).stdout == "no runs here\n"
