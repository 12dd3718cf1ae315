"""``Study``, the base of the regressions: a description that gives an analyzer and a strategy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.log import logger
from flame_flwr.regression.described import Described, Outputs
from flame_flwr.regression.result import RegressionResult
from flame_flwr.regression.row_people import CellPeople
from flame_flwr.regression.rows import agreement, complete_rows, design_matrix
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.statistics import ValueCounts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.regression.formula import Design
    from flame_flwr.regression.meta_analysis import RegressionMetaAnalysis
    from flame_flwr.regression.newton import Path
    from flame_flwr.regression.rows import DesignMatrix
    from flame_flwr.regression.strategy import RegressionStrategy
    from flame_flwr.statistics import ScoreInformation, Statistic

__all__ = ["RegressionAnalyzer", "Study"]


class Study(Described):
    """What a regression is: its formula, and how its sums are computed at a node.

    Subclasses are frozen dataclasses: :class:`~flame_flwr.regression.GLM` and
    :class:`~flame_flwr.regression.Cox`.
    """

    formula: str
    levels: Mapping[str, Sequence[Label]] | None
    table: Callable[[Any], Any]

    site_effects: bool = False
    """Whether each hospital has an intercept of its own."""

    @property
    @abstractmethod
    def design(self) -> Design:
        """The right side of the formula."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """All columns of the table that are needed."""

    @property
    @abstractmethod
    def ratio(self) -> str | None:
        """What a coefficient's exponential is, such as ``odds ratio``; ``None``: nothing."""

    @abstractmethod
    def happened(self, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which rows have an event, or of two outcomes the one that is 1; else none."""

    @abstractmethod
    def agree(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Return statistics of the outcome for the first round, where the steps need them."""

    def prepare(self, rows: pd.DataFrame, matrix: DesignMatrix, asked: Mapping[str, Any]) -> Any:
        """Return what :meth:`sums` needs of a node's rows in every round."""
        return rows, matrix

    @abstractmethod
    def sums(self, prepared: Any, asked: Mapping[str, Any]) -> dict[str, ScoreInformation]:
        """Return the sums of a step, or of the last round, of what was prepared."""

    def at_site(self, prepared: Any, asked: Mapping[str, Any], site: str) -> dict[str, Statistic]:
        """Return what the last round tells of this hospital alone: here nothing."""
        return {}

    def strata_of(self, frame: pd.DataFrame) -> list[str]:
        """Return which stratum of a hospital each row is in: there is one, ``""``."""
        return [""] * len(frame)

    @abstractmethod
    def start(self, agreed: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the first step needs of what hospitals agreed on."""

    @abstractmethod
    def path(self, sums: ScoreInformation, asked: Mapping[str, Any]) -> Path:
        """Return where the steps begin."""

    @abstractmethod
    def dispersion(self, sums: ScoreInformation) -> float:
        """Return by what the inverse information is multiplied."""

    @abstractmethod
    def finish(self, sums: ScoreInformation) -> dict[str, Any]:
        """Return what the last round needs beside the coefficients."""

    @abstractmethod
    def result(self, merged: Mapping[str, Any], asked: Mapping[str, Any]) -> RegressionResult:
        """Return the result of the last round's sums."""

    def _told(self, merged: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a result has of the sums and the question, whatever the model."""
        fit = merged["fit"]
        return {
            "formula": self.formula,
            "columns": fit.columns,
            "ratio": self.ratio,
            "nobs": fit.n,
            "steps": asked["steps"],
            "nobs_at": RegressionResult.counts_of(merged.get("rows_at")),
            "events_at": RegressionResult.counts_of(merged.get("events_at")),
            "levels": {name: tuple(found) for name, found in asked["levels"].items()},
            "moments": {name: tuple(found) for name, found in asked["moments"].items()},
            "suppressed": fit.suppressed,
            "study": self,
        }

    @abstractmethod
    def means(self, predictors: Any) -> Any:
        """Return what the model says of rows with these linear predictors."""

    @abstractmethod
    def offsets(self, frame: pd.DataFrame) -> Any:
        """Return what a frame's columns add to the linear predictor."""

    @cached_property
    def analyzer(self) -> type[RegressionAnalyzer]:
        """The class that runs on every node; subclass it as any other."""
        name = f"{type(self).__name__}Analyzer"
        return type(name, (RegressionAnalyzer,), {"study": self, "__module__": __name__})

    @property
    def meta_analysis(self) -> RegressionMetaAnalysis:
        """The same regression of each hospital's rows alone, combined in one round."""
        from flame_flwr.regression.meta_analysis import RegressionMetaAnalysis

        return RegressionMetaAnalysis(self)

    def make_strategy(self, outputs: Outputs = ()) -> RegressionStrategy:
        """Return a new strategy, whose result is a :class:`RegressionResult`."""
        from flame_flwr.regression.strategy import RegressionStrategy

        return RegressionStrategy(self, outputs=outputs)

    @property
    def files(self) -> Outputs:
        """Two tables, a picture and JSON."""
        from flame_flwr.regression.strategy import files

        return files()


class RegressionAnalyzer(StarAnalyzer):
    """Sums up what a step of a regression needs of one node's rows.

    A study's ``analyzer`` is a subclass; one of your own may override :meth:`table`.

    Attributes
    ----------
    study : Study
        What it is of.
    takes_tables : bool
        Also a DataFrame is a node's data in a local test: it is not warned of.

    Examples
    --------
    >>> import pandas as pd
    >>> from flame_flwr.regression import GLM
    >>> from flame_flwr.star import StarModelTester
    >>> study = GLM("pain ~ dose")
    >>> class Wards(study.analyzer):
    ...     def table(self, data):
    ...         return pd.DataFrame(data, columns=["dose", "pain"])
    >>> wards = [[(1.0, 5.1), (2.0, 4.0), (3.0, 3.3)], [(2.0, 4.2), (5.0, 1.1)]]
    >>> found = StarModelTester(wards, Wards, study.strategy, "s3", quiet=True).result
    >>> found.params.round(2).to_dict()
    {'Intercept': 6.12, 'dose': -0.99}
    """

    study: ClassVar[Study]
    takes_tables: ClassVar[bool] = True

    _kept: tuple[Any, Any, CellPeople | None] | None = None

    def table(self, data: Any) -> pd.DataFrame:
        """Return the node's data as a table, a row for each patient; by default the study's way."""
        made: pd.DataFrame = type(self).study.table(data)
        return made

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Return statistics: at first what hospitals agree on, then the sums of a step.

        Raises
        ------
        DataError
            The table is not what the formula needs.
        """
        study, asked = type(self).study, aggregator_results
        logger.info("round %d of a regression of %s", self.num_iterations + 1, study.design.text)
        if asked["stage"] == "agree":
            self._kept = None  # what was made of an older agreement
            with complete_rows(self.table(data), study.columns) as rows:
                common = agreement(study.design, rows, secure=asked["secure"])
                return {"agreed": {**common, "outcome": study.agree(rows)}}
        if study.site_effects:
            others = set(self.partner_node_ids) - {self.flame.get_aggregator_id()}
            # sorted: the columns stand in one order at every hospital
            asked = {**asked, "site": self.id, "sites": sorted({self.id, *others})}
        # the design takes longer to make than a step; it is made again for another run's question
        agreed = [asked.get(name) for name in _AGREED]
        if self._kept is None or self._kept[0] != agreed:
            with complete_rows(self.table(data), study.columns) as rows:
                matrix = design_matrix(study.design, rows, asked["levels"], asked["moments"])
                people = CellPeople.of(matrix.cells, study.happened(rows), rows)
                self._kept = agreed, study.prepare(rows, matrix, asked), people
        found: dict[str, Any] = dict(study.sums(self._kept[1], asked))
        self._tell_people(found)
        if asked["stage"] == "final" and not asked["secure"]:
            beside = study.at_site(self._kept[1], asked, self.id)
            self._tell_people(beside)
            found |= beside
            fit = found["fit"]
            found["rows_at"] = _counted_at(self.id, fit.n)
            if fit.counted != "rows":  # else there are no events, and 0 would look like some
                found["events_at"] = _counted_at(self.id, fit.events)
        return {"sums": found}

    def _tell_people(self, found: Mapping[str, Statistic]) -> None:
        """Have statistics know whom they are about, for rules that count people."""
        if self._kept is not None and (people := self._kept[2]) is not None:
            people.known_to(*found.values())

    def __getstate__(self) -> dict[str, Any]:
        """Keep nothing of the rows between rounds: in another process they are read again."""
        return {key: value for key, value in vars(self).items() if key != "_kept"}


_AGREED = ("levels", "moments", "standard", "sites")
"""What the design depends on; it is the same in all rounds of a run."""


def _counted_at(node: str, count: int) -> ValueCounts:
    """Return how many there are at a node, as counts by node."""
    # names of hospitals are the labels, so the rules on small counts hold for them as they are
    return ValueCounts(None, ((None, 0, 0), *([(node, count, 0)] if count else [])))
