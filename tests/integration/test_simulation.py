"""A STAR analysis in Flower's real simulation runtime: all that one may do, in one run.

Its results go to a store, and the tests here look at them.
"""

import csv
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hanging import HANGS
from small_app import run_app as run_small_app

from flame_flwr.privacy import MinCount
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

pytestmark = pytest.mark.simulation

# Everything it keeps is compared with the same run in process, but for the files of the nodes: in
# process a node works in the user's folder, and finds there what it has written before.
WHOLE = """
from functools import reduce
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier

from flame_flwr.privacy import MinCount
from flame_flwr.statistics import Moments

NODES = ["node-0", "node-1", "node-2"]


class Analyzer(StarAnalyzer):
    def __init__(self, flame, seed, files=False):
        super().__init__(flame)
        self.random = np.random.default_rng(seed)
        self.history = []
        self.me = self
        self.model = SGDClassifier(random_state=0, alpha=0.01)
        self.files = files

    def analysis_method(self, data, aggregator_results):
        if self.files:
            Path("left_behind.txt").write_text("a patient's value")
        features = self.random.normal(size=(40, 3))
        labels = (features[:, 0] * data > 0).astype(int)
        self.model.partial_fit(features, labels, classes=[0, 1])
        self.history.append(float(features.sum()))
        assert self.me is self
        assert len(self.history) == self.num_iterations + 1
        self.flame.report_metrics(loss=data / (1 + self.num_iterations))
        self.flame.flame_log(f"analysed, progress {self.flame.get_progress()}")
        self.flame.set_progress(10 * (self.num_iterations + 1))
        scale = 0.0 if aggregator_results is None else aggregator_results["scale"]
        patients = 3 if self.id == "node-1" else 40
        return {
            "id": self.id,
            "coef": self.model.coef_,
            "history": tuple(self.history),
            "scale": scale + data,
            "partners": self.partner_node_ids,
            "ages": Moments.from_data(50 + 10 * features[:patients, 1]),
        }

    def evaluation_method(self, data, result):
        assert not self.files or not Path("left_behind.txt").exists()
        assert self.flame.get_progress() == 10 * len(self.history)
        return {"missing": result["scale"] - data, "rounds": self.num_iterations}


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        Path("plots").mkdir(exist_ok=True)
        Path("plots/figure.txt").write_text("drawn")
        ages = reduce(lambda one, two: one.merge(two), [r.pop("ages") for r in analysis_results])
        scale = sum(r["scale"] for r in analysis_results)
        return {"scale": scale, "nodes": analysis_results, "ages": ages.result()}

    def has_converged(self, result, last_result):
        return self.num_iterations >= 3

    def final_method(self, result, evaluations):
        return [Path("plots/figure.txt").read_text(), evaluations, result]
"""

MODEL = """StarModel(
    Analyzer, Aggregator, "s3", simple_analysis=False, analyzer_kwargs={"seed": 5, "files": True},
    multiple_results=True, output_type=["str", "str", "pickle"], disclosure=[MinCount(5)],
    filename=["figure.txt", "scores.txt", "all.pkl"],
)"""


