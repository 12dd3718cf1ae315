"""What is known of the columns behind a result's statistics, from where it is made to the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.privacy.disclosure import statistics_in
from flame_flwr.statistics.base import Statistic, is_of_the_framework
from flame_flwr.statistics.column_facts import ColumnFacts, facts_of, with_facts
from flame_flwr.statistics.rule_changes import members

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["columns_behind", "tell_columns"]


def columns_behind(result: Any) -> tuple[tuple[ColumnFacts, ...], ...]:
    """Return what is known of the columns of each statistic of the framework's, part by part."""
    found = tuple(map(facts_of, _parts(result)))
    return found if any(found) else ()


def tell_columns(result: Any, columns: Sequence[Sequence[ColumnFacts]]) -> None:
    """Have the statistics of a result that has arrived know what is said of their columns.

    Raises
    ------
    PayloadError
        It is said of other statistics.
    """
    parts = _parts(result) if columns else []
    if len(parts) != len(columns):
        raise PayloadError("what the analysis says of its columns does not fit its result")
    for part, facts in zip(parts, columns, strict=True):
        with_facts(part, facts)


def _parts(result: Any) -> list[Statistic]:
    own = (each for each in statistics_in(result) if is_of_the_framework(each))
    return [part for each in own for _, part in members(each)]
