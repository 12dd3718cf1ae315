"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import MinCount
from flame_flwr.star import StarModel

from .analysis import GROUP, GROUPS, VALUE, Aggregator, Analyzer

DECLARED = {"data_type": "s3", "simple_analysis": True, "output_type": "str"}

HOSPITALS = {
    "expects": [Table("*.csv", {GROUP: Column(values=GROUPS), VALUE: Column("number", low=0)})],
    "disclosure": [MinCount(5)],
}
"""What a hospital's files must be, and what of so few patients does not leave it."""

model = StarModel(Analyzer, Aggregator, filename="table.txt", **DECLARED, **HOSPITALS)
server_app = model.server_app
client_app = model.client_app