def results(*arguments, **environment):
    """Run ``flame-flwr results`` as an analyst does."""
    program = str(Path(sys.executable).with_name("flame-flwr"))
    return subprocess.run(
        [program, "results", *map(str, arguments)],
        env={**os.environ, "FORKED_COMMANDS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


@pytest.fixture
def in_store(store, monkeypatch):
    """The store, which this process's environment names."""
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture(scope="module")
def whole(federation, store, tmp_path_factory):
    """The first app's run: what it printed, where it is in the store, and what was fetched."""
    where, url = tmp_path_factory.mktemp("whole"), "s3://bucket/hospitals/study"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        done = run_small_app(
            federation, where, WHOLE, MODEL, results=url, report="on", tensorboard="on"
        )
        assert done.succeeded, done.log
        [behind] = (store.bucket / "hospitals" / "study").iterdir()
        listed, fetched = (
            results(url),
            results(url, behind.name[:13], "--to", where / "mine"),
        )
    assert fetched.returncode == 0, fetched.stderr
    folder = where / "mine" / behind.name
    assert fetched.stdout.strip() == f"fetched and checked: {folder}"
    run = json.loads((folder / "run.json").read_text())
    return SimpleNamespace(
        url=url, log=done.log, behind=behind, listed=listed, folder=folder, run=run
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The same in this process."""
    space = {"StarAnalyzer": StarAnalyzer, "StarAggregator": StarAggregator}
    exec(WHOLE, space)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        return StarModelTester(
            [1.0, 2.0, 3.0],
            space["Analyzer"],
            space["Aggregator"],
            "s3",
            simple_analysis=False,
            analyzer_kwargs={"seed": 5},
            multiple_results=True,
            output_type=["str", "str", "pickle"],
            disclosure=[MinCount(5)],
        )


def test_state_order_and_numbers_are_as_in_process(whole, here):
    there = pickle.loads((whole.folder / "all.pkl").read_bytes())
    expected = here.result[2]
    assert here.rounds == whole.run["rounds"] == 4
    assert there["scale"] == expected["scale"]
    for ours, theirs in zip(expected["nodes"], there["nodes"], strict=True):
        np.testing.assert_array_equal(theirs.pop("coef"), ours.pop("coef"))
        assert theirs == ours
    assert whole.run["nodes"] == ["node-0", "node-1", "node-2"]
    assert whole.run["status"] == "completed"
    assert [entry["round"] for entry in whole.run["history"]] == [1, 2, 3, 4]


def test_disclosure_rules_are_kept_as_in_process(whole, here):
    ages = pickle.loads((whole.folder / "all.pkl").read_bytes())["ages"]
    assert ages == here.result[2]["ages"]
    assert (ages["n"], ages["suppressed"]) == (80, 1)
    assert all("MinCount" in rules for rules in whole.run["disclosure"].values())


def test_evaluation_final_method_log_lines_and_relative_files(whole, here):
    assert (whole.folder / "figure.txt").read_text() == "drawn"
    scale = here.result[2]["scale"]
    scores = [{"missing": scale - i, "rounds": 4} for i in (1.0, 2.0, 3.0)]
    assert (whole.folder / "scores.txt").read_text() == str(scores)
    assert (whole.folder / "scratch" / "plots" / "figure.txt").exists()
    assert list(here.evaluations.values()) == scores
    assert "[node-2, round 2] analysed, progress 10" in whole.log
    assert not list(whole.folder.rglob("left_behind.txt"))


def events(folder):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulators.EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {tag: [event.step for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_a_simulation_shows_rounds_and_leaves_a_report(whole):
    nodes = ["node-0", "node-1", "node-2"]
    for number in (1, 2, 3, 4):
        found = rf"round {number}: 3 of 3 nodes, [0-9.]+ s, \d+ B received, loss"
        assert re.search(found, whole.log), whole.log
    assert re.search(r"round 4: .*: has_converged returned True", whole.log)
    assert "evaluation: 3 of 3 nodes, missing" in whole.log
    assert "━" not in whole.log
    rows = list(csv.DictReader((whole.folder / "history.csv").open(newline="")))
    expected = [(f"node-{k}", (k + 1) / number) for number in (1, 2, 3, 4) for k in range(3)]
    assert [(row["node"], float(row["loss"])) for row in rows] == expected
    assert whole.run["study"]["analyzer"] == "Analyzer"
    assert set(whole.run["left"]) == set(nodes)
    assert whole.run["sizes"] == dict.fromkeys(nodes, "float")
    read = events(whole.folder)
    for node in nodes:
        assert read[f"loss/{node}"] == [1, 2, 3, 4]
        assert read[f"evaluation/missing/{node}"] == [4]
    page = (whole.folder / "report.html").read_text()
    for shown in (*nodes, "has of its own said so", "data:image/svg+xml;base64,", "missing"):
        assert shown in page, shown


def test_results_reach_the_analyst_through_a_store(whole, in_store):
    """What the analyst has fetched is what all other tests of this run read.

    ``tests/unit/results/test_fetch.py`` has files that are damaged, and those that are there.
    """
    url, name = whole.url, whole.behind.name
    assert f"results in {url}/{name}" in whole.log
    assert f"  {url}/{name}/figure.txt" in whole.log
    assert in_store.environment["AWS_SECRET_ACCESS_KEY"] not in whole.log

    assert whole.listed.returncode == 0, whole.listed.stderr
    head, line = whole.listed.stdout.splitlines()
    assert head.split()[0] == "run"
    assert line.split()[0] == name
    assert re.search(r"tests/pkg\w+ 1\.0\.0", line)
    number = len(whole.run["files"]) + len(whole.run["other_files"]) + 1
    assert line.split()[5:8] == ["completed", "4", str(number)]

    names = [file["name"] for file in whole.run["files"] + whole.run["other_files"]]
    *shown, of_tensorboard = names
    assert shown[:3] == ["figure.txt", "scores.txt", "all.pkl"]
    assert shown[3:] == ["history.csv", "report.html", "scratch/plots/figure.txt"]
    assert of_tensorboard.startswith("tensorboard/events.out.tfevents.")
    for file in whole.run["files"] + whole.run["other_files"]:
        content = (whole.folder / file["name"]).read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]

    wrong = results(url, AWS_SECRET_ACCESS_KEY="not-the-secret")
    assert wrong.returncode == 1
    assert "access denied (403 SignatureDoesNotMatch)" in wrong.stderr
    assert "not-the-secret" not in wrong.stderr
