"""Whom the rows of a regression are about, for rules that count people; it stays at the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.statistics.column_facts import ColumnFacts
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import Behind, tell

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from flame_flwr.statistics.base import Statistic
    from flame_flwr.statistics.people import People

__all__ = ["CellPeople"]


@dataclass(frozen=True, eq=False)
class CellPeople:
    """How many people each cell of a regression has, and who all of them are.

    Parameters
    ----------
    facts : tuple of ColumnFacts
        Of each cell, in its order.
    ids : ndarray of uint64
        All people, each once.
    """

    facts: tuple[ColumnFacts, ...]
    ids: People

    @classmethod
    def of(
        cls, cells: Mapping[str, Any], events: npt.NDArray[np.bool_], rows: pd.DataFrame
    ) -> Self | None:
        """Count the people of cells; ``None`` where it is not known whom rows are about.

        Parameters
        ----------
        cells : dict of str to ndarray of bool
            Which rows each has.
        events : ndarray of bool
            Which rows have the outcome 1 or an event; none where there is nothing of the kind.
        rows : DataFrame
            All rows.
        """
        people = people_in(rows)
        if people is None:
            return None
        return cls(
            tuple(_facts(people, cell, events) for cell in cells.values()), np.unique(people)
        )

    def known_to(self, *statistics: Statistic) -> None:
        """Have statistics of these rows and cells know it."""
        for each in statistics:
            tell(each, Behind(self.facts, self.ids))


def _facts(people: People, cell: Any, events: npt.NDArray[np.bool_]) -> ColumnFacts:
    # somebody with an event and a row without one is in both, and is counted once in the cell
    parts = cell, cell & events, cell & ~events
    n, some, others = (len(np.unique(people[rows])) for rows in parts)
    if not events.any():
        return ColumnFacts(n, 1, n, n, of_people=True)
    return ColumnFacts(n, 2, min(some, others), some, of_people=True)
