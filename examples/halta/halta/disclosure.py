"""Nothing printed may show a group of fewer than five patients.

A count of 1 to 4 is shown as ``<5``. That alone hides little where a sum stands beside it, so
other numbers of the same line are rounded to tens and marked ``~`` until no hidden number follows
from a single sum. This is a simple form of the complementary suppression that statistical offices
use (Hundepool et al., *Statistical Disclosure Control*, 2012, chapter 4): a barrier against a
careless reader, not against someone who combines this report with other tables. Zero is shown:
an empty group tells of no patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SMALLEST", "ProtectedTable", "count_text", "percent_text", "protect", "share_texts"]

SMALLEST = 5  # patients; the smallest group that is shown
_DRAWN = 2.5  # the height a hidden group is drawn with

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ProtectedTable:
    """A table of groups by hospitals, fit to be shown.

    Attributes
    ----------
    text : list of list of str
        One row per group; one entry per hospital and then the sum over all of them.
    heights : ndarray of float64, shape (n_groups, n_sites)
        For drawing: the count, its rounded value, or 2.5 where it is hidden.
    hidden, rounded : ndarray of bool, shape (n_groups, n_sites + 1)
        Which entries of ``text`` are ``<5`` and which begin with ``~``.
    """

    text: list[list[str]]
    heights: npt.NDArray[np.float64]
    hidden: Mask
    rounded: Mask


def protect(counts: npt.NDArray[np.int64]) -> ProtectedTable:
    """Make a table of patients fit to be shown.

    Each row's sum is part of the table; each hospital's sum is taken as known to the reader, as
    the report names every hospital's number of patients.

    Parameters
    ----------
    counts : ndarray of int64, shape (n_groups, n_sites)
    """
    full = np.column_stack([counts, counts.sum(axis=1)])
    hidden = (full > 0) & (full < SMALLEST)
    rounded = np.zeros_like(hidden)
    while _round_one_more(full, hidden, rounded):
        pass
    tens = (full + 5) // 10 * 10
    shown = np.where(rounded, tens, full)
    text = [
        [
            f"<{SMALLEST}" if hidden[row, column] else f"{mark}{shown[row, column]}"
            for column, mark in enumerate(np.where(rounded[row], "~", "").tolist())
        ]
        for row in range(len(full))
    ]
    heights = np.where(hidden, _DRAWN, shown)[:, :-1].astype(np.float64)
    return ProtectedTable(text, heights, hidden, rounded)


def count_text(count: int) -> str:
    """Return a single number of patients, ``<5`` for 1 to 4."""
    return f"<{SMALLEST}" if 0 < count < SMALLEST else str(count)


def percent_text(part: int, whole: int, decimals: int = 0) -> str:
    """Return a share such as ``81 %``; ``<5`` or ``all but <5`` where it tells of 1 to 4.

    ``-`` where the whole group has fewer than five.
    """
    if whole < SMALLEST:
        return "-"
    if 0 < part < SMALLEST:
        return f"<{SMALLEST}"
    if 0 < whole - part < SMALLEST:
        return f"all but <{SMALLEST}"
    return f"{100 * part / whole:.{decimals}f} %"


def share_texts(counts: npt.NDArray[np.int64]) -> list[str]:
    """Return the first group's share among the first two, for each hospital and for all.

    ``-`` where :func:`protect` hides or rounds one of the two numbers.

    Parameters
    ----------
    counts : ndarray of int64, shape (n_groups, n_sites)
    """
    protected = protect(counts)
    blurred: Mask = np.any((protected.hidden | protected.rounded)[:2], axis=0)
    full = np.column_stack([counts, counts.sum(axis=1)])
    return [
        "-" if blur else percent_text(int(first), int(first + second))
        for first, second, blur in zip(full[0], full[1], blurred, strict=True)
    ]


def _round_one_more(full: npt.NDArray[np.int64], hidden: Mask, rounded: Mask) -> bool:
    """Mark one more entry to be rounded, in place; False if no line gives a number away.

    A line gives one away if it holds a single unsure number, or hidden ones without slack beside
    them (two hidden numbers that sum to 2 are both 1).
    """
    sums = full.shape[1] - 1
    for across in (True, False):
        table, hid, mark = (a if across else a.T for a in (full, hidden, rounded))
        unsure = hid | mark
        crossed: Mask = np.any(unsure, axis=0)
        for line in range(len(table)):
            free = np.flatnonzero(~unsure[line] & (table[line] >= SMALLEST))
            gives_away = unsure[line].sum() == 1 or (hid[line].any() and not mark[line].any())
            if gives_away and len(free):
                # A sum comes last; first what lies in a line that is unsure already; the smallest.
                order = [(across and k == sums, not crossed[k], table[line, k], k) for k in free]
                mark[line, min(order)[-1]] = True
                return True
    return False
