"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import MinCount
from flame_flwr.star import StarModel

from .analysis import COLUMN, UNIT, Aggregator, Analyzer

DECLARED = {
    "data_type": "s3",
    "simple_analysis": True,
    "output_type": ["str", "bytes", "pickle"],
    "multiple_results": True,
}

HOSPITALS = {
    "expects": [Table("*.csv", {COLUMN: Column("number", low=2, high=25, unit=UNIT)})],
    "disclosure": [MinCount(5)],
}
"""What a hospital's files must be, and what of so few patients does not leave it."""

FILES = ["summary.txt", "histogram.png", "statistics.pkl"]

model = StarModel(Analyzer, Aggregator, filename=FILES, **DECLARED, **HOSPITALS)
server_app = model.server_app
client_app = model.client_app
