"""The same study with its aggregator declared: what is merged how, when it stops, what it writes.

Numbers and files are those of :class:`halta.analysis.HaltaAggregator`. To run the study with it,
name ``halta.declared:server_app`` and ``halta.declared:client_app`` in the ``pyproject.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flame_flwr.aggregation import DeltaNorm, MaxRounds, PerNode, WeightedMean
from flame_flwr.star import StarModel
from flame_flwr.strategies import ReduceStrategy
from halta.analysis import MAX_ITERATIONS, RESULT_FILENAMES, SHOWN, TOLERANCE, HaltaAnalyzer
from halta.describe import merge
from halta.features import agree
from halta.plots import draw_age, draw_label, draw_sex
from halta.report import write_report

__all__ = ["HaltaStrategy", "client_app", "model", "server_app"]

AGE, REPORT, LABEL, SEX = RESULT_FILENAMES


class HaltaStrategy(ReduceStrategy):
    """First what each hospital says of its patients, side by side; then the averaged model."""

    first = PerNode()
    reductions = {"coef": WeightedMean("n_train"), "intercept": WeightedMean("n_train")}
    convergence = MaxRounds(MAX_ITERATIONS + 1) | DeltaNorm("coef", TOLERANCE)
    outputs = (
        (AGE, "bytes", lambda final: draw_age(final[0])),
        (REPORT, "str", lambda final: write_report(*final)),
        (LABEL, "bytes", lambda final: draw_label(final[0])),
        (SEX, "bytes", lambda final: draw_sex(final[0])),
    )

    def update(self, merged: Any, last: Any) -> dict[str, Any]:
        """Agree on the features in the first round; then say how far the weights have moved."""
        if last is None:
            self.sites, agreed = merged, agree(merged)
            start = {"coef": np.zeros(len(agreed.features)), "intercept": 0.0, "rounds": 0}
            return {**vars(agreed), **start, "change": float("inf")}
        change = float(np.linalg.norm(merged["coef"] - last["coef"]))
        return {**last, **merged, "rounds": last["rounds"] + 1, "change": change}

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Hand over what the report and the pictures are made of."""
        return merge(self.sites), agree(self.sites), aggregate, evaluations, TOLERANCE


model = StarModel(HaltaAnalyzer, HaltaStrategy, data_type="s3", query=[], shown=SHOWN)
client_app = model.client_app
server_app = model.server_app
