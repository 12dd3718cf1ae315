"""The analysis as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from fedstats.analysis import CoxAnalyzer, MetaAnalysis
from fedstats.survival import Columns
from flame_flwr.star import StarModel

__all__ = ["COLUMNS", "client_app", "model", "server_app"]

COLUMNS: Columns = {
    "duration": "week",
    "event": "arrest",
    "covariates": ["fin", "age", "wexp", "prio"],
}

model = StarModel(
    CoxAnalyzer,
    MetaAnalysis,
    data_type="s3",
    filename="meta_analysis.txt",
    analyzer_kwargs=COLUMNS,
)

client_app = model.client_app
server_app = model.server_app
