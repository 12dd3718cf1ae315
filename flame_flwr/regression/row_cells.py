"""The cells of a regression: which rows each of its sums is of, by what the cell is called.

Rules look at how many rows, or people, each cell has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from flame_flwr.regression.formula import Design
    from flame_flwr.statistics.values import Numbers

__all__ = ["ALL", "level_cells", "number_cells"]

ALL = "all rows"
"""The name of the cell of all of them."""

_FEW, _LOOK = 3, 100
"""Sums of a column of as many values tell how many rows have each; that there are more is seen in
the first rows."""


def number_cells(
    names: Sequence[str], table: Numbers, numbers: Sequence[str]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which rows a column's sums are of, and of few values, or of nearly one, the others.

    A column of 1 and 2 tells the same as one of 0 and 1. The names do not say what the values are.
    """
    others = np.asfortranarray(table != 0)
    binary = (table == others).all(axis=0)
    cells = {}
    for j, name in enumerate(names):
        if name in numbers:
            cells[f"{name} other than 0"] = others[:, j]
            cells[f"{name}=0"] = ~others[:, j] & binary[j]
            rarest, uncommon = _rare_rows(np.ascontiguousarray(table[:, j]))
            cells[f"{name} of its rarest value"] = rarest
            cells[f"{name} of another than its commonest value"] = uncommon
    return cells


def level_cells(design: Design, ready: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield every combination of levels that a term has, and which rows have it."""
    import pandas as pd

    for term in design.terms:
        found: dict[str, Any] = {"": True}
        for factor in term.factors:
            name = factor.expr
            # `C(stage, levels=[1, 2])` is the column `stage`
            if factor.eval_method.value == "python" and name.startswith("C("):
                name = name[2:].split(",")[0].rstrip(")").strip()
            column = ready.get(name)
            if isinstance(column, pd.Categorical):
                found = {
                    f"{cell} and {name}={level}" if cell else f"{name}={level}": rows
                    & (column.codes == code)
                    for cell, rows in found.items()
                    for code, level in enumerate(column.categories)
                }
        found.pop("", None)
        yield from found.items()


def _rare_rows(column: Numbers) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the rows with the rarest of up to three values, and those without one of most rows.

    Sorting a column takes longer than a step of the regression, and most need none.
    """
    none = np.zeros(len(column), dtype=bool)
    if len(np.unique(column[:_LOOK])) <= _FEW:
        values, counts = np.unique(column, return_counts=True)
        if len(values) < 2:
            return none, none
        if len(values) <= _FEW:
            commonest = counts.argmax()
            uncommon = column != values[commonest] if 2 * counts.max() > len(column) else none
            return column == values[counts.argmin()], uncommon
    if not (column == np.roll(column, 1)).any():  # two of most rows would be neighbours, in a ring
        return none, none
    middle = len(column) // 2
    others = column != np.partition(column, middle)[middle]  # which is of most rows, if any is
    return none, others if 2 * others.sum() < len(column) else none
