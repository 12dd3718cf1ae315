"""``TableOne``: who the people of a study are, in groups, over all hospitals together."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.errors import DataError, ModelError
from flame_flwr.labels import DeclaredLabels
from flame_flwr.regression import group_tests
from flame_flwr.regression.rows import one_csv
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.statistics import Moments, Quantiles, RowCount, ValueCounts
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.analysis.model import StarModel
    from flame_flwr.analysis.tester import StarModelTester
    from flame_flwr.labels import Label

__all__ = ["TableOne", "TableOneAnalyzer", "TableOneResult", "TableOneStrategy"]

EVERYONE = "all"
WITHHELD = "withheld"
"""What stands in a cell that a disclosure rule kept back at a hospital: never 0."""


@dataclass(frozen=True)
class TableOne:
    """The first table of a paper: means, medians and shares, by group, of all hospitals' rows.

    Parameters
    ----------
    columns : dict of str to str or list
        By column, what is said of it: ``"mean"`` with the standard deviation, ``"median"`` with the
        quartiles, which come from a sketch and are within 1 %, or its levels, such as ``["f",
        "m"]``, each with its share.
    by : str, optional
        The column of groups.
    groups : list, optional
        Its values; rows with another one, or none, are in no group, and not in the table.
    table : callable, optional
        Makes a DataFrame of the node's data; by default that is its one CSV file.

    Raises
    ------
    ModelError
        Something cannot be so; the message says what to write.

    Examples
    --------
    >>> import pandas as pd
    >>> here = pd.DataFrame({"age": [61, 70, 58], "sex": ["f", "m", "f"], "arm": ["a", "b", "a"]})
    >>> there = pd.DataFrame({"age": [66, 49], "sex": ["m", "m"], "arm": ["b", "b"]})
    >>> study = TableOne({"age": "mean", "sex": ["f", "m"]}, by="arm", groups=["a", "b"])
    >>> study.test([here, there], quiet=True).result.to_frame()["b"].tolist()
    ['3', '61.7 (11.2)', '0 (0.0 %)', '3 (100.0 %)']
    """

    columns: Mapping[str, str | Sequence[Label]]
    by: str | None = None
    groups: Sequence[Label] = ()
    table: Callable[[Any], Any] = one_csv

    def __post_init__(self) -> None:
        """Check what is declared, before anything runs."""
        if not isinstance(self.columns, Mapping) or not self.columns:
            raise ModelError(
                "columns must be a dict of what is said of each: mean, median, or its levels in a "
                "list"
            )
        for name, asked in self.columns.items():
            known = asked in ("mean", "median") if isinstance(asked, str) else len(asked) > 1
            if not known:
                raise ModelError(
                    f"columns: {name} must be mean, median, or a list of two or more levels, not "
                    f"{asked!r}"
                )
        if (self.by is None) != (not self.groups) or isinstance(self.groups, str):
            raise ModelError("by, a column, and groups, a list of its values, go together")
        if not callable(self.table):
            raise ModelError("table must be a function of the node's data")

    @property
    def names(self) -> list[str]:
        """The groups, as text."""
        return [EVERYONE] if self.by is None else [str(group) for group in self.groups]

    @cached_property
    def analyzer(self) -> type[TableOneAnalyzer]:
        """The class that runs on every node."""
        attributes = {"study": self, "__module__": __name__}
        return type("TableOneAnalyzer", (TableOneAnalyzer,), attributes)

    @property
    def strategy(self) -> TableOneStrategy:
        """A new strategy, whose result is a :class:`TableOneResult`."""
        return TableOneStrategy(self)

    def model(self, data_type: str = "s3", **more: Any) -> StarModel:
        """Return the model whose apps run on Flower; it writes the table as CSV, HTML and text."""
        from flame_flwr.analysis.model import StarModel

        outputs = [
            ("table-one.csv", "str", lambda result: result.to_frame().to_csv()),
            ("table-one.html", "str", lambda result: result.to_html()),
            ("table-one.txt", "str", str),
        ]
        return StarModel(self.analyzer, TableOneStrategy(self, outputs=outputs), data_type, **more)

    def test(self, splits: Sequence[Any], data_type: str = "s3", **more: Any) -> StarModelTester:
        """Run it in this process, a node for every split: a DataFrame, or what `table` reads."""
        from flame_flwr.analysis.tester import StarModelTester

        return StarModelTester(splits, self.analyzer, self.strategy, data_type, **more)


class TableOneAnalyzer(StarAnalyzer):
    """Counts and sums up one node's rows; a study's ``analyzer`` is a subclass.

    Attributes
    ----------
    study : TableOne
        What it is of.
    """

    study: ClassVar[TableOne]

    def table(self, data: Any) -> pd.DataFrame:
        """Return the node's data as a table; by default the study's way."""
        made: pd.DataFrame = type(self).study.table(data)
        return made

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Return a statistic for each column and group.

        Raises
        ------
        DataError
            The table lacks a column.
        """
        study, table = type(self).study, self.table(data)
        needed = [*study.columns, *([] if study.by is None else [study.by])]
        lacking = [name for name in needed if name not in table]
        if lacking:
            raise DataError(f"this node's table has no column {' or '.join(lacking)}")
        parts = {EVERYONE: table}
        if study.by is not None:
            known = DeclaredLabels(study.groups)
            found = table[study.by].map(known.find)
            parts = {name: table[found == place] for place, name in enumerate(study.names)}
        rows = {group: RowCount.from_data(part) for group, part in parts.items()}
        columns = {
            name: {group: _statistics(part[name], asked) for group, part in parts.items()}
            for name, asked in study.columns.items()
        }
        return {"rows": rows, "columns": columns}


