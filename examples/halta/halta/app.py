"""The study as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from flame_flwr.data.expect import Column, Table
from flame_flwr.star import StarModel
from halta.analysis import RESULT_FILENAMES, SHOWN, HaltaAggregator, HaltaAnalyzer
from halta.cohort import LABEL
from halta.features import OLDEST

__all__ = ["EXPECTED", "client_app", "model", "server_app"]

EXPECTED = Table(
    ("labeled.csv", "*[-_.]labeled.csv", "labelled.csv", "*[-_.]labelled.csv"),
    {
        LABEL: Column(values=["1", "0", "yes", "no", "true", "false"]),
        "age": Column("number", low=0, high=OLDEST, unit="years", required=False, stops=False),
    },
    min_rows=20,
)
"""What every hospital's file must be, before the first round; impossible ages are only told."""

model = StarModel(
    analyzer=HaltaAnalyzer,
    aggregator=HaltaAggregator,
    data_type="s3",
    query=[],
    multiple_results=True,
    simple_analysis=False,
    output_type=["bytes", "str", "bytes", "bytes"],
    filename=RESULT_FILENAMES,
    expects=[EXPECTED],
    shown=SHOWN,
)

client_app = model.client_app
server_app = model.server_app
