"""``DisclosureRule``, the base of every rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flame_flwr.errors import ModelError
from flame_flwr.parameters import check_parameters, stricter_of
from flame_flwr.text.words import settings_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.privacy.evidence import Evidence
    from flame_flwr.privacy.figure_account import FigureAccount
    from flame_flwr.privacy.value_places import Found
    from flame_flwr.statistics.base import Statistic

__all__ = ["CheckedRule", "DisclosureRule", "check_rules"]


@dataclass(frozen=True)
class DisclosureRule(ABC):
    """Base of the rules. A subclass is a frozen dataclass, and picklable.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from flame_flwr.privacy import Disclosure, DisclosureRule
    >>> from flame_flwr.statistics import RowCount
    >>> @dataclass(frozen=True)
    ... class OnlyLarge(DisclosureRule):
    ...     least: int
    ...     def stricter(self, other):
    ...         return self if self.least >= other.least else other
    ...     def protect(self, statistics):
    ...         return [s if s.size >= self.least else s.withheld() for s in statistics]
    >>> few, many = Disclosure([OnlyLarge(100)]).apply([RowCount(31), RowCount(250)])
    >>> few.size, many.size
    (0, 250)
    """

    words: ClassVar[str] = ""
    """What a report says that it does, with its parameters in braces."""

    def in_words(self) -> str:
        """Return what it does, for readers who write no Python."""
        return settings_in_words(self, self.words)

    @abstractmethod
    def stricter(self, other: Self) -> Self:
        """Return the rule that forbids what either of the two forbids.

        Parameters
        ----------
        other : DisclosureRule
            A rule of the same kind; this one's secret is kept, not the other's.
        """

    def weigh(self, evidence: Evidence) -> None:  # noqa: B027  (there to be overridden)
        """Look at how much data is behind a result; may refuse it.

        Parameters
        ----------
        evidence : Evidence
            What the analysis says of its data. At the gate it also has, as ``unseen``, how many
            parts of the result no rule can look into.

        Raises
        ------
        PayloadError
            Nothing of the result may leave.
        """

    def look(self, found: Iterable[Found]) -> None:  # noqa: B027  (there to be overridden)
        """Look at everything in a result before the statistics are changed; may refuse it.

        Raises
        ------
        PayloadError
            Nothing of the result may leave.
        """

    def may_say(self, count: int, statistics: Sequence[Statistic] | None = None) -> bool:
        """Tell whether a plain number of rows or people may leave. The gate asks built-in rules.

        Parameters
        ----------
        count : int
            Of the values that a finding at hello is about, or of all people in the data.
        statistics : sequence of Statistic, optional
            Those of the answer beside which it would leave, as they leave; ``None`` at hello.
        """
        return True

    def screen(self, result: Any) -> None:  # noqa: B027  (there to be overridden)
        """Look at a whole result, with its containers; may refuse it.

        Raises
        ------
        PayloadError
            Nothing of the result may leave.
        """

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Return the statistics of one result as they may leave, in the same order."""
        return list(statistics)

    def within(self, account: FigureAccount, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Return statistics, in order, as they may leave after all that has left in the run."""
        return list(statistics)


class CheckedRule(DisclosureRule):
    """A rule whose fields say what they may be, and which of two is the stricter."""

    def __post_init__(self) -> None:
        """Check before anything runs."""
        check_parameters(self)

    def stricter(self, other: Self) -> Self:
        """Return the one with the stricter of each parameter."""
        return stricter_of(self, other)


def check_rules(rules: object) -> tuple[DisclosureRule, ...]:
    """Return the rules that a model declares, after a check.

    Raises
    ------
    ModelError
        It is no list of rules.
    """
    if rules is None:
        return ()
    if isinstance(rules, DisclosureRule):
        return (rules,)
    if not isinstance(rules, list | tuple) or not all(isinstance(r, DisclosureRule) for r in rules):
        raise ModelError(
            "disclosure must be a list of rules, such as [MinCount(5), MaxBins(50), "
            "MaxRows(200)], from flame_flwr.privacy; what changes numbers, such as Clip(1.0), "
            "goes in `filters`"
        )
    return tuple(rules)