class TableOneStrategy(ReduceStrategy):
    """Merges the statistics and makes the table.

    Parameters
    ----------
    study : TableOne
        What it is of.
    outputs : sequence, optional
        As for :class:`~flame_flwr.strategies.ReduceStrategy`: the functions get the result.
    """

    _DECLARED = ReduceStrategy._DECLARED | {"study"}

    def __init__(self, study: TableOne, *, outputs: Any = (), secure: bool | None = None) -> None:
        self.study = study
        super().__init__(Merge(), outputs=outputs, secure=secure, simple_analysis=True)

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return the table."""
        return TableOneResult(self.study, aggregate["rows"], aggregate["columns"])


@dataclass(frozen=True, repr=False)
class TableOneResult:
    """A Table 1; it prints as one.

    Parameters
    ----------
    study : TableOne
        What was asked.
    rows : dict of str to RowCount
        By group.
    columns : dict of str to dict
        By column and group, the merged statistics.
    """

    study: TableOne
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
        for name, asked in self.study.columns.items():
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
        pairs = {name: self._test(name) for name in self.study.columns}
        return {name: found[1] for name, found in pairs.items() if found is not None}

    def differences(self) -> dict[str, float]:
        """Return the standardised difference of two groups, of each column that has one."""
        pairs = {name: self._difference(name) for name in self.study.columns}
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
        if "median" in self.study.columns.values():
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
        if isinstance(self.study.columns[name], str):
            means = self._means(name)
            # of a median no test can be had from sums; of means with a part withheld none is right
            return None if means is None else group_tests.compare_means(means)
        counts = self._counts(name)
        return None if counts is None else group_tests.compare_counts(counts)

    def _difference(self, name: str) -> float | None:
        if len(self.columns[name]) != 2:
            return None
        if isinstance(self.study.columns[name], str):
            means = self._means(name)
            return None if means is None else group_tests.difference_of_means(*means)
        counts = self._counts(name)
        return None if counts is None else group_tests.difference_of_counts(*counts)

    def _means(self, name: str) -> list[group_tests.Group] | None:
        if self.study.columns[name] == "median":
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


def _statistics(values: Any, asked: str | Sequence[Label]) -> dict[str, Any]:
    if not isinstance(asked, str):
        return {"counts": ValueCounts.from_data(values, asked)}
    found: dict[str, Any] = {"moments": Moments.from_data(values)}
    return found if asked == "mean" else found | {"quantiles": Quantiles.from_data(values)}


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
