"""``flame-flwr check`` on an analysis whose noise differs in every run: no finding of its own."""

from flower_app import write_package
from forked_checks import forked_checks

from flame_flwr.testing.kit import check_path

APP = """
import numpy as np

from flame_flwr.privacy import GaussianNoise
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


def node_data(context):
    return float(context.node_config["partition-id"])


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return np.full(3, data)


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1


model = StarModel(
    Analyzer, Aggregator, "s3", simple_analysis=False, filters=[GaussianNoise(1.0, 1.0)]
)
server_app = model.server_app
client_app = model.client_app
"""


def test_noise_is_no_finding(tmp_path):
    app = write_package(tmp_path / "app", "noisy", APP, {"data": "noisy.app:node_data"})
    with forked_checks():
        report = check_path(app, nodes=2)
    assert [finding.text for finding in report.findings] == []
