"""``TableOneResult``: merged statistics of groups, as the first table of a paper."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

from flame_flwr.regression import group_tests
from flame_flwr.regression.group_statistics import (
    WITHHELD,
    WITHOUT_SOME,
    GroupStatistics,
    row_labels,
)
from flame_flwr.regression.printed_table import PrintedRow, PrintedTable, page_of

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.regression.group_statistics import Asked

__all__ = ["EVERYONE", "TableOneResult"]

EVERYONE = "all"
"""The head of the column of all groups together."""
_HEADS = ("missing", "p", "test", "difference")


@dataclass(frozen=True, repr=False)
class TableOneResult:
    """A Table 1; it prints as one, and shows as one in a notebook.

    Parameters
    ----------
    asked : dict of str to str or list
        What is said of each column.
    groups : dict of str to GroupStatistics
        Of all hospitals together.
    at : dict of str to dict of str to GroupStatistics
        By hospital, its groups; empty with secure sums, as nobody knows them then.
    by : str, optional
        The column of groups.

    Examples
    --------
    >>> import pandas as pd
    >>> from flame_flwr.regression import TableOne
    >>> here = pd.DataFrame({"age": [61, 70, 58], "arm": ["a", "b", "a"]})
    >>> there = pd.DataFrame({"age": [66, 49], "arm": ["b", "b"]})
    >>> study = TableOne({"age": "mean"}, by="arm", groups=["a", "b"])
    >>> table = study.test([here, there], quiet=True).result
    >>> table.to_frame()["b"].to_dict()
    {'n': '3', 'age, mean (SD)': '61.7 (11.2)'}
    """

    asked: Asked
    groups: Mapping[str, GroupStatistics]
    at: Mapping[str, Mapping[str, GroupStatistics]] = field(default_factory=dict)
    by: str | None = None

    @cached_property
    def everyone(self) -> GroupStatistics:
        """All groups together, of all hospitals."""
        return _together(self.groups)

    @cached_property
    def _decimals(self) -> dict[str, int]:
        """With how many decimals a column's values are printed, the same in a whole row."""
        return {name: self.everyone.decimals(name) for name in self.asked}

    def to_frame(self, *, hospitals: bool = False) -> pd.DataFrame:
        """Return the table as text, a row for each figure and a column for each group.

        ``missing`` has how many values are, in all groups together; ``p`` and ``test`` compare the
        groups, and ``difference`` is the standardised one: of three and more groups, of the two
        that differ most.

        Parameters
        ----------
        hospitals : bool
            Whether there are columns of all groups of each hospital, too, where these are known.
        """
        import pandas as pd

        def texts(parts: Mapping[str, GroupStatistics]) -> pd.DataFrame:
            return pd.DataFrame(
                {name: part.texts(self.asked, self._decimals) for name, part in parts.items()}
            )

        frame = texts(self._parts())
        for head in _HEADS if self.by is not None else _HEADS[:1]:
            said = {row_labels(*item)[0]: self._said(item[0])[head] for item in self.asked.items()}
            # beside the first of a column's rows alone
            frame[head] = pd.Series(said).reindex(frame.index)
        if hospitals and self.at:
            frame = frame.join(texts(self._hospitals()))
        return frame.fillna("")

    def p_values(self) -> dict[str, float]:
        """Return the p-value of each column whose groups were compared."""
        tests = {name: self._test(name) for name in self.asked}
        return {name: found[1] for name, found in tests.items() if found is not None}

    def differences(self) -> dict[str, float]:
        """Return the standardised difference of each column whose groups could be compared."""
        found = {name: self._difference(name) for name in self.asked}
        return {name: apart for name, apart in found.items() if apart is not None}

    def to_json(self) -> dict[str, Any]:
        """Return all figures, of groups and hospitals, as what JSON can hold."""
        tests = {name: self._test(name) for name in self.asked}
        return {
            "groups": {name: group.figures(self.asked) for name, group in self.groups.items()},
            EVERYONE: self.everyone.figures(self.asked),
            "tests": {
                name: {"test": found[0], "p": found[1]}
                for name, found in tests.items()
                if found is not None
            },
            "differences": self.differences(),
            "hospitals": {
                node: {name: group.figures(self.asked) for name, group in groups.items()}
                for node, groups in self.at.items()
            },
        }

    def to_html(self) -> str:
        """Return a page with the table, and one of hospitals where these are known."""
        return page_of("Table 1", [table.to_html() for table in self._printed()])

    def to_svg(self) -> str:
        """Return a picture of the table of all hospitals together."""
        return next(self._printed()).to_svg()

    def to_png(self) -> bytes:
        """Return the same picture as PNG."""
        return next(self._printed()).to_png()

    def __str__(self) -> str:
        """Return the table as text."""
        notes = "\n".join(textwrap.fill(note, 100) for note in self._notes(self._parts()))
        return f"{self.to_frame().to_string()}\n\n{notes}\n"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(table.to_html() for table in self._printed())

    # ---- columns ---------------------------------------------------------------------------

    def _parts(self) -> dict[str, GroupStatistics]:
        return {**self.groups} if self.by is None else {**self.groups, EVERYONE: self.everyone}

    def _hospitals(self) -> dict[str, GroupStatistics]:
        # "at": a hospital may have the name of a group
        return {f"at {node}": _together(groups) for node, groups in self.at.items()}

    def _said(self, name: str) -> dict[str, str]:
        """Return what is said of a column beside its groups."""
        test, difference = self._test(name), self._difference(name)
        missing = self.everyone.missing(name)
        return {
            "missing": WITHHELD if missing is None else str(missing),
            "p": "" if test is None else group_tests.p_text(test[1]),
            "test": "" if test is None else test[0],
            "difference": "" if difference is None else f"{difference:.3f}",
        }

    # ---- comparisons -----------------------------------------------------------------------

    def _compared(self, name: str) -> list[Any] | None:
        """Return moments or counts of each group, where no hospital withheld its part."""
        numeric, groups = isinstance(self.asked[name], str), self.groups.values()
        found = [g.whole_moments(name) if numeric else g.whole_counts(name) for g in groups]
        return None if None in found else found

    def _test(self, name: str) -> tuple[str, float] | None:
        found = self._compared(name)
        if found is None or self.asked[name] == "median":  # no sums tell how medians differ
            return None
        numeric = isinstance(self.asked[name], str)
        return group_tests.compare_means(found) if numeric else group_tests.compare_counts(found)

    def _difference(self, name: str) -> float | None:
        """Return the largest of two groups, where each pair has one."""
        numeric = isinstance(self.asked[name], str)
        apart = group_tests.difference_of_means if numeric else group_tests.difference_of_counts
        pairs = itertools.combinations(self._compared(name) or [], 2)
        known = [apart(*pair) for pair in pairs]
        found = [each for each in known if each is not None]
        # of some pairs alone the largest might be another
        return max(found) if found and len(found) == len(known) else None

    # ---- print -----------------------------------------------------------------------------

    def _printed(self) -> Iterator[PrintedTable]:
        """Yield the table of all hospitals together, and that of each of them."""
        grouped = self.by is not None
        heads = _HEADS if grouped else _HEADS[:1]
        parts = self._parts()
        yield PrintedTable(
            "Table 1. All hospitals together",
            [*parts, *heads],
            list(self._rows(parts, heads)),
            (str(self.by), len(self.groups)) if grouped else None,
            self._notes(parts),
        )
        hospitals = self._hospitals()
        if hospitals:
            columns = [name.removeprefix("at ") for name in hospitals]
            rows = list(self._rows(hospitals, []))
            yield PrintedTable("By hospital", columns, rows, None, _marks(rows))

    def _rows(
        self, parts: Mapping[str, GroupStatistics], heads: Sequence[str]
    ) -> Iterator[PrintedRow]:
        texts = [part.texts(self.asked, self._decimals) for part in parts.values()]
        yield PrintedRow("n", [each["n"] for each in texts] + [""] * len(heads))
        for name, asked in self.asked.items():
            said = [self._said(name)[head] for head in heads]
            labels = row_labels(name, asked)
            cells = [[each[label] for each in texts] for label in labels]
            if isinstance(asked, str):
                yield PrintedRow(labels[0], cells[0] + said)
                continue
            yield PrintedRow(f"{name}, n (%)", [""] * len(texts) + said)
            for level, found in zip(asked, cells, strict=True):
                yield PrintedRow(str(level), found + [""] * len(said), inner=True)

    def _notes(self, parts: Mapping[str, GroupStatistics]) -> list[str]:
        said = ["Of all hospitals together."]
        if "median" in self.asked.values():
            said.append("Medians and quartiles are from a sketch, and within 1 %.")
        if any(part.is_coarsened for part in parts.values()):
            said.append(
                "They are rougher, as rules of hospitals moved neighbouring values together."
            )
        if self.by is not None:
            which = ", of the two groups that differ most" if len(self.groups) > 2 else ""
            said.append(f"Differences are standardised{which}.")
        return [" ".join(said), *_marks(list(self._rows(parts, ["missing"])))]


def _together(groups: Mapping[str, GroupStatistics]) -> GroupStatistics:
    return reduce(GroupStatistics.merge, groups.values())


def _marks(rows: list[PrintedRow]) -> list[str]:
    """Return what the marks in cells mean, of those that there are."""
    cells = [cell for row in rows for cell in row.cells]
    notes = {
        WITHHELD: (WITHHELD in cells, "kept back at a hospital by its disclosure rules"),
        "≥": (
            any("≥" in cell for cell in cells),
            "at least so many, as a hospital kept its count back",
        ),
        WITHOUT_SOME: (
            any(cell.endswith(WITHOUT_SOME) for cell in cells),
            "without a hospital, which kept its part back",
        ),
    }
    said = "; ".join(f"{mark}: {what}" for mark, (there, what) in notes.items() if there)
    return [f"{said[0].upper()}{said[1:]}."] if said else []
