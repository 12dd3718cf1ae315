"""``flame-flwr check`` on an analysis whose noise differs in every run: no finding of its own."""

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

PYPROJECT = """
[project]
name = "noisy"
version = "1.0.0"

[tool.flwr.app.components]
serverapp = "noisy.app:server_app"
clientapp = "noisy.app:client_app"

[tool.flwr.app.config]
data = "noisy.app:node_data"
"""


def test_noise_is_no_finding(tmp_path):
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy" / "__init__.py").touch()
    (tmp_path / "noisy" / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    report = check_path(tmp_path, nodes=2)
    assert [finding.text for finding in report.findings] == []
