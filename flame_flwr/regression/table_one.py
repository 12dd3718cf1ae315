"""``TableOne``: who the people of a study are, in groups, over all hospitals together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.aggregation.accumulators import Accumulator, AllValues, Where
from flame_flwr.aggregation.merged_statistics import StatisticForms, merged_statistics
from flame_flwr.aggregation.reductions.base import Mergeable, Reduction
from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.errors import ModelError
from flame_flwr.labels import DeclaredLabels
from flame_flwr.regression.described import Described, Outputs, check_names
from flame_flwr.regression.group_statistics import GroupStatistics
from flame_flwr.regression.rows import check_table, one_csv
from flame_flwr.regression.table_one_result import EVERYONE, TableOneResult
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.statistics import Moments, Quantiles, RowCount, ValueCounts
from flame_flwr.statistics.people import of_rows
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.labels import Label

__all__ = ["TableOne", "TableOneAnalyzer", "TableOneStrategy"]


@dataclass(frozen=True)
class TableOne(Described):
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
            levels = _is_list(asked) and len(asked) > 1
            if not levels and asked not in ("mean", "median"):
                raise ModelError(
                    f"columns: {name} must be mean, median, or a list of two or more levels, not "
                    f"{asked!r}"
                )
            if levels:
                ValueCounts.zero(asked)
        check_names(by=self.by)
        if (self.by is None) != (not self.groups) or not _is_list(self.groups):
            raise ModelError("by, a column, and groups, a list of its values, go together")
        heads = [*self.names, EVERYONE, "missing", "p", "test", "difference"]
        if self.by is not None and len(set(heads)) < len(heads):
            raise ModelError(
                "groups must differ as text, from each other and from the table's other heads: "
                "all, missing, p, test, difference"
            )
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

    def make_strategy(self, outputs: Outputs = ()) -> TableOneStrategy:
        """Return a new strategy, whose result is a :class:`TableOneResult`."""
        return TableOneStrategy(self, outputs=outputs)

    @property
    def files(self) -> Outputs:
        """The table as CSV with the hospitals', a page, a picture, JSON and text."""
        return [
            ("table-one.csv", "str", lambda result: result.to_frame(hospitals=True).to_csv()),
            ("table-one.html", "str", lambda result: result.to_html()),
            ("table-one.svg", "str", lambda result: result.to_svg()),
            ("table-one.json", "str", lambda result: json.dumps(result.to_json(), indent=1)),
            ("table-one.txt", "str", str),
        ]


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
        check_table(table, [*study.columns, *([] if study.by is None else [study.by])])
        parts = {EVERYONE: table}
        if study.by is not None:
            known = DeclaredLabels(study.groups)
            # by the rule of labels: a group 1 is also "1" where a hospital writes it so
            found = table[study.by].map(known.find)
            parts = {name: table[found == place] for place, name in enumerate(study.names)}
        rows = {group: RowCount.from_data(part) for group, part in parts.items()}
        columns = {
            name: {group: _statistics(part, name, asked) for group, part in parts.items()}
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
    _fixed = frozenset({"reductions", "first"})

    def __init__(self, study: TableOne, *, outputs: Any = (), secure: bool | None = None) -> None:
        self.study = study
        super().__init__(_MergeAndKeep(), outputs=outputs, secure=secure, simple_analysis=True)

    def sum_securely(self, secure: bool | None) -> None:
        """Take whether sums are secure.

        Raises
        ------
        ModelError
            A median is asked for, and a sketch has no sum.
        """
        medians = [name for name, asked in self.study.columns.items() if asked == "median"]
        if secure is not None and medians:
            raise ModelError(
                f"the median of {' and '.join(medians)} does not go with secure sums, as a sketch "
                "of values has no sum: ask for the mean, or for levels of an age group, say"
            )
        if secure is not None:  # there is the sum alone, and nothing to keep by hospital
            self._trees = dict.fromkeys(self._trees, declare(Merge(), fixed=True))
        super().sum_securely(secure)

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return the table; with secure sums nobody knows those of hospitals."""
        together, at = aggregate, {}
        if "at" in aggregate:
            together, at = aggregate["together"], aggregate["at"]
        groups = {node: self._groups(at[node]) for node in sorted(at)}
        return TableOneResult(self.study.columns, self._groups(together), groups, self.study.by)

    def _groups(self, found: Mapping[str, Any]) -> dict[str, GroupStatistics]:
        return {
            group: GroupStatistics(
                rows, {name: groups[group] for name, groups in found["columns"].items()}
            )
            for group, rows in found["rows"].items()
        }


@dataclass(frozen=True)
class _MergeAndKeep(Reduction):
    """Statistics, merged, and those of each node beside them."""

    def collector(self, place: Where) -> Accumulator:
        """Return what keeps the values."""
        return AllValues(
            place,
            lambda values: {"together": merged_statistics(values, place), "at": dict(values)},
            StatisticForms(place, Mergeable, skip=False),
        )


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def _statistics(part: pd.DataFrame, name: str, asked: str | Sequence[Label]) -> dict[str, Any]:
    values = part[name]
    with of_rows(part):  # a column alone does not say whom its rows are about
        if not isinstance(asked, str):
            return {"counts": ValueCounts.from_data(values, asked)}
        found: dict[str, Any] = {"moments": Moments.from_data(values)}
        return found if asked == "mean" else found | {"quantiles": Quantiles.from_data(values)}
