"""``MinCount``: no figure about fewer than so many people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_flwr.errors import PayloadError
from flame_flwr.parameters import TRUE_OR_FALSE, at_least, parameter
from flame_flwr.privacy.differencing import Leaf, without_overlaps
from flame_flwr.privacy.disclosure_rule import CheckedRule
from flame_flwr.privacy.value_places import Found
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.read_columns import COMPUTED
from flame_flwr.statistics.remembered_columns import behind, sources_behind
from flame_flwr.statistics.rule_changes import members, with_each_member, with_members
from flame_flwr.statistics.score_information import ScoreInformation

if TYPE_CHECKING:
    from flame_flwr.privacy.evidence import Evidence
    from flame_flwr.privacy.figure_account import FigureAccount

__all__ = ["MinCount"]


@dataclass(frozen=True)
class MinCount(CheckedRule):
    """No figure about fewer than `k` people leaves; 0 may be said.

    A mean, a variance or an estimate of too few is withheld with its count, so the merged one is
    that of the others, and says that a node is missing. Of histograms, value counts and tables
    small cells are withheld, and further ones, so that none can be had from the totals. Of
    quantiles, survival and AUC neighbours are moved together. A smallest and a largest value are
    withheld, each being one person's, unless `NoisyMinMax` holds, too. Groups are withheld that
    others of the same result would give away.

    It does not stop who asks twice, for overlapping groups, in two analyses, or in two rounds where
    it is not known whom a figure is about; nor who knows some of the people; nor that a withheld
    cell is known to be small or to protect one.

    Parameters
    ----------
    k : int
        The smallest group that may be seen, at least 2.
    differences : bool
        Whether groups are withheld that with others give away fewer than `k`: by their difference,
        such as those with a missing value; and where it is known whom they are about, also with
        several others, and those of earlier rounds.

    Raises
    ------
    ModelError
        `k` is no integer of at least 2.

    Examples
    --------
    >>> from flame_flwr.privacy import Disclosure, MinCount
    >>> from flame_flwr.statistics import RowCount
    >>> allowed = Disclosure([MinCount(5)]).apply({"women": RowCount(31), "men": RowCount(3)})
    >>> allowed["women"].size, allowed["men"].size, allowed["men"].suppressed
    (31, 0, 1)
    """

    words = "no figure about fewer than {k} people leaves"

    k: int = parameter(at_least(2), 5, stricter=max)
    differences: bool = parameter(TRUE_OR_FALSE, True, stricter=max)

    def weigh(self, evidence: Evidence) -> None:
        """Refuse unseen parts of too few people; the analysis's own statistics say their own."""
        if not evidence.unseen:
            return
        counts = list(evidence.sizes)
        # An estimator or a pickle says nothing of its own: it may be of all the data.
        if len(counts) < evidence.unseen and evidence.together is not None:
            counts.append(evidence.together)
        if any(0 < count < self.k for count in counts):
            raise PayloadError(
                "the result holds a value that no rule can look into, and the analysis says that "
                f"it is of fewer than {self.k} people or rows (the disclosure rule MinCount of "
                "this node or of the analysis): return values of flame_flwr.statistics, which are "
                "withheld where they are of too few"
            )

    def may_say(self, count: int, statistics: Sequence[Statistic] | None = None) -> bool:
        """Tell whether it is none or enough; of people, whether a figure about all leaves, too."""
        if statistics is None or not self.differences:
            return not 0 < count < self.k
        # With their number alone, and that of a group, it would be known how few are not in it.
        # Where a figure about all leaves, none about nearly all does.
        return any(
            not part.suppressed and _people(part) == count >= self.k
            for each in statistics
            for _, part in members(each)
        )

    def look(self, found: Iterable[Found]) -> None:
        """Refuse a step of a regression that a small level is in: without it, it would be wrong."""
        for each in found:
            value = each.value
            small = _small_level(value, self.k) if isinstance(value, ScoreInformation) else None
            if small is not None:
                counted = "people" if behind(value).facts else "rows"
                raise PayloadError(
                    f"this node has too few {counted}, or too few of one outcome, for a "
                    f"regression: {small} (the disclosure rule MinCount of this node or of the "
                    "analysis). Leave the term out, or join its levels",
                    detail=each.path,
                )

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Withhold what is small in each, then what is small between two of them."""
        if not self.differences:
            return [with_each_member(statistic, self._of_enough) for statistic in statistics]
        leaves = [
            Leaf(
                source,
                column,
                member,
                self._of_enough(member),
                behind(member).ids is not None,
                bool(behind(member).cells),
            )
            for source, statistic in enumerate(statistics)
            for column, member in members(statistic)
        ]
        # of all parts at once: two columns of one table may give a group away between them
        allowed = iter(without_overlaps(leaves, self.k))
        return [
            with_members(statistic, [next(allowed) for _ in members(statistic)])
            for statistic in statistics
        ]

    def _of_enough(self, statistic: Statistic) -> Statistic:
        """Withhold what is small; all of it where a column of few values counts too few."""
        known = behind(statistic).facts
        if any(facts.is_small(self.k) for facts in known):
            return statistic.withheld()
        # One person may have many rows: then a cell needs more of them.
        return statistic.with_min_count(max([self.k, *(f.least_rows(self.k) for f in known)]))

    def within(self, account: FigureAccount, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Withhold what with the sums that have left could be solved for people's values."""
        parts = [pair for each in statistics for pair in _with_read_columns(members(each))]
        allowed: list[Statistic] = [part for part, _ in parts]
        # From the largest set on: of two that give a few people away the larger says more.
        for place in sorted(range(len(parts)), key=lambda place: -_people(parts[place][0])):
            part, column = parts[place]
            of_few = self.differences and not account.takes_people(part, column, self.k)
            # `takes` only where the first lets it: what is asked for has left, for both.
            if of_few or not account.takes(part, self.k):
                if isinstance(part, ScoreInformation):  # withheld, a step would be wrong
                    raise PayloadError(
                        "the people of this regression, and those of figures that have left this "
                        f"node before, differ by fewer than {self.k} (the disclosure rule MinCount "
                        "of this node or of the analysis): fit it to the same people"
                    )
                allowed[place] = part.withheld()
        given = iter(allowed)
        return [with_members(each, [next(given) for _ in members(each)]) for each in statistics]


def _small_level(regression: ScoreInformation, k: int) -> str | None:
    """Return which level has too few rows, or people where it is known whose they are."""
    for name, people in zip(regression.cells, behind(regression).facts, strict=False):
        if people.is_small(k):
            return name
    return regression.too_small(k)


def _with_read_columns(
    parts: Sequence[tuple[str | None, Statistic]],
) -> list[tuple[Statistic, str | None]]:
    """Return parts with the columns that they are about, not as an analysis calls them.

    A column that was computed may be of any other: so it is compared with all, as whole rows are.
    Where nobody knows what was read, there are names alone.
    """
    found: dict[str | None, set[str]] = {}
    for column, part in parts:
        found.setdefault(column, set()).update(sources_behind(part))
    named: dict[str | None, str | None] = {
        column: None if COMPUTED in sources else min(sources, default=column)
        for column, sources in found.items()
        if column is not None
    }
    return [(part, named.get(column)) for column, part in parts]


def _people(statistic: Statistic) -> int:
    ids = behind(statistic).ids
    return 0 if ids is None else len(ids)
