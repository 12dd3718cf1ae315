"""What is known of the columns behind a result's statistics, from where it is made to the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.privacy.disclosure import statistics_in
from flame_flwr.statistics.base import Statistic, is_of_the_framework
from flame_flwr.statistics.column_facts import ColumnFacts
from flame_flwr.statistics.columns_behind import (
    cells_of,
    facts_of,
    ids_of,
    ids_with_rows,
    with_facts,
)
from flame_flwr.statistics.people_sets import PeopleSets
from flame_flwr.statistics.rule_changes import members

if TYPE_CHECKING:
    from flame_flwr.privacy.evidence import Evidence

__all__ = ["columns_behind", "people_behind", "tell_columns"]


def columns_behind(result: Any) -> tuple[tuple[ColumnFacts, ...], ...]:
    """Return what is known of the columns of each statistic of the framework's, part by part."""
    found = tuple(map(facts_of, _parts(result)))
    return found if any(found) else ()


def people_behind(result: Any) -> PeopleSets | None:
    """Return whom each statistic of the framework's is about; ``None`` where of none is known."""
    parts = _parts(result)
    sets = PeopleSets.of_parts(
        list(map(ids_of, parts)), list(map(cells_of, parts)), list(map(ids_with_rows, parts))
    )
    return sets if sets.of else None


def tell_columns(result: Any, evidence: Evidence) -> None:
    """Have the statistics of a result that has arrived know what is said of them.

    Raises
    ------
    PayloadError
        It is said of other statistics.
    """
    columns, sets = evidence.columns, evidence.sets or PeopleSets()
    parts = _parts(result) if columns else []
    if len(parts) != len(columns) or len(sets.of) not in (0, len(parts)):
        raise PayloadError("what the analysis says of its columns does not fit its result")
    for place, (part, facts) in enumerate(zip(parts, columns, strict=True)):
        known = sets.ids(place), sets.ids_by_cell(place), sets.ids_with_rows(place)
        with_facts(part, facts, *known)


def _parts(result: Any) -> list[Statistic]:
    own = (each for each in statistics_in(result) if is_of_the_framework(each))
    return [part for each in own for _, part in members(each)]
