"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import MinCount

from .analysis import LEVELS, STUDY

COLUMNS = {
    "age": Column("number", low=0, high=120, unit="years"),
    "sex": Column(values=LEVELS["sex"]),
    "stage": Column(values=LEVELS["stage"]),
    "died": Column(values=[0, 1]),
}

HOSPITALS = {"expects": [Table("*.csv", COLUMNS)], "disclosure": [MinCount(5)]}
"""What a hospital's file must be, and of how many patients a level has to be to leave it."""

model = STUDY.model(**HOSPITALS)
server_app = model.server_app
client_app = model.client_app
