"""``Survival``: Kaplan-Meier curves of all hospitals' rows, and the log-rank test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.errors import ModelError
from flame_flwr.regression.described import Described, Outputs, check_names
from flame_flwr.regression.rows import complete_rows, one_csv
from flame_flwr.regression.survival_result import SurvivalResult
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.statistics import KaplanMeier, LogRank
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.labels import Label

__all__ = ["Survival", "SurvivalAnalyzer", "SurvivalStrategy"]


@dataclass(frozen=True)
class Survival(Described):
    """Kaplan-Meier curves of all hospitals' rows, with confidence bands and the log-rank test.

    A duration counts at the first time of the grid that is not before it: with every duration on
    the grid, as whole months are, all figures are those of the pooled rows.

    Parameters
    ----------
    durations, events : str
        The columns: how long, from 0, and whether that ended with the event, 1, or not, 0.
    times : sequence of float
        The grid, rising, such as ``range(1, 61)``.
    by : str, optional
        The column of groups.
    groups : list, optional
        Its values, two or more; rows with another one are in no group, and counted.
    at : sequence of float, optional
        Times at which the number at risk is told; by default a few from 0 on.
    png : bool
        Whether :meth:`model` also writes the picture as PNG, with 300 dots per inch.
    table : callable, optional
        Makes a DataFrame of the node's data; by default that is its one CSV file.

    Raises
    ------
    ModelError
        Something cannot be so; the message says what to write.

    Examples
    --------
    >>> import pandas as pd
    >>> here = pd.DataFrame({"t": [1, 2, 3, 4], "ill": [1, 0, 1, 1], "arm": ["a", "b", "b", "a"]})
    >>> there = pd.DataFrame({"t": [2, 4, 4], "ill": [1, 1, 0], "arm": ["a", "b", "b"]})
    >>> study = Survival("t", "ill", times=[1, 2, 3, 4], by="arm", groups=["a", "b"])
    >>> result = study.test([here, there], quiet=True).result
    >>> result.medians()["median"].to_dict(), round(result.p, 3)
    ({'a': 2.0, 'b': 4.0}, 0.158)
    """

    durations: str
    events: str
    times: Sequence[float]
    by: str | None = None
    groups: Sequence[Label] = ()
    at: Sequence[float] = ()
    png: bool = False
    table: Callable[[Any], Any] = one_csv

    def __post_init__(self) -> None:
        """Check what is declared, before anything runs."""
        check_names(durations=self.durations, events=self.events, by=self.by)
        # a text is a sequence, too: of its letters
        if (self.by is None) != (not self.groups) or isinstance(self.groups, str):
            raise ModelError("by, a column, and groups, a list of its values, go together")
        if not callable(self.table):
            raise ModelError("table must be a function of the node's data")
        grid, asked = _numbers("times", self.times), _numbers("at", self.at)
        KaplanMeier.zero(grid) if self.by is None else LogRank.zero(self.groups, grid)
        if not all(0 <= time <= grid[-1] for time in asked):
            raise ModelError(f"at: give times from 0 to the grid's last, {grid[-1]:g}")

    @cached_property
    def analyzer(self) -> type[SurvivalAnalyzer]:
        """The class that runs on every node."""
        attributes = {"study": self, "__module__": __name__}
        return type("SurvivalAnalyzer", (SurvivalAnalyzer,), attributes)

    def make_strategy(self, outputs: Outputs = ()) -> SurvivalStrategy:
        """Return a new strategy, whose result is a :class:`SurvivalResult`."""
        return SurvivalStrategy(self, outputs=outputs)

    @property
    def files(self) -> Outputs:
        """The curves as CSV, the table as HTML and text, all figures as JSON, and the picture."""
        files: list[tuple[str, str, Callable[[Any], Any]]] = [
            ("survival.csv", "str", lambda result: result.to_frame().to_csv(index=False)),
            ("survival.html", "str", lambda result: result.to_html()),
            ("survival.json", "str", lambda result: json.dumps(result.to_json(), indent=1)),
            ("survival.svg", "str", lambda result: result.plot()),
            ("survival.txt", "str", str),
        ]
        if self.png:
            files.append(("survival.png", "bytes", lambda result: result.plot_png()))
        return files


class SurvivalAnalyzer(StarAnalyzer):
    """Counts one node's events and censored; a study's ``analyzer`` is a subclass.

    Attributes
    ----------
    study : Survival
        What it is of.
    takes_tables : bool
        Also a DataFrame is a node's data in a local test: it is not warned of.
    """

    study: ClassVar[Survival]
    takes_tables: ClassVar[bool] = True

    def table(self, data: Any) -> pd.DataFrame:
        """Return the node's data as a table; by default the study's way."""
        made: pd.DataFrame = type(self).study.table(data)
        return made

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Return the counts of the grid's times.

        Raises
        ------
        DataError
            The table lacks a column, or a duration or an event cannot be one.
        """
        study = type(self).study
        needed = [study.durations, study.events, *([] if study.by is None else [study.by])]
        with complete_rows(self.table(data), needed) as rows:
            followed = rows[study.durations], rows[study.events]
            if study.by is None:
                return {"survival": KaplanMeier.from_data(*followed, study.times)}
            found = LogRank.from_data(*followed, rows[study.by], study.groups, study.times)
            return {"survival": found}


class SurvivalStrategy(ReduceStrategy):
    """Merges the counts and makes the curves.

    Parameters
    ----------
    study : Survival
        What it is of.
    outputs : sequence, optional
        As for :class:`~flame_flwr.strategies.ReduceStrategy`: the functions get the result.
    """

    _DECLARED = ReduceStrategy._DECLARED | {"study"}
    _fixed = frozenset({"reductions", "first"})

    def __init__(self, study: Survival, *, outputs: Any = (), secure: bool | None = None) -> None:
        self.study = study
        super().__init__(Merge(), outputs=outputs, secure=secure, simple_analysis=True)

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return the curves."""
        study = self.study
        return SurvivalResult(study.durations, aggregate["survival"], study.by, tuple(study.at))


def _numbers(name: str, values: Any) -> list[float]:
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name} must be numbers, rising, such as range(1, 61)") from error
