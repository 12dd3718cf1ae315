"""The analysis as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from flame_flwr.data.expect import Column, Table
from flame_flwr.star import StarModel
from pancreas.analysis import FederatedLogisticRegression, PancreasAnalyzer, Scaling
from pancreas.hospitals import MEASUREMENTS
from pancreas.table import FILE

__all__ = ["EXPECTED", "SCALING", "client_app", "model", "server_app"]

SCALING: Scaling = "none"  # the tutorial as it stands; "merged" is the better choice, see README.md

EXPECTED = Table(
    FILE,
    {name: Column("number", low=0, most_missing=0) for name in MEASUREMENTS},
    min_rows=10,
)
"""What every hospital's file must be, before the first round."""

model = StarModel(
    PancreasAnalyzer,
    FederatedLogisticRegression,
    "s3",
    simple_analysis=False,
    output_type="pickle",
    filename="coefficients.pkl",
    analyzer_kwargs={"columns": MEASUREMENTS, "scaling": SCALING},
    expects=[EXPECTED],
)

client_app = model.client_app
server_app = model.server_app
