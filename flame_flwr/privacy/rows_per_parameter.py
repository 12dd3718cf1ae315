"""``RowsPerParameter``: no regression of so many parameters that its sums give rows away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_flwr.errors import PayloadError
from flame_flwr.parameters import at_least, parameter
from flame_flwr.privacy.disclosure_rule import CheckedRule
from flame_flwr.statistics.remembered_columns import behind
from flame_flwr.statistics.score_information import ScoreInformation
from flame_flwr.statistics.site_fits import SiteFits
from flame_flwr.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.privacy.value_places import Found
    from flame_flwr.statistics.base import Statistic

__all__ = ["RowsPerParameter"]

_COUNTED = {"rows": "", "rarer": " of one outcome", "events": " with an event"}


@dataclass(frozen=True)
class RowsPerParameter(CheckedRule):
    """A regression leaves a node only where this has so many rows for each parameter.

    With as many parameters as rows, score and information can be solved for the rows. Where the
    outcome is one of two, the rows of the rarer one count, and of survival those with an event; and
    people in place of rows, where it is known whose they are. It does not stop who asks for many
    regressions of a few parameters each.

    Parameters
    ----------
    least : int
        The fewest rows for each parameter.

    Raises
    ------
    ModelError
        It is no integer above 0.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from flame_flwr.privacy import Disclosure
    >>> from flame_flwr.statistics import ScoreInformation
    >>> sums = ScoreInformation.from_data(["Intercept"], 2, [Fraction(1)], [Fraction(2)], {})
    >>> Disclosure([RowsPerParameter(3)]).apply(sums)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    PayloadError: this node has too few rows for a regression of 1 parameter ...
    """

    words = "a regression leaves only of {least} rows or more for each parameter"

    least: int = parameter(at_least(1), 3, stricter=max)

    def look(self, found: Iterable[Found]) -> None:
        """Refuse a regression with more parameters."""
        for each in found:
            value = each.value
            if not isinstance(value, ScoreInformation) or not value.size:
                continue
            if _rows_or_people(value) < self.least * value.parameters:
                raise PayloadError(
                    f"this node has too few {'people' if behind(value).facts else 'rows'}"
                    f"{_COUNTED[value.counted]} for a regression of "
                    f"{counted(value.parameters, 'parameter')} (the disclosure rule "
                    "RowsPerParameter of this node or of the analysis): leave terms out",
                    detail=each.path,
                )

    def protect(self, statistics: Sequence[Statistic]) -> list[Statistic]:
        """Leave a hospital's own fit of too few rows out of a meta-analysis, and refuse nothing."""
        return [
            each.with_rows_per_parameter(self.least) if isinstance(each, SiteFits) else each
            for each in statistics
        ]


def _rows_or_people(regression: ScoreInformation) -> int:
    """Return how many rows there are for the parameters; people, where it is known whose they are.

    A regression's first cell is of all rows: see ``CellPeople``.
    """
    rows = regression.rows_that_count
    # The fewer of the two: thirty rows of three people are three people's.
    for everybody in behind(regression).facts[:1]:
        counts = {"rows": everybody.n, "rarer": everybody.rarest, "events": everybody.commonest}
        return min(rows, counts[regression.counted])
    return rows
