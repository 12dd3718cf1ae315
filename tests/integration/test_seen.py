"""What one sees of a run, in Flower's simulation and on a real deployment."""

import csv
import json
import re

import pytest
from deployed_app import PYPROJECT
from deployment import Deployment

pytestmark = pytest.mark.simulation

HEAD = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1

"""

SOURCE = """
class Analyzer(Analyzer):
    def analysis_method(self, data, aggregator_results):
        data = data if isinstance(data, float) else float(len(data[0]["rows.csv"]))
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


def look(folder, log, nodes, losses):
    """See that a run of two rounds shows the same everywhere."""
    for number in (1, 2):
        everyone = f"{len(nodes)} of {len(nodes)} nodes"
        found = rf"round {number}: {everyone}, [0-9.]+ s, \d+ B received, loss"
        assert re.search(found, log), log
    assert re.search(r"round 2: .*: has_converged returned True", log)
    assert re.search(rf"evaluation: {len(nodes)} of {len(nodes)} nodes, auc 0.5", log)
    assert "━" not in log
    rows = list(csv.DictReader((folder / "history.csv").open(newline="")))
    expected = [
        (node, loss / number) for number in (1, 2) for node, loss in zip(nodes, losses, strict=True)
    ]
    assert [(row["node"], float(row["loss"])) for row in rows] == expected
    about = json.loads((folder / "run.json").read_text())
    assert about["evaluations"] == {node: {"auc": 0.5} for node in nodes}
    assert about["study"]["analyzer"] == "Analyzer"
    assert {node: each[0]["what"] for node, each in about["left"].items()} == dict.fromkeys(
        nodes, "float"
    )
    read = events(folder)
    for node in nodes:
        assert read[f"loss/{node}"] == [1, 2]
        assert read[f"evaluation/auc/{node}"] == [2]
    page = (folder / "report.html").read_text()
    for shown in (*nodes, "has_converged returned True", "data:image/svg+xml;base64,", "auc"):
        assert shown in page, shown
    return about


def test_a_simulation_shows_its_rounds_and_leaves_a_report(run_app):
    done = run_app(SOURCE, report="on", tensorboard="on")
    assert done.succeeded, done.log
    about = look(done.folder, done.log, ["node-0", "node-1", "node-2"], [1.0, 2.0, 3.0])
    assert about["sizes"] == dict.fromkeys(about["nodes"], "float")


def test_a_deployment_does_too_and_says_how_much_data_where_the_hospital_lets_it(tmp_path):
    app = tmp_path / "app" / "seenapp"
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    model = "\nmodel = StarModel(Analyzer, Aggregator, 's3', simple_analysis=False)\n"
    apps = "server_app = model.server_app\nclient_app = model.client_app\n"
    (app / "app.py").write_text(HEAD + SOURCE + model + apps)
    config = f'nodes = 2\nresults = "{tmp_path / "results"}"\nreport = "on"\ntensorboard = "on"'
    (app.parent / "pyproject.toml").write_text(
        PYPROJECT.format(package="seenapp", version="1.0.0", config=config)
    )
    for name, content in (("a", b"12"), ("b", b"1234")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_bytes(content)
    with Deployment(tmp_path / "flower") as flower:
        flower.start_node("a", data=str(tmp_path / "a"), share_size=True)
        flower.start_node("b", data=str(tmp_path / "b"))
        ended, log = flower.run(app.parent, on_line=print)
        assert ended.succeeded, log + flower.logs()
    [folder] = (tmp_path / "results").iterdir()
    about = look(folder, log, ["a", "b"], [2.0, 4.0])
    assert about["sizes"] == {"a": "1 file, 2 B"}
