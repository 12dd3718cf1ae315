"""The sums that one step of a regression needs: score, information and a few figures.

For models whose score and information add up over hospitals: generalised linear models, and Cox's
model with a stratum for each hospital. What is done with the sums is in
:mod:`flame_flwr.regression`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Self

from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.exact_sums import as_float
from flame_flwr.statistics.fields import COLUMNS, COUNT, EXACT_SUM, each, labels_of, parameter
from flame_flwr.statistics.moments import pairs_in_order
from flame_flwr.statistics.visible import Visible, whole

__all__ = ["ScoreInformation", "check_counted", "rows_that_count", "small_cell"]

COUNTED = ("rows", "rarer", "events")
"""What the rows of a parameter are: all, those of the rarer outcome, or those with an event."""


def check_counted(owner: str, value: object) -> None:
    """Refuse what is none of these."""
    if value not in COUNTED:
        raise ModelError(f"{owner}: what is counted must be one of {', '.join(COUNTED)}")


@dataclass(frozen=True)
class ScoreInformation(Statistic):
    """Score vector and information matrix of a regression at given coefficients.

    The information of columns that are 0 or 1 is a table of counts. So a hospital says how many
    rows each level of each categorical term has, and `MinCount` refuses the whole answer where one
    has too few, by the level's name: with a part of it left out a step would be wrong.

    Parameters
    ----------
    counted : {'rows', 'rarer', 'events'}
        What the rule ``RowsPerParameter`` counts; with ``'rows'`` there are no events.
    columns : tuple of str
        The columns of the design.
    n, events : int
        How many rows there are, and how many of them have the outcome 1 or an event.
    cells : tuple of str
        The levels of each categorical term.
    cell_rows, cell_events : tuple of int
        How many rows each has, and how many of them have an event.
    figures : tuple of str
        The names of other sums, such as ``deviance``.
    values : tuple of Fraction
        These sums.
    score : tuple of Fraction
        The derivative of the log-likelihood by each column's coefficient.
    information : tuple of Fraction
        The information matrix, row by row of the upper triangle.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> sums = ScoreInformation.from_data(["Intercept"], 7, [half], [7 * half], {"deviance": half})
    >>> both = sums.merge(sums).result()
    >>> both["n"], both["score"], both["information"], both["deviance"]
    (14, [1.0], [[7.0]], 1.0)
    """

    counted: str = field(metadata=parameter(check_counted))
    columns: tuple[str, ...] = field(metadata=COLUMNS)
    n: int = field(metadata=COUNT)
    events: int = field(metadata=COUNT)
    cells: tuple[str, ...] = field(metadata=labels_of("cells"))
    cell_rows: tuple[int, ...] = field(metadata=each(COUNT, by="cells"))
    cell_events: tuple[int, ...] = field(metadata=each(COUNT, by="cells"))
    figures: tuple[str, ...] = field(metadata=labels_of("figures"))
    values: tuple[Fraction, ...] = field(metadata=each(EXACT_SUM, by="figures"))
    score: tuple[Fraction, ...] = field(metadata=each(EXACT_SUM, by="columns"))
    information: tuple[Fraction, ...] = field(
        metadata=each(EXACT_SUM, by="columns", arrange=pairs_in_order)
    )

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        p = len(self.columns)
        if len(self.information) != p * (p + 1) // 2:
            raise ModelError("ScoreInformation: the information does not fit the columns")

    @classmethod
    def from_data(
        cls,
        columns: Sequence[str],
        n: int,
        score: Sequence[Fraction],
        information: Sequence[Fraction],
        figures: Mapping[str, float | Fraction],
        *,
        events: int = 0,
        cells: Mapping[str, tuple[int, int]] | None = None,
        counted: str = "rows",
    ) -> Self:
        """Put together what one node has summed; `cells` are rows and events by level."""
        cells = cells or {}
        return cls(
            counted,
            tuple(columns),
            n,
            events,
            tuple(cells),
            tuple(rows for rows, _ in cells.values()),
            tuple(some for _, some in cells.values()),
            tuple(figures),
            tuple(Fraction(value) for value in figures.values()),
            tuple(score),
            tuple(information),
        )

    @classmethod
    def zero(
        cls,
        columns: Sequence[str],
        figures: Sequence[str],
        cells: Sequence[str] = (),
        counted: str = "rows",
    ) -> Self:
        """Return that of no rows."""
        p = len(columns)
        return cls.from_data(
            columns,
            0,
            (Fraction(0),) * p,
            (Fraction(0),) * (p * (p + 1) // 2),
            dict.fromkeys(figures, Fraction(0)),
            cells=dict.fromkeys(cells, (0, 0)),
            counted=counted,
        )

    def matrix(self) -> list[list[Fraction]]:
        """Return the information as a whole matrix, exactly."""
        p = len(self.columns)
        matrix = [[Fraction(0)] * p for _ in range(p)]
        pairs = itertools.combinations_with_replacement(range(p), 2)
        for (i, j), value in zip(pairs, self.information, strict=True):
            matrix[i][j] = matrix[j][i] = value
        return matrix

    def figure(self, name: str) -> Fraction:
        """Return one of the other sums."""
        return self.values[self.figures.index(name)]

    def result(self) -> dict[str, Any]:
        """Return counts, ``columns``, ``score``, ``information`` and the figures by name."""
        return {
            "n": self.n,
            "events": self.events,
            "columns": list(self.columns),
            "score": [as_float(value) for value in self.score],
            "information": [[as_float(value) for value in row] for row in self.matrix()],
            **{name: as_float(self.figure(name)) for name in self.figures},
            "suppressed": self.suppressed,
        }

    @property
    def size(self) -> int:
        """The rows."""
        return self.n

    @property
    def rows_that_count(self) -> int:
        """How many rows there are for the parameters: of the rarer outcome, or with an event."""
        return rows_that_count(self.counted, self.n, self.events)

    @property
    def parameters(self) -> int:
        """How many columns are not 0 in all rows."""
        # a level that a hospital does not have is a column of zeros there, and needs no rows
        return sum(bool(self.information[i]) for i in _diagonal(len(self.columns)))

    @property
    def visible(self) -> Visible:
        """The rows, and how many levels there are."""
        return Visible(whole(self.size), cells=len(self.cells))

    def too_small(self, k: int) -> str | None:
        """Return which level, or ``all rows``, has fewer rows than `k`, and some."""
        levels = zip(self.cells, self.cell_rows, self.cell_events, strict=True)
        return small_cell(self.counted, [("all rows", self.n, self.events), *levels], k)

    def with_min_count(self, k: int) -> Self:
        """Withhold all of it where a level, or an outcome, has fewer rows than `k`, and some."""
        return self if self.too_small(k) is None else self.withheld()


def _diagonal(p: int) -> list[int]:
    """Return the places of the diagonal in an upper triangle, row by row."""
    # before row i stand p + (p - 1) + ... numbers, i of these
    return [i * p - i * (i - 1) // 2 for i in range(p)]


def rows_that_count(counted: str, n: int, events: int) -> int:
    """Return how many rows there are for the parameters, of `n` with so many events."""
    if counted == "rows":
        return n
    return events if counted == "events" else min(events, n - events)


def small_cell(counted: str, cells: Iterable[tuple[str, int, int]], k: int) -> str | None:
    """Return the name of a cell that has fewer rows, or of one outcome, than `k`, and some.

    Parameters
    ----------
    counted : {'rows', 'rarer', 'events'}
        With ``'rows'`` there are no events.
    cells : iterable of (str, int, int)
        The name, the rows and the events of each.
    k : int
        The fewest that may be seen.
    """
    for name, rows, events in cells:
        # with the events and the rows those without an event are known, too
        counts = [rows] if counted == "rows" else [rows, events, rows - events]
        if any(0 < count < k for count in counts):
            return name
    return None
