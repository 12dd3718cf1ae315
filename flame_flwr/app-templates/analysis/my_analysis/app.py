"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.star import StarModel

from .analysis import Aggregator, Analyzer

DECLARED = {"data_type": "s3", "simple_analysis": True, "output_type": "str"}

model = StarModel(Analyzer, Aggregator, filename="table.txt", **DECLARED)
server_app = model.server_app
client_app = model.client_app
