"""Time per round in Flower's simulation runtime: this framework against a hand-written app.

Both do the same federated averaging of a linear model on the same data, in one run of this
script, on one SuperLink. The hand-written app uses Flower's message API and nothing else.

The ratio is of the processor seconds that the simulation and Ray's workers take for a round: other
work on the machine must not count.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from flame_flwr.cli.submit import simulation, submit

CASES = ((10, 25, 2), (100, 25, 2), (1000, 6, 1))
"""Nodes, rounds, and how often each app is run."""

PYPROJECT = """
[project]
name = "{name}"
version = "1.0.0"
description = "A benchmark."
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "benchmarks"
[tool.flwr.app.components]
serverapp = "{name}.app:server_app"
clientapp = "{name}.app:client_app"
[tool.flwr.app.config]
results = ""
nodes = 0
data = "{name}.app:node_data"
"""
SHARED = """
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

ROUNDS, SPENT = {rounds}, Path("{spent}")


def note_round():
    parents, ticks = {{}}, {{}}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pid = int(folder.name)
            parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    own = {{os.getpid()}}
    while more := {{pid for pid, parent in parents.items() if parent in own}} - own:
        own |= more
    with SPENT.open("a") as file:
        print(sum(ticks[pid] for pid in own) / os.sysconf("SC_CLK_TCK"), file=file)


def load(partition):
    random = np.random.default_rng(partition)
    x = random.normal(size=(200, 50))
    return x, x @ np.arange(50.0) + random.normal(size=200)


def step(weights, x, y):
    for _ in range(5):
        weights = weights - 0.01 * x.T @ (x @ weights - y) / len(y)
    return weights


def node_data(context):
    return load(context.node_config["partition-id"])
"""
OURS = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        x, y = data
        weights = np.zeros(50) if aggregator_results is None else aggregator_results
        return step(weights, x, y), len(y)


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        total = sum(n for _, n in analysis_results)
        return sum(weights * (n / total) for weights, n in analysis_results)

    def has_converged(self, result, last_result):
        note_round()
        return self.num_iterations >= ROUNDS - 1


model = StarModel(Analyzer, Aggregator, "s3", simple_analysis=False, output_type="pickle")
server_app = model.server_app
client_app = model.client_app
"""
THEIRS = """
import json
import pickle
import time

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

client_app = ClientApp()
LOADED = {}


@client_app.train()
def train(message, context):
    if context.node_id not in LOADED:
        LOADED[context.node_id] = node_data(context)
    x, y = LOADED[context.node_id]
    weights = step(message.content["arrays"].to_numpy_ndarrays()[0], x, y)
    content = {"arrays": ArrayRecord([weights]), "metrics": MetricRecord({"n": len(y)})}
    return Message(RecordDict(content), reply_to=message)


server_app = ServerApp()


@server_app.main()
def main(grid, context):
    nodes = context.run_config["nodes"]
    while len(list(grid.get_node_ids())) < nodes:
        time.sleep(0.1)
    weights, seconds = np.zeros(50), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        arrays = ArrayRecord([weights])
        replies = grid.send_and_receive(
            [
                Message(RecordDict({"arrays": arrays}), node, "train")
                for node in grid.get_node_ids()
            ]
        )
        answers = [
            (reply.content["arrays"].to_numpy_ndarrays()[0], reply.content["metrics"]["n"])
            for reply in replies
        ]
        total = sum(n for _, n in answers)
        weights = sum(w * (n / total) for w, n in answers)
        seconds.append(time.perf_counter() - started)
        note_round()
    folder = Path(context.run_config["results"]) / "run"
    folder.mkdir(parents=True)
    (folder / "result").write_bytes(pickle.dumps(weights))
    history = [{"seconds": s} for s in seconds]
    (folder / "run.json").write_text(json.dumps({"history": history}))
"""


def main() -> None:
    """Print what a round takes, the first one left out, and the ratio."""
    print("Simulation runtime, the same FedAvg (median of all rounds but the first, best run)")
    print("nodes   framework        hand-written     ratio of processor time   (at most 1.0)")
    with tempfile.TemporaryDirectory() as folder:
        for nodes, rounds, turns in CASES:
            best: dict[str, tuple[float, float]] = {}
            with simulation(nodes) as federation:
                for turn in range(turns):
                    for name, code in (("ours", OURS), ("theirs", THEIRS)):
                        place = Path(folder) / f"{name}{nodes}{turn}"
                        shared = SHARED.format(rounds=rounds, spent=place / "spent")
                        app = write_app(place, name, shared + code)
                        config = {"results": str(place / "out"), "nodes": nodes}
                        here = replace(federation, nodes=nodes)
                        run = submit(app, here, config, lambda line: None)
                        seconds = round_seconds(run.succeeded, place)
                        best[name] = min(seconds, best.get(name, seconds))
            (ours, wall), (theirs, their_wall) = best["ours"], best["theirs"]
            print(
                f"{nodes:5}  {ours:6.3f} s ({wall:.3f})  {theirs:6.3f} s ({their_wall:.3f})"
                f"  {ours / theirs:6.2f}",
                flush=True,
            )


def write_app(place: Path, name: str, code: str) -> Path:
    (place / name).mkdir(parents=True)
    (place / name / "__init__.py").touch()
    (place / name / "app.py").write_text(code)
    (place / "pyproject.toml").write_text(PYPROJECT.format(name=name))
    return place


def round_seconds(succeeded: bool, place: Path) -> tuple[float, float]:
    """Return a round's processor seconds, and its seconds by the clock."""
    if not succeeded:
        raise RuntimeError(f"a run of the benchmark failed; see {place}")
    spent = [float(line) for line in (place / "spent").read_text().split()]
    run = json.loads(next(place.glob("out/*/run.json")).read_text())
    return (
        statistics.median(later - before for before, later in pairwise(spent)),
        statistics.median(entry["seconds"] for entry in run["history"][1:]),
    )


if __name__ == "__main__":
    main()
