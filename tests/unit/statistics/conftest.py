"""One way to make every statistic of some rows, for the laws that all of them keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from flame_flwr.statistics import (
    AUC,
    BaselineHazards,
    ContingencyTable,
    Covariance,
    Histogram,
    KaplanMeier,
    LogRank,
    MetaAnalysis,
    MinMax,
    Missingness,
    Moments,
    Quantiles,
    RowCount,
    ScoreInformation,
    SiteFits,
    Statistic,
    Total,
    ValueCounts,
    describe,
)
from flame_flwr.statistics.description import Description
from flame_flwr.statistics.fields import COUNT, LARGEST

GRID = tuple(range(1, 13))
SEXES = ("f", "m")


@dataclass(frozen=True)
class Own(Statistic):
    """A user's own: the largest of whole numbers, and how many."""

    n: int = field(metadata=COUNT)
    largest: int | None = field(metadata=LARGEST)

    @classmethod
    def from_data(cls, values):
        return cls(len(values), max(map(int, values), default=None))

    def result(self):
        return {"largest": self.largest, "suppressed": self.suppressed}

    @property
    def size(self):
        return self.n


def scores(t):
    """The sums of a line through the scores, each of them exact."""
    values = [Fraction(value) for value in t["score"]]
    total, squares = sum(values, Fraction(0)), sum((v * v for v in values), Fraction(0))
    women = t["sex"] == "f"
    return ScoreInformation.from_data(
        ["Intercept", "score"],
        len(t),
        [total, squares],
        [Fraction(len(t)), total, squares],
        {"objective": squares},
        events=int(t["ill"].sum()),
        cells={"sex=f": (int(women.sum()), int(t["ill"][women].sum()))},
        counted="rarer",
    )


KINDS = {
    "rows": (lambda t: RowCount.from_data(t), lambda: RowCount.zero()),
    "missing": (
        lambda t: Missingness.from_data(t[["age", "sex"]]),
        lambda: Missingness.zero(["age", "sex"]),
    ),
    "total": (lambda t: Total.from_data(t["age"]), lambda: Total.zero()),
    "moments": (lambda t: Moments.from_data(t["age"]), lambda: Moments.zero()),
    "minmax": (lambda t: MinMax.from_data(t["age"]), lambda: MinMax.zero()),
    "covariance": (
        lambda t: Covariance.from_data(t[["age", "score", "time"]]),
        lambda: Covariance.zero(["age", "score", "time"]),
    ),
    "histogram": (
        lambda t: Histogram.from_data(t["age"], [0, 20.5, 60, 80]),
        lambda: Histogram.zero([0, 20.5, 60, 80]),
    ),
    "labels": (lambda t: ValueCounts.from_data(t["sex"]), lambda: ValueCounts.zero()),
    "declared": (
        lambda t: ValueCounts.from_data(t["sex"], SEXES),
        lambda: ValueCounts.zero(SEXES),
    ),
    "table": (
        lambda t: ContingencyTable.from_data(t["sex"], t["ill"], SEXES, [0, 1]),
        lambda: ContingencyTable.zero(SEXES, [0, 1]),
    ),
    "quantiles": (lambda t: Quantiles.from_data(t["age"]), lambda: Quantiles.zero()),
    "survival": (
        lambda t: KaplanMeier.from_data(t["time"], t["ill"], GRID),
        lambda: KaplanMeier.zero(GRID),
    ),
    "logrank": (
        lambda t: LogRank.from_data(t["time"], t["ill"], t["sex"], SEXES, GRID),
        lambda: LogRank.zero(SEXES, GRID),
    ),
    "auc": (lambda t: AUC.from_data(t["ill"], t["score"], bins=20), lambda: AUC.zero(20)),
    "meta": (
        lambda t: MetaAnalysis.from_data(float(t["score"].sum()), 0.1 + len(t) / 7, len(t)),
        lambda: MetaAnalysis.zero(),
    ),
    "hazards": (
        lambda t: BaselineHazards.from_data(
            GRID[:2],
            [
                (f"of {len(t)}", sex, [0.1 + len(rows), 0.5 + len(rows)], len(rows), [2, 7])
                for sex, rows in t.groupby("sex")
            ],
        ),
        lambda: BaselineHazards.zero(GRID[:2]),
    ),
    "fits": (
        lambda t: SiteFits.from_data(
            f"of {len(t)}",
            "rarer",
            len(t),
            int(t["ill"].sum()),
            [("score", float(t["score"].sum()), 0.1 + len(t) / 7), ("age", -0.0, 2.0)],
            [("sex=f", int((t["sex"] == "f").sum()), int(t["ill"][t["sex"] == "f"].sum()))],
        ),
        lambda: SiteFits.zero(),
    ),
    "scores": (
        scores,
        lambda: ScoreInformation.zero(["Intercept", "score"], ["objective"], ["sex=f"], "rarer"),
    ),
    "describe": (
        lambda t: describe(t[["age", "sex"]].astype({"age": float}), {"sex": SEXES}),
        lambda: Description.zero({"age": float, "sex": SEXES}),
    ),
    "own": (lambda t: Own.from_data(t["time"]), lambda: Own.zero()),
}
"""Name of a statistic: how it is made of a table, and its zero."""

_ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(0, 99).map(float)),
        st.sampled_from(["f", "m", "x", None]),
        st.integers(0, 12),
        st.integers(0, 1),
        st.floats(0, 1),
    ),
    max_size=12,
)


def table(rows):
    found = pd.DataFrame(rows, columns=["age", "sex", "time", "ill", "score"])
    return found.astype({"age": float, "sex": object, "time": int, "ill": int, "score": float})


TABLES = _ROWS.map(table)


@pytest.fixture(scope="session")
def patients():
    """300 invented patients, with what is missing in real data."""
    rng = np.random.default_rng(7)
    n = 300
    ill = rng.integers(0, 2, n)
    age = np.round(rng.normal(55, 15, n), 1)
    age[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "sex": rng.choice(["f", "m", "x", None], n, p=[0.5, 0.4, 0.05, 0.05]),
            "time": rng.integers(0, 13, n),
            "ill": ill,
            "score": np.clip(rng.normal(0.4 + 0.2 * ill, 0.2, n), 0, 1),
        }
    )


@pytest.fixture(scope="session")
def sites(patients):
    """The same patients at four hospitals of different sizes, one of them empty."""
    return [patients[:40], patients[40:45], patients[45:45], patients[45:]]
