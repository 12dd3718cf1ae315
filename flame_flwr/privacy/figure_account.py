"""How many sums about the same people leave in a run: with as many as people, these are solved.

Moments of the ages of five people and of their squares are four sums, of which two are alike, and
five ages that are whole numbers can be had from three. A column and what was computed of it tell of
the same values. Where a node knows which columns it has read, all others are computed, and share an
account for each set of people. Where it does not, columns are known by their order: a column, its
square and its logarithm have one.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.privacy.published_sets import PublishedSets
from flame_flwr.statistics.column_facts import FEW
from flame_flwr.statistics.moments import Covariance, Moments, Total
from flame_flwr.statistics.read_columns import COMPUTED
from flame_flwr.statistics.remembered_columns import behind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.statistics.base import Statistic
    from flame_flwr.statistics.column_facts import ColumnFacts

__all__ = ["FigureAccount"]

_SUMS: dict[type[Any], tuple[str, ...]] = {
    Total: ("sum",),
    Moments: ("sum", "squares"),
    Covariance: ("sum", "squares"),
}
_MOST = 10_000
"""How many sums are kept of a run; after that no new one of a small group leaves."""


class FigureAccount:
    """The sums and sets of people that have left in a run, and of frozen data in earlier ones.

    A sum that leaves again, as in every round, counts once. Columns of people that are more than
    `k` times as many as the sums that are asked of them never come to the limit.

    Examples
    --------
    >>> from flame_flwr.statistics import Moments
    >>> account, ages = FigureAccount(), [52.0, 61, 67, 74, 88]
    >>> account.takes(Moments.from_data(ages), 5)
    True
    >>> account.takes(Moments.from_data([age**2 for age in ages]), 5)
    False
    """

    def __init__(self) -> None:
        self._left: dict[str, set[str]] = {}
        self._sets = PublishedSets()
        self._row_sets = PublishedSets()

    def takes(self, statistic: Statistic, k: int) -> bool:
        """Tell whether a statistic may leave, too; if so, it has.

        Parameters
        ----------
        statistic : Statistic
            As it would leave.
        k : int
            About n people, ``max(2, n // k)`` sums may leave of one column, together with those of
            computed columns.
        """
        ids, known = behind(statistic).ids, behind(statistic).facts
        # A name for these people: the ids themselves may be many thousands.
        whom = "" if ids is None else hashlib.blake2b(ids.tobytes(), digest_size=8).hexdigest()
        asked = dict[str, set[str]]()
        for facts in known:
            # a computed column of few values that may leave is a count: another rule's
            is_count = facts.source == COMPUTED and facts.distinct <= max(3, min(FEW, facts.n // k))
            if facts.order and facts.distinct > 1 and not is_count:
                sums = _sums(statistic, facts, known)
                asked.setdefault(_group(facts, whom), set()).update(sums)
        # All of a statistic's columns or none: the first loop keeps nothing.
        for group, sums in asked.items():
            left = self._left.get(group, set())
            together = len(left | sums) + self._beside(group, asked)
            if not sums <= left and self._is_full(together, max(2, int(group.split()[0]) // k)):
                return False
        for group, sums in asked.items():
            self._left.setdefault(group, set()).update(sums)
        return True

    def _beside(self, group: str, asked: Mapping[str, set[str]]) -> int:
        """Return how many sums there are of columns that may tell of the same values as a group's.

        Computed columns may all be of one that was read, and tell of the same values.
        """
        n, whom, source = group.split(" ")
        if not source:
            return 0
        these = f"{n} {whom} "
        sizes = {
            each: len(self._left.get(each, set()) | asked.get(each, set()))
            for each in {*self._left, *asked}
            if each.startswith(these) and each != group
        }
        computed = sizes.pop(these + COMPUTED, 0)
        return max(sizes.values(), default=0) if source == COMPUTED else computed

    def takes_people(self, statistic: Statistic, column: str | None, k: int) -> bool:
        """Tell whether a statistic may leave after those about other people; if so, it has.

        Parameters
        ----------
        statistic : Statistic
            As it would leave; where it is not known whom it is about, it gives nobody away.
        column : str or None
            The column that it is about.
        k : int
            The smallest group that may be seen.
        """
        known = behind(statistic)
        if (ids := known.ids) is None:
            return True
        sizes = set(statistic.visible.parts)
        cells = [each for each in known.cells if len(each) in sizes]
        # of a person with several rows nobody can tell from counts who is the difference
        whole = [ids] if len(ids) == statistic.size else []
        # the same people with a row less of one tell of that one, too
        return (
            self._sets.takes_counts(whole, cells, k)
            and self._sets.takes(ids, column, k)
            and self._row_sets.takes(ids if known.with_rows is None else known.with_rows, column, k)
        )

    def _is_full(self, sums: int, most: int) -> bool:
        return sums > most or sum(map(len, self._left.values())) >= _MOST

    def __bool__(self) -> bool:
        """Tell whether any has left."""
        return bool(self._left or self._sets)

    def add(self, other: FigureAccount) -> None:
        """Add what has left elsewhere."""
        for group, sums in other._left.items():
            self._left.setdefault(group, set()).update(sums)
        self._sets.add(other._sets)
        self._row_sets.add(other._row_sets)

    def to_json(self) -> str:
        """Return it as text, for the node's own memory."""
        sums = {group: sorted(sums) for group, sums in self._left.items()}
        rows = self._row_sets.to_json()
        return json.dumps({"sums": sums, "sets": self._sets.to_json(), "rows": rows})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what :meth:`to_json` wrote, however much: accounts added up may be of any size.

        Raises
        ------
        ValueError
            It is not of this form.
        """
        account = cls()
        try:
            said = json.loads(text)
            account._left = {group: set(map(_text, sums)) for group, sums in said["sums"].items()}
            account._sets = PublishedSets.from_json(said["sets"])
            account._row_sets = PublishedSets.from_json(said["rows"])
        except (TypeError, KeyError, AttributeError, RecursionError, zlib.error) as error:
            raise ValueError(f"no account of figures: {error}") from error
        return account


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no name of a sum")
    return value


def _group(facts: ColumnFacts, whom: str) -> str:
    """Return which account a column is in: of how many, of whom, and of what.

    Where nobody knows what was read, columns of one order are together. Where nobody knows whom a
    column is about, all computed columns of as many are together.
    """
    if not facts.source:
        return f"{facts.n} {facts.order} "
    if not whom and facts.source != COMPUTED:
        return f"{facts.n}  {facts.source}-{facts.order}"
    return f"{facts.n} {whom} {facts.source}"


def _sums(statistic: Any, facts: ColumnFacts, known: Sequence[ColumnFacts]) -> set[str]:
    found = {f"{name} {facts.digest}" for name in _SUMS.get(type(statistic), ())}
    if facts.source == COMPUTED and type(statistic) is Covariance:  # it has their products, too
        found |= {f"product {facts.digest} {each.digest}" for each in known if each is not facts}
    return found
