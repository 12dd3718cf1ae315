"""Columns and labels of two statistics, put side by side by their names."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

from flame_flwr.errors import ModelError
from flame_flwr.labels import label_key

__all__ = ["Aligned", "align", "by_label", "by_name", "different", "prefer"]

N = TypeVar("N")
T = TypeVar("T")


class Aligned(NamedTuple):
    """Names in one order, and where each is with either of two.

    Attributes
    ----------
    names : tuple
        In the order that both have; sorted where these differ, so that the order of merging does
        not show.
    one, two : list of int
        For each of these names, its place among the names of either.
    """

    names: tuple[Any, ...]
    one: list[int]
    two: list[int]

    def pairs(self, one: Sequence[T], two: Sequence[T]) -> list[tuple[T, T]]:
        """Return what belongs to each name in either."""
        return [(one[i], two[j]) for i, j in zip(self.one, self.two, strict=True)]


def align(
    owner: str, what: str, one: Sequence[N], two: Sequence[N], key: Callable[[N], Hashable]
) -> Aligned:
    """Put the names of two statistics side by side.

    Parameters
    ----------
    owner, what : str
        The statistic and what the names are of, such as ``columns``, for errors.
    one, two : sequence of names
        No two of them alike.
    key : callable
        What names are told apart by, and sorted by.

    Raises
    ------
    ModelError
        One of the two has a name that the other has not; its detail says which.
    """
    first, second = ({key(name): i for i, name in enumerate(names)} for names in (one, two))
    if first.keys() != second.keys():
        odd = (
            [name for name in one if key(name) not in second],
            [name for name in two if key(name) not in first],
        )
        detail = "; ".join(f"only one has {', '.join(map(repr, o))}" for o in odd if o)
        raise different(owner, what, detail)
    keys: list[Any] = list(first)
    # one common order is kept, as a table's columns have it
    if keys != list(second):
        keys = sorted(keys)
    places = [first[k] for k in keys], [second[k] for k in keys]
    names = tuple(prefer(one[i], two[j]) for i, j in zip(*places, strict=True))
    return Aligned(names, *places)


def by_name(owner: str, one: Sequence[str], two: Sequence[str]) -> Aligned:
    """Put columns side by side."""
    return align(owner, "columns", one, two, lambda name: name)


def by_label(owner: str, what: str, one: Sequence[Any], two: Sequence[Any]) -> Aligned:
    """Put labels side by side, by the rule of :mod:`flame_flwr.labels`."""
    return align(owner, what, one, two, label_key)


def different(owner: str, what: str, detail: str | None = None) -> ModelError:
    """Return the error of two statistics that are not about the same edges, labels or columns."""
    return ModelError(
        f"two {owner} with different {what} cannot be merged: give every node the same {what}",
        detail=detail,
    )


def prefer(one: N, two: N) -> N:
    """Return how to write what is one label: as a number rather than as a text of it."""
    return min(one, two, key=lambda label: (isinstance(label, str), str(label)))
