"""What one sees of a run in Flower's simulation; examples/cross_site looks at a deployment."""

import csv
import re

import pytest

pytestmark = pytest.mark.simulation

SOURCE = """
class Analyzer(Analyzer):
    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(loss=data / (1 + self.num_iterations))
        return data + self.num_iterations

    def evaluation_method(self, data, result):
        return {"auc": 0.5}
"""


def events(folder):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulators.EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {tag: [event.step for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_a_simulation_shows_its_rounds_and_leaves_a_report(run_app):
    done = run_app(SOURCE, report="on", tensorboard="on")
    assert done.succeeded, done.log
    nodes = ["node-0", "node-1", "node-2"]
    for number in (1, 2):
        found = rf"round {number}: 3 of 3 nodes, [0-9.]+ s, \d+ B received, loss"
        assert re.search(found, done.log), done.log
    assert re.search(r"round 2: .*: has_converged returned True", done.log)
    assert "evaluation: 3 of 3 nodes, auc 0.5" in done.log
    assert "━" not in done.log
    rows = list(csv.DictReader((done.folder / "history.csv").open(newline="")))
    expected = [(f"node-{k}", (k + 1) / number) for number in (1, 2) for k in range(3)]
    assert [(row["node"], float(row["loss"])) for row in rows] == expected
    assert done.run["evaluations"] == {node: {"auc": 0.5} for node in nodes}
    assert done.run["study"]["analyzer"] == "Analyzer"
    left = {node: each[0]["what"] for node, each in done.run["left"].items()}
    assert left == done.run["sizes"] == dict.fromkeys(nodes, "float")
    read = events(done.folder)
    for node in nodes:
        assert read[f"loss/{node}"] == [1, 2]
        assert read[f"evaluation/auc/{node}"] == [2]
    page = (done.folder / "report.html").read_text()
    for shown in (*nodes, "has_converged returned True", "data:image/svg+xml;base64,", "auc"):
        assert shown in page, shown
