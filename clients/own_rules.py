"""The part of disclosure rules that is applied where the analysis runs; the gate applies the rest.

Only here are an app's own rules and statistics known, and the columns that statistics were made of.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.privacy import Disclosure
    from flame_flwr.privacy.evidence import Evidence
    from flame_flwr.statistics.read_columns import ReadColumns

__all__ = ["apply_own_rules", "people_counted", "read_columns", "with_columns"]


def people_counted(
    rules: Disclosure | None, subject: str, data: Any
) -> AbstractContextManager[None]:
    """Have statistics remember whom they are about, where a rule may ask.

    Parameters
    ----------
    rules : Disclosure, optional
        Those that hold.
    subject : str
        The column that says whom a row is about; '' where none does.
    data : Any
        What the analyzer gets.
    """
    if rules is None or not subject:
        return nullcontext()
    from flame_flwr.statistics.people import counting_people

    return counting_people(subject, data)


def apply_own_rules(rules: Disclosure, evidence: Evidence, result: Any) -> tuple[Any, Evidence]:
    """Apply the rules that only the analysis knows, and all to statistics that only it has.

    Returns
    -------
    result : Any
        As it goes to the gate.
    evidence : Evidence
        With the sizes of statistics that the gate cannot look into.
    """
    from flame_flwr.privacy.disclosure import (
        apply_rules,
        apply_to_own_statistics,
        sizes_of_own_statistics,
    )
    from flame_flwr.privacy.study_declaration import built_in_rules, own_rules

    own = own_rules(rules.rules)
    for rule in own:
        rule.weigh(evidence)
    if own:
        result = apply_rules(own, result)
    result = apply_to_own_statistics(built_in_rules(rules.rules), result)
    if (sizes := sizes_of_own_statistics(result)) != evidence.sizes:
        evidence = replace(evidence, sizes=sizes)
    return result, evidence


def read_columns(rules: Disclosure | None, data: Any) -> ReadColumns | None:
    """Return the columns of the data, before an analyzer changes it, where a rule may ask."""
    if rules is None:
        return None
    from flame_flwr.statistics.read_columns import ReadColumns

    return ReadColumns(data)


def with_columns(evidence: Evidence, result: Any, read: ReadColumns | None = None) -> Evidence:
    """Return evidence with what rules must know of the columns behind each statistic."""
    from flame_flwr.privacy.figure_columns import columns_behind, people_behind
    from flame_flwr.statistics.read_columns import looking_up

    with looking_up(read):
        columns = columns_behind(result)
    sets = people_behind(result)
    if (columns, sets) == (evidence.columns, evidence.sets):
        return evidence
    return replace(evidence, columns=columns, sets=sets)
