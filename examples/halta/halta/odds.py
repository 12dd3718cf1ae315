"""A second result beside the vector machine: the same features in a logistic regression.

Odds ratios with confidence intervals, as one would print them; they are those that the patients of
all hospitals together would give. To run it, name ``halta.odds:server_app`` and
``halta.odds:client_app`` in the ``pyproject.toml``, with ``flame-flwr[regression]`` on every node.

As in the study, an unknown value becomes the mean of all hospitals. A regression's first round asks
for means and deviations of its columns anyway, so that it computes on scaled ones: here they are of
the known values. It takes all patients whose label is known: none is held out, as nothing is
predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from flame_flwr.regression import GLM, RegressionStrategy
from flame_flwr.regression.strategy import files
from flame_flwr.star import StarModel
from flame_flwr.statistics import Moments
from halta.cohort import LABEL, Cohort, load_cohort
from halta.features import feature_matrix, is_symptom
from halta.schema import ACUTE_SYMPTOMS, QUESTIONNAIRES, SITE_SYMPTOMS, VISIT_SYMPTOMS

__all__ = ["FEATURES", "STUDY", "OddsAnalyzer", "client_app", "model", "server_app"]

_NOT_EVERYWHERE = {name for lacking, _ in SITE_SYMPTOMS for name in lacking}
_ASKED = [name for name in VISIT_SYMPTOMS if name not in _NOT_EVERYWHERE]
FEATURES = sorted(
    [
        *(f"acute_{name}" for name in ACUTE_SYMPTOMS),
        *(f"visit{k}_{name}" for k in (1, 2) for name in _ASKED),
        *filter(is_symptom, QUESTIONNAIRES),
        *("age", "female"),
    ]
)
"""What every hospital asks for: a formula has its columns before anybody has looked."""

STUDY = GLM(f"{LABEL} ~ {' + '.join(FEATURES)}", "binomial")


class OddsAnalyzer(STUDY.analyzer):  # type: ignore[name-defined, misc]
    """Sums up one hospital's patients, in whose unknown values the means of all stand."""

    means: Mapping[str, float] = {}

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Return what hospitals agree on, of known values; then the sums of a step."""
        asked = aggregator_results
        if asked["stage"] != "agree":
            self.means = {name: mean for name, (mean, _) in asked["standard"].items()}
        found: dict[str, Any] = super().analysis_method(data, asked)
        if asked["stage"] == "agree":
            known = _features(load_cohort(data))
            found["agreed"]["numbers"] = {name: Moments.from_data(known[name]) for name in known}
        return found

    def table(self, data: Any) -> pd.DataFrame:
        """Return features and label of the patients with a label."""
        cohort = load_cohort(data)
        fill: Any = self.means or 0.0  # which nobody looks at before there are means
        filled = _features(cohort).fillna(fill)
        return filled.assign(**{LABEL: cohort.labels[cohort.known]})


def _features(cohort: Cohort) -> pd.DataFrame:
    values = feature_matrix(cohort.table[cohort.known], FEATURES)
    return pd.DataFrame(values, columns=FEATURES)


model = StarModel(OddsAnalyzer, RegressionStrategy(STUDY, outputs=files()), "s3", query=[])
client_app = model.client_app
server_app = model.server_app
