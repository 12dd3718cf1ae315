"""A node whose Flower is not one that is known: Flower's own program, slow and right."""

import json

import pytest
from flower_app import write_package

APP = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return self.num_iterations + 1


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


def node_data(context):
    return 1


model = StarModel(Analyzer, Aggregator, "s3", simple_analysis=False)
client_app = model.client_app
server_app = model.server_app
"""
ALTERED = """
from flame_flwr import flower_fingerprints

flower_fingerprints._KNOWN["cli.install:install_from_fab"] = "another"
"""


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_a_run_completes_with_another_flower(deployment, tmp_path):
    """Beside a node that has a gate; each does as it says."""
    app = write_package(tmp_path / "app", "counted", APP, {"results": "", "nodes": ""})
    (tmp_path / "altered").mkdir()
    (tmp_path / "altered" / "sitecustomize.py").write_text(ALTERED)
    deployment.configure("far", data="counted.app:node_data")
    with deployment.nodes("near", data="counted.app:node_data"):
        start = deployment.parties / "far" / "start.sh"
        deployment.start("far", start, PYTHONPATH=str(tmp_path / "altered"))
        try:
            results = tmp_path / "results"
            ended, log = deployment.run(app, "far,near", results=str(results))
            assert ended.succeeded, f"{log}\n{deployment.logs()}"
        finally:
            deployment.stop("far")
    said = deployment.log("far")
    assert "cli.install:install_from_fab" in said
    assert "no gate, no approval and no sandbox" in said
    [record] = results.glob("*/run.json")
    run = json.loads(record.read_text())
    assert (run["nodes"], run["rounds"], run["failures"]) == (["far", "near"], 3, [])
    assert (record.parent / "result").read_text() == "6"
