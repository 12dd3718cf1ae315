"""The study for hospitals that let sums out only: the server reads no hospital's own figures.

The first round asks for sums over the columns that the protocol names, in place of each hospital's
own; training is the same. To run the study with it, name ``halta.summed:server_app`` and
``halta.summed:client_app`` in the ``pyproject.toml``, and ``secure = true`` or false there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flame_flwr.aggregation import Sum, WeightedMean
from flame_flwr.star import StarModel
from halta.analysis import SHOWN, TOLERANCE, HaltaAnalyzer, training_rows
from halta.cohort import LABEL, load_cohort
from halta.declared import HaltaStrategy
from halta.describe import Merged, describe
from halta.features import Agreement, agree, candidates, is_symptom, moments
from halta.schema import ACUTE_SYMPTOMS, QUESTIONNAIRES, SITE_SYMPTOMS, VISIT_SYMPTOMS

__all__ = ["FEATURES", "SummedAnalyzer", "SummedStrategy", "client_app", "model", "server_app"]

_EXTRA = [name for _, extra in SITE_SYMPTOMS for name in extra]
_NAMES = [
    *(f"acute_{name}" for name in ACUTE_SYMPTOMS),
    *(f"visit{k}_{name}" for k in (1, 2) for name in (*VISIT_SYMPTOMS, *_EXTRA)),
    *filter(is_symptom, QUESTIONNAIRES),
]
FEATURES = sorted([*_NAMES, "age", "female"])
"""What the protocol asks every hospital for; sums need to have the same form everywhere."""

COLUMNS = sorted([*_NAMES, "age", "sex", LABEL])
"""The columns whose empty cells are counted."""

ALL = "all hospitals"
"""In place of a hospital's name: no figure is of one."""

_SUMS = ("hospitals", "n_rows", "age", "sex", "label", "empty", "recorded", "filled")
_MOMENTS = ("counts", "sums", "sums_of_squares")
_COUNTS = ("true_positive", "false_negative", "true_negative", "false_positive")


class SummedAnalyzer(HaltaAnalyzer):
    """Counts one hospital's patients in the form that all hospitals have; trains as before."""

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Return what is summed in the first round; then the model and its weight."""
        if aggregator_results is not None:
            return super().analysis_method(data, aggregator_results)
        cohort = load_cohort(data)
        own = candidates(cohort.table)
        features = [name for name in FEATURES if name in own]
        self.say_left_out(cohort, features)
        x = training_rows(cohort, features)
        places = [FEATURES.index(name) for name in features]
        found = {key: _spread(values, places) for key, values in moments(x).items()}
        described, rows = describe(cohort), len(cohort.table)
        # a column that a hospital has not is empty there
        empty = [described["missing"].get(name, rows) for name in COLUMNS]
        return {
            "hospitals": 1,
            **{key: described[key] for key in ("n_rows", "age", "sex", "label")},
            "empty": np.array(empty),
            "recorded": _spread(np.ones(len(places), np.int64), places),
            "filled": (found["counts"] > 0).astype(np.int64),
            **found,
        }


class SummedStrategy(HaltaStrategy):
    """As :class:`halta.declared.HaltaStrategy`, of sums alone."""

    first: Any = dict.fromkeys((*_SUMS, *_MOMENTS), Sum())
    score_sums = {
        **dict.fromkeys(("n_test", *_COUNTS), Sum()),
        **dict.fromkeys(("accuracy", "majority_accuracy"), WeightedMean("n_test")),
    }
    secure = True

    def update(self, merged: Any, last: Any) -> dict[str, Any]:
        """Agree on the features in the first round; then go on as with every hospital's own."""
        if last is not None:
            return super().update(merged, last)
        self.sums, agreed = merged, _agreed(merged)
        start = {"coef": np.zeros(len(agreed.features)), "intercept": 0.0, "rounds": 0}
        kept = {"features": agreed.features, "means": agreed.means}
        return {**kept, "deviations": agreed.deviations, **start, "change": float("inf")}

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Hand over what the report and the pictures are made of."""
        scored = dict(zip([ALL], evaluations.values(), strict=True))
        return _merged(self.sums), _agreed(self.sums), aggregate, scored, TOLERANCE


def _spread(values: Any, places: list[int]) -> Any:
    """Return values at their features' places, zeros elsewhere."""
    spread = np.zeros(len(FEATURES), values.dtype)
    spread[places] = values
    return spread


def _agreed(sums: Mapping[str, Any]) -> Agreement:
    """Agree as :func:`halta.features.agree`, on what every hospital has recorded."""
    count = sums["hospitals"]
    left_out, kept = {}, []
    for place, name in enumerate(FEATURES):
        recorded, filled = int(sums["recorded"][place]), int(sums["filled"][place])
        if recorded == filled == count:
            kept.append(place)
        elif recorded:
            what = "no such column" if recorded < count else "never filled in"
            missing = count - (recorded if recorded < count else filled)
            left_out[name] = f"{what} at {missing} of {count} hospitals"
    of_kept = {key: sums[key][kept] for key in _MOMENTS}
    agreed = agree({ALL: {"features": [FEATURES[place] for place in kept], **of_kept}})
    return Agreement(
        agreed.features,
        agreed.means,
        agreed.deviations,
        dict(sorted({**left_out, **agreed.left_out}.items())),
    )


def _merged(sums: Mapping[str, Any]) -> Merged:
    rows = sums["n_rows"]
    return Merged(
        sites=[ALL],
        rows=np.array([rows]),
        columns=np.array([len(COLUMNS)]),
        missing={
            name: np.array([empty])
            for name, empty in zip(COLUMNS, sums["empty"].tolist(), strict=True)
            if empty < rows
        },
        hospitals=sums["hospitals"],
        **{key: sums[key][:, None] for key in ("age", "sex", "label")},
    )


model = StarModel(SummedAnalyzer, SummedStrategy, data_type="s3", query=[], shown=SHOWN)
client_app = model.client_app
server_app = model.server_app
