"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import MinCount
from flame_flwr.star import StarModel

from .analysis import CLASSES, LABEL, SMALLEST, Aggregator, Analyzer

DECLARED = {
    "data_type": "s3",
    "simple_analysis": False,
    "output_type": "str",
    "multiple_results": True,
}

COLUMNS = {
    LABEL: Column(values=CLASSES),
    "age": Column("number", low=0, high=120, unit="years"),
    "crp": Column("number", low=0, high=1000, unit="mg/l"),
    "temperature": Column("number", low=30, high=45, unit="degrees Celsius"),
}

HOSPITALS = {
    "expects": [Table("*.csv", COLUMNS, min_rows=40)],
    "disclosure": [MinCount(SMALLEST)],
}
"""What a hospital's files must be, and what of so few patients does not leave it."""

model = StarModel(
    Analyzer, Aggregator, filename=["model.json", "report.txt"], **DECLARED, **HOSPITALS
)
server_app = model.server_app
client_app = model.client_app
