"""How much of an answer disclosure rules kept back: by rule, in numbers, and without any value.

It is for the hospital's own audit log, and leaves the node nowhere. Figures that a rule refuses are
not counted: then nothing of the answer leaves, and the line has the failure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flame_flwr.statistics.rule_changes import members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.privacy.disclosure_rule import DisclosureRule
    from flame_flwr.statistics.base import Statistic

__all__ = ["RuleTally"]


class RuleTally:
    """Tallies what rules keep back of one answer.

    Examples
    --------
    >>> from flame_flwr.privacy import MinCount
    >>> from flame_flwr.statistics import RowCount, ValueCounts
    >>> before = [RowCount(31), RowCount(3), ValueCounts.from_data([*"fffffmm"])]
    >>> rule, found = MinCount(5), RuleTally()
    >>> found.note(rule, before, rule.protect(before))
    >>> found.to_json()
    {'MinCount': {'whole': 1, 'cells': 2}}
    """

    def __init__(self) -> None:
        self._rules: dict[str, Counter[str]] = {}

    def note(
        self, rule: DisclosureRule, before: Sequence[Statistic], after: Sequence[Statistic]
    ) -> None:
        """Count what a rule has kept back of the statistics of one answer.

        Parameters
        ----------
        rule : DisclosureRule
            The rule.
        before, after : sequence of Statistic
            In the same order.
        """
        for one, other in zip(before, after, strict=True):
            if one is other:  # most are: comparing large ones part by part takes long
                continue
            for (_, was), (_, now) in zip(members(one), members(other), strict=True):
                if was is not now and was != now:
                    counts = self._rules.setdefault(type(rule).__name__, Counter())
                    counts.update(_kept_back(was, now))

    def note_finding(self, rule: DisclosureRule) -> None:
        """Count a finding before the first round that a rule does not let be said."""
        self._rules.setdefault(type(rule).__name__, Counter()).update(findings=1)

    def to_json(self) -> Mapping[str, Mapping[str, int]]:
        """Return it for a line of the audit log: by the names of rules.

        ``whole`` are statistics, ``cells`` those of statistics of which the rest has left,
        ``altered`` statistics whose values were moved, ``findings`` of before the first round.
        """
        return {rule: dict(counts) for rule, counts in self._rules.items()}


def _kept_back(was: Statistic, now: Statistic) -> dict[str, int]:
    """Return how much of a statistic is no longer there."""
    if now == was.withheld():
        return {"whole": 1}
    seen, left = was.visible.tables, now.visible.tables
    gone = [len(cells.keys() - dict(left).get(key, {}).keys()) for key, cells in seen]
    cells = max(gone, default=0)  # a table may be there once more, line by line
    return {"cells": cells} if cells else {"altered": 1}
