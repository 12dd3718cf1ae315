"""What is known of the columns behind a result's statistics, from where it is made to the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.privacy.disclosure import statistics_in
from flame_flwr.statistics.base import Statistic, is_of_the_framework
from flame_flwr.statistics.column_facts import ColumnFacts
from flame_flwr.statistics.people_sets import PeopleSets
from flame_flwr.statistics.remembered_columns import Behind, behind, tell
from flame_flwr.statistics.rule_changes import members

if TYPE_CHECKING:
    from flame_flwr.privacy.evidence import Evidence

__all__ = ["columns_behind", "people_behind", "tell_columns"]


def columns_behind(result: Any) -> tuple[tuple[ColumnFacts, ...], ...]:
    """Return what is known of the columns of each statistic of the framework's, part by part."""
    found = tuple(behind(part).facts for part in _parts(result))
    return found if any(found) else ()


def people_behind(result: Any) -> PeopleSets | None:
    """Return whom each statistic of the framework's is about; ``None`` where of none is known."""
    parts = list(map(behind, _parts(result)))
    sets = PeopleSets.of_parts(
        [part.ids for part in parts],
        [part.cells for part in parts],
        [part.with_rows for part in parts],
    )
    return sets if sets.of else None


def tell_columns(result: Any, evidence: Evidence) -> None:
    """Attach what the analysis says of its columns to the statistics of a result that has arrived.

    Raises
    ------
    PayloadError
        It is said of other statistics.
    """
    columns, sets = evidence.columns, evidence.sets or PeopleSets()
    parts = _parts(result) if columns else []
    # Of another number of parts, facts of one would be taken for those of another.
    if len(parts) != len(columns) or len(sets.of) not in (0, len(parts)):
        raise PayloadError("what the analysis says of its columns does not fit its result")
    for place, (part, facts) in enumerate(zip(parts, columns, strict=True)):
        known = sets.ids(place), sets.ids_by_cell(place), sets.ids_with_rows(place)
        tell(part, Behind(facts, *known))


def _parts(result: Any) -> list[Statistic]:
    own = (each for each in statistics_in(result) if is_of_the_framework(each))
    return [part for each in own for _, part in members(each)]
