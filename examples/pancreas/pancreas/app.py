"""The analysis as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from flame_flwr.star import StarModel
from pancreas.analysis import FederatedLogisticRegression, PancreasAnalyzer, Scaling
from pancreas.hospitals import MEASUREMENTS

__all__ = ["SCALING", "client_app", "model", "server_app"]

SCALING: Scaling = "none"  # the tutorial as it stands; "merged" is the better choice, see README.md

model = StarModel(
    PancreasAnalyzer,
    FederatedLogisticRegression,
    "s3",
    simple_analysis=False,
    output_type="pickle",
    filename="coefficients.pkl",
    analyzer_kwargs={"columns": MEASUREMENTS, "scaling": SCALING},
)

client_app = model.client_app
server_app = model.server_app
