"""The Flower app: what ``pyproject.toml`` names."""

from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import MinCount

from .analysis import STUDY

COLUMNS = {
    "age": Column("number", low=0, high=120, unit="years"),
    "days": Column("number", low=0, high=36500, unit="days"),
    "sex": Column(values=STUDY.columns["sex"]),
    "stage": Column(values=STUDY.columns["stage"]),
    "died": Column(values=STUDY.groups),
}

HOSPITALS = {
    "expects": [Table("*.csv", COLUMNS)],
    # groups of about one size are no hint at the few by whom they differ: these are other people
    "disclosure": [MinCount(5, differences=False)],
}
"""What a hospital's file must be, and what of so few patients does not leave it."""

model = STUDY.model(**HOSPITALS)
server_app = model.server_app
client_app = model.client_app
