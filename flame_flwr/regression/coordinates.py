"""Columns that are centred and scaled while a regression is computed, and the way back.

A year has 2000 in every row, and sums of its squares lose what tells its rows apart. The
coefficients are those of the columns as the formula has them.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import numpy as np

from flame_flwr.regression.sites import intercepts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.statistics.values import Numbers

__all__ = ["Standard", "original", "shifts", "standardized"]

Standard = dict[str, list[float]]
"""Mean and deviation, by column."""


def standardized(
    table: Numbers,
    columns: Sequence[str],
    standard: Mapping[str, list[float]],
    *,
    centred: bool = False,
) -> Numbers:
    """Return a design with its columns scaled, and centred where there is an intercept.

    With `centred` in any case, as for Cox's model, of which a constant is no part.
    """
    centres, scales = shifts(columns, standard, centred=centred)
    moved = table - centres
    return np.divide(moved, scales, out=moved)


def shifts(
    columns: Sequence[str], standard: Mapping[str, list[float]], *, centred: bool = False
) -> tuple[Numbers, Numbers]:
    """Return what is subtracted from each column, and by what it is divided then."""
    centred = centred or bool(intercepts(columns))
    pairs = [standard.get(name, [0.0, 1.0]) for name in columns]
    centres = np.array([mean if centred else 0.0 for mean, _ in pairs])
    return centres, np.array([deviation for _, deviation in pairs])


def original(
    coefficients: Numbers,
    covariance: Sequence[Sequence[Decimal]],
    columns: Sequence[str],
    standard: Mapping[str, list[float]],
) -> tuple[Numbers, Numbers]:
    """Return coefficients and covariance of the columns as the formula has them.

    With 60 digits: an intercept far from the data has a covariance of large parts that cancel.
    """
    with localcontext(prec=60):
        p = len(columns)
        centres, scales = (list(map(Decimal, part)) for part in shifts(columns, standard))
        # by row what a coefficient is a sum of: an intercept takes back the others' centres
        rows = [{j: 1 / scales[j]} for j in range(p)]
        for place in intercepts(columns):
            rows[place] |= {j: -centres[j] / scales[j] for j in range(p) if centres[j]}
        values = list(map(Decimal, coefficients))
        moved = [sum(part * values[j] for j, part in row.items()) for row in rows]
        half = [
            [sum(part * covariance[j][k] for j, part in row.items()) for k in range(p)]
            for row in rows
        ]
        whole = [[sum(part * line[k] for k, part in row.items()) for row in rows] for line in half]
        return np.array(moved, dtype=np.float64), np.array(whole, dtype=np.float64)
