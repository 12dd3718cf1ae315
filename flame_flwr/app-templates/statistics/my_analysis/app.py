"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.star import StarModel

from .analysis import Aggregator, Analyzer

DECLARED = {
    "data_type": "s3",
    "simple_analysis": True,
    "output_type": ["str", "bytes", "pickle"],
    "multiple_results": True,
}

FILES = ["summary.txt", "histogram.png", "statistics.pkl"]

model = StarModel(Analyzer, Aggregator, filename=FILES, **DECLARED)
server_app = model.server_app
client_app = model.client_app
