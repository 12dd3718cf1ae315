"""``TableOneResult``: merged statistics of groups, as the first table of a paper."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.labels import DeclaredLabels
from flame_flwr.regression import group_tests

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.statistics import RowCount

__all__ = ["TableOneResult"]

WITHHELD = "withheld"
"""What stands in a cell that a disclosure rule kept back at a hospital: never 0."""


@dataclass(frozen=True, repr=False)
class TableOneResult:
    """A Table 1; it prints as one.

    Parameters
    ----------
    asked : dict of str to str or list
        What is said of each column.
    rows : dict of str to RowCount
        By group.
    columns : dict of str to dict
        By column and group, the merged statistics.
    """

    asked: Mapping[str, str | Sequence[Label]]
    rows: Mapping[str, RowCount]
    columns: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def to_frame(self) -> pd.DataFrame:
        """Return the table as text, a row for each figure and a column for each group.

        ``missing`` has how many values are, in all groups together; ``p`` and ``test`` compare the
        groups, and ``difference`` is the standardised one of two groups.
        """
        import pandas as pd

        lines: dict[str, dict[str, str]] = {
            "n": {g: _rows(found) for g, found in self.rows.items()}
        }
        for name, asked in self.asked.items():
            groups = self.columns[name]
            more = {"missing": self._missing(name), **self._comparison(name)}
            if isinstance(asked, str):
                cells = {group: _number(found, asked) for group, found in groups.items()}
                said = "mean (SD)" if asked == "mean" else "median [quartiles]"
                lines[f"{name}, {said}"] = cells | more
            else:
                for place, level in enumerate(asked):
                    cells = {group: _share(found, level) for group, found in groups.items()}
                    lines[f"{name} = {level}, n (%)"] = cells | (more if not place else {})
        return pd.DataFrame.from_dict(lines, orient="index").fillna("")

    def p_values(self) -> dict[str, float]:
        """Return the p-value of each column whose groups were compared."""
        pairs = {name: self._test(name) for name in self.asked}
        return {name: found[1] for name, found in pairs.items() if found is not None}

    def differences(self) -> dict[str, float]:
        """Return the standardised difference of two groups, of each column that has one."""
        pairs = {name: self._difference(name) for name in self.asked}
        return {name: found for name, found in pairs.items() if found is not None}

    def to_html(self) -> str:
        """Return the table as HTML."""
        return f"{self.to_frame().to_html()}\n<p>{html.escape(self._note())}</p>\n"

    def __str__(self) -> str:
        """Return the table as text."""
        return f"{self.to_frame().to_string()}\n\n{self._note()}\n"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()

    # ---- helpers ---------------------------------------------------------------------------

    def _note(self) -> str:
        note = "Of all hospitals together."
        if "median" in self.asked.values():
            note += " Medians and quartiles are within 1 %."
        if WITHHELD in self.to_frame().to_numpy():
            note += f" {WITHHELD.capitalize()}: at a hospital, for its disclosure rules."
        return note

    def _missing(self, name: str) -> str:
        found = self.columns[name]
        total = 0
        for group, statistics in found.items():
            counted = statistics.get("counts")
            rows, values = self.rows[group], statistics.get("moments")
            missing = None
            if counted is not None:
                figures = counted.result()
                if figures["missing"] is not None and figures["other"] is not None:
                    missing = figures["missing"] + figures["other"]
            elif values is not None and not rows.suppressed and not values.suppressed:
                missing = rows.rows - values.n
            if missing is None:
                return WITHHELD
            total += missing
        return str(total)

    def _comparison(self, name: str) -> dict[str, str]:
        found, difference = self._test(name), self._difference(name)
        shown = {} if found is None else {"p": f"{found[1]:.3g}", "test": found[0]}
        return shown | ({} if difference is None else {"difference": f"{difference:.3f}"})

    def _test(self, name: str) -> tuple[str, float] | None:
        if isinstance(self.asked[name], str):
            means = self._means(name)
            # of a median no test can be had from sums; of means with a part withheld none is right
            return None if means is None else group_tests.compare_means(means)
        counts = self._counts(name)
        return None if counts is None else group_tests.compare_counts(counts)

    def _difference(self, name: str) -> float | None:
        if len(self.columns[name]) != 2:
            return None
        if isinstance(self.asked[name], str):
            means = self._means(name)
            return None if means is None else group_tests.difference_of_means(*means)
        counts = self._counts(name)
        return None if counts is None else group_tests.difference_of_counts(*counts)

    def _means(self, name: str) -> list[group_tests.Group] | None:
        if self.asked[name] == "median":
            return None
        found = [statistics["moments"] for statistics in self.columns[name].values()]
        if any(each.suppressed for each in found):
            return None
        figures = [each.result() for each in found]
        return [(f["n"], f["mean"] or 0.0, f["variance"] or 0.0) for f in figures]

    def _counts(self, name: str) -> list[list[int]] | None:
        found = [statistics["counts"].result() for statistics in self.columns[name].values()]
        if any(None in each["counts"] for each in found):
            return None
        return [each["counts"] for each in found]


def _rows(found: RowCount) -> str:
    return WITHHELD if found.suppressed else str(found.rows)


def _number(statistics: Mapping[str, Any], asked: str) -> str:
    if asked == "mean":
        moments = statistics["moments"]
        figures = moments.result()
        if moments.suppressed:
            return WITHHELD
        spread = "" if figures["std"] is None else f" ({figures['std']:.1f})"
        return "" if figures["mean"] is None else f"{figures['mean']:.1f}{spread}"
    quantiles = statistics["quantiles"]
    if quantiles.suppressed:
        return WITHHELD
    low, middle, high = quantiles.result([0.25, 0.5, 0.75])["values"]
    return "" if middle is None else f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def _share(statistics: Mapping[str, Any], level: Label) -> str:
    figures = statistics["counts"].result()
    places = DeclaredLabels(figures["labels"])
    place = places.find(level)
    count = None if place is None else figures["counts"][place]
    if count is None:
        return WITHHELD
    counts = figures["counts"]
    total = None if None in counts else sum(counts)
    return str(count) if not total else f"{count} ({100 * count / total:.1f} %)"
