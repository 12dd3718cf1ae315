"""``TableOne``: who the people of a study are, in groups, over all hospitals together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.errors import DataError, ModelError
from flame_flwr.labels import DeclaredLabels
from flame_flwr.regression.rows import one_csv
from flame_flwr.regression.table_one_result import TableOneResult
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.statistics import Moments, Quantiles, RowCount, ValueCounts
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.analysis.model import StarModel
    from flame_flwr.analysis.tester import StarModelTester
    from flame_flwr.labels import Label

__all__ = ["TableOne", "TableOneAnalyzer", "TableOneStrategy"]

EVERYONE = "all"


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
    takes_tables : bool
        Also a DataFrame is a node's data in a local test: it is not warned of.
    """

    study: ClassVar[TableOne]
    takes_tables: ClassVar[bool] = True

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
        return TableOneResult(self.study.columns, aggregate["rows"], aggregate["columns"])


def _statistics(values: Any, asked: str | Sequence[Label]) -> dict[str, Any]:
    if not isinstance(asked, str):
        return {"counts": ValueCounts.from_data(values, asked)}
    found: dict[str, Any] = {"moments": Moments.from_data(values)}
    return found if asked == "mean" else found | {"quantiles": Quantiles.from_data(values)}
