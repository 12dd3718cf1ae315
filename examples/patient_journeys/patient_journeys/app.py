"""The study as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from flame_flwr.data.expect import Column, Table
from flame_flwr.star import StarModel
from patient_journeys.analysis import JourneyAnalyzer, JourneyStrategy
from patient_journeys.events import OBSERVATIONS, PATIENTS

__all__ = ["EXPECTED", "client_app", "model", "server_app"]

EXPECTED = [
    Table(PATIENTS, {"Id": Column(), "GENDER": Column(values=["M", "F"], most_missing=0)}),
    Table(OBSERVATIONS, {"PATIENT": Column(), "DATE": Column("date"), "CODE": Column()}),
]
"""What every centre's files must be, before the first round."""

model = StarModel(
    JourneyAnalyzer,
    JourneyStrategy,
    data_type="s3",
    query=[PATIENTS, OBSERVATIONS],
    expects=EXPECTED,
)
client_app = model.client_app
server_app = model.server_app
