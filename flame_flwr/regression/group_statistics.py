"""``GroupStatistics``: what is known of one group of people in a Table 1, as figures and as text.

Groups merge: those of one hospital, and one group of several hospitals. A figure that a disclosure
rule kept back at a hospital is marked, and never counts as 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.labels import DeclaredLabels

if TYPE_CHECKING:
    from flame_flwr.labels import Label
    from flame_flwr.statistics import RowCount

__all__ = ["WITHHELD", "WITHOUT_SOME", "GroupStatistics", "row_labels"]

WITHHELD = "withheld"
"""In a cell of which nothing is known."""
WITHOUT_SOME = "*"
"""After a mean or a median that some hospital's part is not in."""

_SAID = {"mean": "mean (SD)", "median": "median [quartiles]"}
_QUARTILES = [0.25, 0.5, 0.75]
_MOST_DECIMALS = 9

Asked = Mapping[str, "str | Sequence[Label]"]
"""What is said of each column: ``mean``, ``median``, or its levels."""


def row_labels(name: str, asked: str | Sequence[Label]) -> list[str]:
    """Return the labels of the rows of a column."""
    if isinstance(asked, str):
        return [f"{name}, {_SAID[asked]}"]
    return [f"{name} = {level}, n (%)" for level in asked]


@dataclass(frozen=True)
class GroupStatistics:
    """The merged statistics of a group.

    Parameters
    ----------
    rows : RowCount
        How many people.
    columns : dict of str to dict
        Of each column ``moments`` and perhaps ``quantiles``, or ``counts`` of its levels.

    Examples
    --------
    >>> from flame_flwr.statistics import RowCount, ValueCounts
    >>> women = ValueCounts.from_data(["f", "m", "f", None], ["f", "m"])
    >>> group = GroupStatistics(RowCount(4), {"sex": {"counts": women}})
    >>> group.merge(group).texts({"sex": ["f", "m"]})
    {'n': '8', 'sex = f, n (%)': '4 (66.7 %)', 'sex = m, n (%)': '2 (33.3 %)'}
    >>> group.missing("sex")
    1
    """

    rows: RowCount
    columns: Mapping[str, Mapping[str, Any]]

    def merge(self, other: GroupStatistics) -> GroupStatistics:
        """Return those of both groups together."""
        columns = {
            name: {kind: each.merge(other.columns[name][kind]) for kind, each in found.items()}
            for name, found in self.columns.items()
        }
        return GroupStatistics(self.rows.merge(other.rows), columns)

    def texts(self, asked: Asked, decimals: Mapping[str, int] | None = None) -> dict[str, str]:
        """Return the cells of a printed table, by the label of their row.

        Parameters
        ----------
        asked : dict of str to str or list
            What is said of each column.
        decimals : dict of str to int, optional
            Of each column; without, it is one.
        """
        found = {"n": _at_least(self.rows.rows, bool(self.rows.suppressed))}
        for name, said in asked.items():
            if said == "mean":
                cells = [self._mean(name, (decimals or {}).get(name, 1))]
            elif said == "median":
                cells = [self._median(name, (decimals or {}).get(name, 1))]
            else:
                cells = [_share(*each) for each in self._levels(name, said)]
            found |= zip(row_labels(name, said), cells, strict=True)
        return found

    def figures(self, asked: Asked) -> dict[str, Any]:
        """Return all figures as what JSON can hold; what is not known is ``None``."""
        found: dict[str, Any] = {"n": None if self.rows.suppressed else self.rows.rows}
        for name, said in asked.items():
            if isinstance(said, str):
                of = dict(self._moments(name))
                del of["sum"], of["variance"]
                if said == "median":
                    sketch = self.columns[name]["quantiles"].result(_QUARTILES)
                    of |= {"quartiles": sketch["values"], "accuracy": sketch["accuracy"]}
            else:
                levels = [
                    # what the other hospitals have would read as all
                    {"level": level, "n": None if some else n, "share": share}
                    for level, (n, some, share) in zip(said, self._levels(name, said), strict=True)
                ]
                of = {"levels": levels, "suppressed": self.columns[name]["counts"].suppressed}
            found[name] = of | {"missing": self.missing(name)}
        return found

    def decimals(self, name: str) -> int:
        """Return with how many a column's values are printed: two digits of their deviation."""
        moments = self.columns[name].get("moments")
        spread = moments.result()["std"] if moments is not None else None
        return min(max(1, 1 - math.floor(math.log10(spread))), _MOST_DECIMALS) if spread else 1

    def missing(self, name: str) -> int | None:
        """Return how many people have no value of a column, or none that was asked for."""
        found = self.columns[name]
        if "counts" in found:
            figures = found["counts"].result()
            parts = figures["missing"], figures["other"]  # `None`: withheld at some hospital
            return None if None in parts else sum(parts)
        values = found["moments"]
        # with one of the two withheld somewhere, the difference would take those rows for missing
        return None if self.rows.suppressed or values.suppressed else self.rows.rows - values.n

    @property
    def is_coarsened(self) -> bool:
        """Whether a disclosure rule has moved values of a median together."""
        sketches = [found["quantiles"] for found in self.columns.values() if "quantiles" in found]
        return any(sketch.coarsened_at for sketch in sketches)

    def whole_moments(self, name: str) -> tuple[int, float, float] | None:
        """Return n, mean and variance of a column's values, where no hospital withheld its part."""
        figures = self._moments(name)
        if figures["suppressed"]:
            return None
        # of no values there is no mean; comparisons look at n first
        return figures["n"], figures["mean"] or 0.0, figures["variance"] or 0.0

    def whole_counts(self, name: str) -> list[int] | None:
        """Return the counts of a column's levels, where no hospital withheld one."""
        counts: list[int] = self.columns[name]["counts"].result()["counts"]
        return None if None in counts else counts

    # ---- cells -----------------------------------------------------------------------------

    def _moments(self, name: str) -> dict[str, Any]:
        figures: dict[str, Any] = self.columns[name]["moments"].result()
        return figures

    def _mean(self, name: str, digits: int) -> str:
        figures = self._moments(name)
        if figures["mean"] is None:
            return WITHHELD if figures["suppressed"] else ""
        spread = "" if figures["std"] is None else f" ({figures['std']:.{digits}f})"
        return f"{figures['mean']:.{digits}f}{spread}{_mark(figures)}"

    def _median(self, name: str, digits: int) -> str:
        figures = self.columns[name]["quantiles"].result(_QUARTILES)
        low, middle, high = figures["values"]
        if middle is None:
            return WITHHELD if figures["suppressed"] else ""
        low, middle, high = (f"{value:.{digits}f}" for value in (low, middle, high))
        return f"{middle} [{low}, {high}]{_mark(figures)}"

    def _levels(self, name: str, levels: Sequence[Label]) -> list[tuple[int, bool, float | None]]:
        """Return of each level the count that is known, whether there may be more, its share."""
        figures = self.columns[name]["counts"].result()
        # by the rule of labels: a level 1 that was asked for is also a hospital's "1"
        places, whole = DeclaredLabels(figures["labels"]), self.whole_counts(name)
        total = sum(whole) if whole else 0
        found = []
        for place in map(places.find, levels):
            known = 0 if place is None else figures["known"][place]
            some = place is None or figures["counts"][place] is None
            found.append((known, some, known / total if total else None))
        return found


def _share(known: int, some: bool, share: float | None) -> str:
    return _at_least(known, some) + ("" if share is None else f" ({100 * share:.1f} %)")


def _at_least(known: int, some: bool) -> str:
    """Return a count, as what it is at least where some hospital withheld its part."""
    if not some:
        return str(known)
    return f"≥ {known}" if known else WITHHELD


def _mark(figures: Mapping[str, Any]) -> str:
    return WITHOUT_SOME if figures["suppressed"] else ""
