"""``Visible``: what can be seen of how many people a statistic is about, for disclosure rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Cells", "Visible", "whole"]

Cells = dict[Any, int]
"""Counts, by which cell of a statistic they are in."""


@dataclass(frozen=True)
class Visible:
    """The counts of people that can be read from a statistic.

    The rule on differences (:mod:`flame_flwr.privacy.differencing`) compares these sizes with
    those of the other statistics in an answer.

    Parameters
    ----------
    totals : tuple of (str or None, int)
        The sizes of the groups that it is about, each with the column of the table that was
        counted, or ``None`` for whole rows.
    parts : tuple of int
        The sizes of groups within it, such as bins or labels.
    tables : tuple of (object, dict)
        Counts by cell, each after a key that says which cells these are: two tables with one key
        can be subtracted, cell by cell.
    cells : int
        How many bins, labels, cells or times it has.
    unfitted : int or None
        How many values fit none of its labels, missing ones apart; ``None`` where that is withheld.

    Examples
    --------
    >>> from flame_flwr.statistics import RowCount
    >>> RowCount(31).visible.totals
    ((None, 31),)
    """

    totals: tuple[tuple[str | None, int], ...] = ()
    parts: tuple[int, ...] = ()
    tables: tuple[tuple[object, Cells], ...] = ()
    cells: int = 0
    unfitted: int | None = 0

    @property
    def sizes(self) -> set[int]:
        """The sizes of the groups that it is about, of whatever column."""
        return {size for _, size in self.totals}


def whole(size: int) -> tuple[tuple[None, int], ...]:
    """Return the totals of a statistic that is about one group, which may be empty."""
    return ((None, size),) if size else ()
