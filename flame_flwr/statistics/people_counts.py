"""How many people some rows are of: all of them, and those of each bin or label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from flame_flwr.statistics.people import People

__all__ = ["Places", "coded", "people_and_rows", "people_by_place", "rarest"]

Places = npt.NDArray[np.int64]
"""Which bin or label each row is in, or whom it is about, by a number from 0."""

_LAST_CODED: list[tuple[People, tuple[People, Places]]] = []


def coded(people: People) -> tuple[People, Places]:
    """Return each person once, and for each row the place there."""
    # Columns of one table have one array of people, and they are many.
    last = next(iter(_LAST_CODED), None)
    if last is None or last[0] is not people:
        ids, codes = np.unique(people, return_inverse=True)
        last = people, (ids, codes)
        _LAST_CODED[:] = [last]
    return last[1]


def people_by_place(codes: Places, places: Places) -> Places:
    """Return how many people are in each place that has some, given each row's person and place."""
    n = int(codes.max()) + 1
    return np.bincount(np.unique(places * n + codes) // n)


def people_and_rows(codes: Places, places: Places) -> list[tuple[int, int]]:
    """Return how many people and rows each place has, from few people to many."""
    people, rows = people_by_place(codes, places), np.bincount(places)
    return sorted(zip(people.tolist(), rows.tolist(), strict=True))


def rarest(places: Places, people: People | None) -> int:
    """Return how many rows, or people, are in the place with the fewest that has some."""
    counts = np.bincount(places)
    if people is not None:
        counts = people_by_place(coded(people)[1], places)
    return int(counts[counts > 0].min())
