"""Counts by name, added up over the nodes."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.pytree import (
    plain_label,
)
from flame_flwr.labels import label_key

if TYPE_CHECKING:
    from flame_flwr.aggregation.accumulators import Where

__all__ = ["Counts"]


class Counts:
    """Counts by name.

    Parameters
    ----------
    place : Where
        Where.
    """

    def __init__(self, place: Where) -> None:
        self._place = place
        self._counts: dict[Any, int] = {}
        self._first: dict[Any, tuple[int, int, Any]] = {}
        self._any = False

    def add(self, node: str, value: Any, weight: float) -> None:
        """Count."""
        items = getattr(value, "items", None)
        if items is None:
            raise self._place.error(
                f"counts must be a dict or a Series, not {type(value).__name__}", node
            )
        self._any = True
        order = self._place.nodes.index(node)
        for number, (name, count) in enumerate(items()):
            key = _count_key(name)
            self._counts[key] = self._counts.get(key, 0) + self._whole(node, count)
            # as the first node in participant order writes it, whoever answers first
            if key not in self._first or (order, number) < self._first[key][:2]:
                self._first[key] = order, number, name

    def result(self) -> dict[Any, int] | None:
        """Return the sums, in the order of nodes and of their names."""
        if not self._any:
            return None
        names = sorted(self._counts, key=lambda key: self._first[key][:2])
        return {self._first[key][2]: self._counts[key] for key in names}

    def _whole(self, node: str, count: Any) -> int:
        try:
            whole = operator.index(count)
        except TypeError:
            raise self._place.error(
                f"counts must be whole numbers, not {type(count).__name__}", node
            ) from None
        if whole < 0 or isinstance(count, bool | np.bool_):
            raise self._place.error("counts must be whole numbers, 0 or more", node)
        return whole


def _count_key(name: Any) -> Any:
    """Return what names of counts are told apart by: the text of a number is the number."""
    if isinstance(name, str):
        _, number = label_key(name)
        return name if isinstance(number, str | bool) else number
    return plain_label(name)
