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
    from collections.abc import Sequence

    from flame_flwr.aggregation.accumulators import Where

__all__ = ["Counts", "are_count_labels", "count_key", "whole_count"]


class Counts:
    """Counts by name.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    labels : sequence of str or int, optional
        The names that there may be, in the order of the result.
    """

    def __init__(self, place: Where, labels: Sequence[str | int] | None = None) -> None:
        self._place = place
        self._first: dict[Any, tuple[int, int, Any]] = {
            # before all nodes, so that the order is the declared one
            count_key(name): (-1, number, name)
            for number, name in enumerate(labels or ())
        }
        self._counts: dict[Any, int] = dict.fromkeys(self._first, 0)
        self._may_find = labels is None
        self._any = False

    def check(self, node: str, value: Any, weight: float) -> None:
        """See that it is whole numbers by name."""
        items = getattr(value, "items", None)
        if items is None:
            raise self._place.error(
                f"counts must be a dict or a Series, not {type(value).__name__}", node
            )
        for name, count in items():
            if not self._may_find and count_key(name) not in self._counts:
                raise self._place.error("it counts a name that is not declared", node)
            self._whole(node, count)

    def add(self, node: str, value: Any, weight: float) -> None:
        """Add one node's counts to those of the others."""
        self.check(node, value, weight)
        self._any = True
        order = self._place.nodes.index(node)
        for number, (name, count) in enumerate(value.items()):
            key = count_key(name)
            self._counts[key] = self._counts.get(key, 0) + self._whole(node, count)
            # as the first node in participant order writes it, whoever answers first
            if key not in self._first or (order, number) < self._first[key][:2]:
                self._first[key] = order, number, name

    def merge(self, other: Counts) -> None:
        """Take what another has counted."""
        self._any = self._any or other._any
        for key, count in other._counts.items():
            self._counts[key] = self._counts.get(key, 0) + count
            first = other._first[key]
            self._first[key] = min(first, self._first.get(key, first), key=lambda one: one[:2])

    def result(self) -> dict[Any, int] | None:
        """Return the sums, in the order of nodes and of their names."""
        if not self._any:
            return None
        names = sorted(self._counts, key=lambda key: self._first[key][:2])
        return {self._first[key][2]: self._counts[key] for key in names}

    def _whole(self, node: str, count: Any) -> int:
        try:
            return whole_count(count)
        except ValueError as error:
            raise self._place.error(str(error), node) from None


def whole_count(count: Any) -> int:
    """Return a count as a whole number.

    Raises
    ------
    ValueError
        It is none; the text says why.
    """
    try:
        whole = operator.index(count)  # not int(), which would cut 2.7 off
    except TypeError:
        raise ValueError(f"counts must be whole numbers, not {type(count).__name__}") from None
    if whole < 0 or isinstance(count, bool | np.bool_):
        raise ValueError("counts must be whole numbers, 0 or more")
    return whole


def are_count_labels(labels: Any) -> bool:
    """Tell whether these can be the declared names of counts; ``None`` declares none."""
    if not isinstance(labels, list | tuple):
        return labels is None
    plain = bool(labels) and all(type(name) in (str, int) for name in labels)
    return plain and len(set(map(count_key, labels))) == len(labels)


def count_key(name: Any) -> Any:
    """Return what names of counts are told apart by: the text of a number is the number."""
    if isinstance(name, str):
        _, number = label_key(name)
        return name if isinstance(number, str | bool) else number
    return plain_label(name)
