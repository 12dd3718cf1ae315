"""Changes that disclosure rules make to a statistic short of withholding it, one function each.

Each has what is right for most statistics, and is registered (:func:`functools.singledispatch`) for
the few where it is not, in their own modules. ``Statistic.withheld`` and ``with_min_count`` are
methods, as every statistic has its own way of being too small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import TYPE_CHECKING

from flame_flwr.statistics.base import Statistic

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = [
    "Widen",
    "members",
    "with_each_member",
    "with_members",
    "with_most_cells",
    "with_wider_range",
    "without_totals",
]

Widen = Callable[[float, float], tuple[float, float]]
"""Gets a smallest and a largest value, and returns what to say in place of them."""


@singledispatch
def without_totals(statistic: Statistic, totals: Collection[int]) -> Statistic:
    """Return it without what is about a whole group of one of these sizes."""
    return statistic if statistic.visible.sizes.isdisjoint(totals) else statistic.withheld()


@singledispatch
def with_most_cells(statistic: Statistic, most: int) -> Statistic:
    """Return it with at most so many cells that are found in the data, as those of quantiles."""
    return statistic


@singledispatch
def with_wider_range(statistic: Statistic, widen: Widen) -> Statistic:
    """Return it with its smallest and its largest value, if it has them, moved by `widen`."""
    return statistic


@singledispatch
def members(statistic: Statistic) -> tuple[tuple[str | None, Statistic], ...]:
    """Return the statistics that it is made of, each with the column that it is about."""
    return ((None, statistic),)


@singledispatch
def with_members(statistic: Statistic, members: Sequence[Statistic]) -> Statistic:
    """Return it with others in place of its :func:`members`, in the same order."""
    return members[0]


def with_each_member(statistic: Statistic, change: Callable[[Statistic], Statistic]) -> Statistic:
    """Return it with each of its members changed."""
    return with_members(statistic, [change(member) for _, member in members(statistic)])
