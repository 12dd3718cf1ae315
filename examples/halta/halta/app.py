"""The study as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from flame_flwr.star import StarModel
from halta.analysis import RESULT_FILENAMES, HaltaAggregator, HaltaAnalyzer

__all__ = ["client_app", "model", "server_app"]

model = StarModel(
    analyzer=HaltaAnalyzer,
    aggregator=HaltaAggregator,
    data_type="s3",
    query=[],
    multiple_results=True,
    simple_analysis=False,
    output_type=["bytes", "str", "bytes", "bytes"],
    filename=RESULT_FILENAMES,
)

client_app = model.client_app
server_app = model.server_app
