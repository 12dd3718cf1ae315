"""``Cox``: proportional hazards over all hospitals' rows, each hospital a stratum."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.regression.baseline import breslow, stratum_labels
from flame_flwr.regression.coordinates import original, shifts, standardized
from flame_flwr.regression.described import Outputs, check_names
from flame_flwr.regression.formula import Design, read_design, read_outcome
from flame_flwr.regression.newton import Path
from flame_flwr.regression.partial_likelihood import SurvivalRows, partial_sums
from flame_flwr.regression.result import RegressionResult
from flame_flwr.regression.rows import cell_counts, one_csv, row_values
from flame_flwr.regression.sites import INTERCEPT
from flame_flwr.regression.solving import SingularError, factorize
from flame_flwr.regression.study import Study
from flame_flwr.statistics import BaselineHazards, ScoreInformation

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.regression.rows import DesignMatrix
    from flame_flwr.statistics import Statistic

__all__ = ["Cox"]

_SMALLEST = 1e-13
"""Below it a column is a sum of others: sums over those at risk have the digits of floats."""


@dataclass(frozen=True)
class Cox(Study):
    """Cox's proportional hazards over all hospitals' rows, stratified by hospital.

    People are compared with those of their own hospital, so that score and information add up, and
    the maximum of the sum is that of the pooled rows with the hospital as a stratum.

    Parameters
    ----------
    formula : str
        On the left a time and whether it ended with an event, 1 or 0: ``"months, died ~ age +
        C(stage)"``; with left truncation the entry first: ``"entry, months, died ~ age"``.
    ties : {'efron', 'breslow'}
        How events at one time are treated.
    strata : str or list of str, optional
        Columns of further strata, within each hospital.
    baseline : sequence of float, optional
        Times at which the result has the baseline hazard of each hospital and stratum, rising; not
        with secure sums, as it is a hospital's own.
    levels, table
        As for :class:`~flame_flwr.regression.GLM`.

    Raises
    ------
    ModelError
        Something cannot be so; the message says what to write.

    Examples
    --------
    >>> import pandas as pd
    >>> here = pd.DataFrame({"t": [1, 2, 3, 4, 5], "ill": [1, 0, 1, 1, 0], "x": [2, 1, 3, 0, 1]})
    >>> there = pd.DataFrame({"t": [2, 4, 6, 7], "ill": [1, 1, 0, 1], "x": [1, 2, 0, 1]})
    >>> result = Cox("t, ill ~ x").test([here, there], quiet=True).result
    >>> result.to_frame()["hazard ratio"].round(3).to_dict(), result.events
    ({'x': 2.057}, 6)
    """

    formula: str
    ties: str = "efron"
    strata: str | Sequence[str] = ()
    baseline: Sequence[float] = ()
    levels: Mapping[str, Sequence[Label]] | None = None
    table: Callable[[Any], Any] = one_csv

    def __post_init__(self) -> None:
        """Read the formula and check the rest, before anything runs."""
        if not isinstance(self.formula, str) or self.formula.count("~") != 1:
            raise ModelError("formula must be a text such as 'months, died ~ age + stage'")
        if self.ties not in ("efron", "breslow"):
            raise ModelError(f"ties must be 'efron' or 'breslow', not {self.ties!r}")
        if not callable(self.table):
            raise ModelError("table must be a function of the node's data")
        if isinstance(self.strata, str | Sequence):
            check_names(**{f"strata[{place}]": name for place, name in enumerate(self._strata)})
        else:
            check_names(strata=self.strata)
        # no generator: every round reads it again
        if isinstance(self.baseline, str) or not hasattr(self.baseline, "__len__"):
            raise ModelError("baseline must be a list of times, such as [12, 24]")
        if len(self.baseline):
            BaselineHazards.zero(self.baseline)
        if len(self._left) not in (2, 3):
            raise ModelError(
                "the left side of Cox's formula is `time, event ~` or `entry, time, event ~`"
            )
        _ = self.outcome
        # without one formulaic gives every level a column, and their sum is the same for everybody
        if not any(str(term) == "1" for term in self.design.terms):
            raise ModelError(
                "Cox's model has no intercept in any case: leave the 0 or -1 out of the formula"
            )
        if len(self.design.terms) < 2:
            raise ModelError(
                "the formula has nothing on its right side. For curves without a model there is "
                "flame_flwr.regression.Survival"
            )

    @cached_property
    def design(self) -> Design:
        """The right side of the formula."""
        return read_design(self.formula.partition("~")[2].strip(), self.levels)

    @cached_property
    def outcome(self) -> tuple[str, ...]:
        """The expressions on the left side."""
        return tuple(read_outcome(part.strip()) for part in self._left)

    @property
    def _left(self) -> list[str]:
        """The left side's parts; a comma within a call does not part."""
        return re.split(r",(?![^(]*\))", self.formula.partition("~")[0])

    @property
    def ratio(self) -> str:
        """What a coefficient's exponential is."""
        return "hazard ratio"

    @property
    def _strata(self) -> list[str]:
        return [self.strata] if isinstance(self.strata, str) else list(self.strata)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the table that are needed."""
        left = [name for part in self.outcome for name in read_design(part).columns]
        return tuple(dict.fromkeys([*left, *self.design.columns, *self._strata]))

    # ---- at a node -------------------------------------------------------------------------

    def happened(self, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which rows have an event."""
        happened: npt.NDArray[np.bool_] = row_values(self.outcome[-1], rows) == 1
        return happened

    def agree(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Check times and events; nothing of them is agreed on."""
        self._survival(rows, np.zeros((len(rows), 0)))
        return {}

    def sums(
        self, prepared: tuple[pd.DataFrame, DesignMatrix], asked: Mapping[str, Any]
    ) -> dict[str, ScoreInformation]:
        """Return score and information of this hospital's strata."""
        columns, survival = self._prepared(*prepared, asked)
        coefficients = asked["coefficients"]
        if coefficients is None:
            coefficients = np.zeros(len(columns))
        score, information, likelihood = partial_sums(survival, coefficients, self.ties)
        fit = ScoreInformation.from_data(
            columns,
            len(survival.time),
            score,
            information,
            {"objective": -2 * likelihood, "outside": 0.0, "edge": 0.0},
            events=int(survival.event.sum()),
            cells=cell_counts(prepared[1], survival.event),
            counted="events",
        )
        return {"fit": fit}

    def at_site(
        self, prepared: tuple[pd.DataFrame, DesignMatrix], asked: Mapping[str, Any], site: str
    ) -> dict[str, Statistic]:
        """Return the baseline hazards of this hospital, where they are asked for."""
        if not len(self.baseline):
            return {}
        _, survival = self._prepared(*prepared, asked)
        labels = self.strata_of(prepared[0])
        return {"baseline": breslow(survival, labels, asked["coefficients"], self.baseline, site)}

    def _prepared(
        self, rows: pd.DataFrame, matrix: DesignMatrix, asked: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], SurvivalRows]:
        kept = [place for place, name in enumerate(matrix.columns) if name != INTERCEPT]
        columns = tuple(matrix.columns[place] for place in kept)
        table = standardized(matrix.table[:, kept], columns, asked["standard"], centred=True)
        return columns, self._survival(rows, table)

    def _survival(self, rows: pd.DataFrame, table: Any) -> SurvivalRows:
        """Return times, events and strata.

        Raises
        ------
        DataError
            They cannot be such.
        """
        *entry, time, event = (row_values(part, rows) for part in self.outcome)
        if not ((event == 0) | (event == 1)).all():
            raise DataError(f"{self.outcome[-1]} must be 0 or 1: whether there was an event")
        # without an entry everybody is at risk from the beginning, also with times below 0
        begins = entry[0] if entry else np.full(len(rows), -np.inf)
        if not (time > begins).all():
            raise DataError(f"{self.outcome[-2]} must be after {self.outcome[0]} in every row")
        strata: Any = np.zeros(len(rows), dtype=np.int64)
        if self._strata:
            # numbers of this hospital alone: strata of two hospitals are never compared
            strata = rows.groupby(self._strata).ngroup().to_numpy()
        return SurvivalRows(table, begins, time, event == 1, strata)

    # ---- on the server ---------------------------------------------------------------------

    def start(self, agreed: Mapping[str, Any]) -> dict[str, Any]:
        """Return nothing: the first coefficients are 0."""
        return {}

    def path(self, sums: ScoreInformation, asked: Mapping[str, Any]) -> Path:
        """Return a path that begins at 0."""
        if not sums.events:
            raise DataError("no hospital has an event: there is nothing to fit")
        information = sums.matrix()
        # `factorize` would say that no row has it, which is not so
        alike = [repr(name) for j, name in enumerate(sums.columns) if information[j][j] <= 0]
        if alike:
            raise SingularError(
                f"{' or '.join(alike)} is the same in all who are compared with each other, the "
                "people at risk of one hospital and stratum: leave the term out"
            )
        nothing = np.zeros(len(sums.columns))
        return Path(nothing, nothing, smallest=_SMALLEST)

    def dispersion(self, sums: ScoreInformation) -> float:
        """Return 1: the covariance is the inverse information."""
        return 1.0

    def finish(self, sums: ScoreInformation) -> dict[str, Any]:
        """Return nothing: the last round needs no more than the coefficients."""
        return {}

    def result(self, merged: Mapping[str, Any], asked: Mapping[str, Any]) -> RegressionResult:
        """Return the coefficients and all that is said of them."""
        fit = merged["fit"]
        inverse = factorize(fit.matrix(), fit.columns).inverse()
        params, covariance = original(
            asked["coefficients"], inverse, fit.columns, asked["standard"]
        )
        # hospitals centre columns in any case: their baseline is that of a row at the centres
        centres, _ = shifts(fit.columns, asked["standard"], centred=True)
        return RegressionResult(
            **self._told(merged, asked),
            model=f"Cox, ties {self.ties}, stratified by hospital",
            coefficients=tuple(params.tolist()),
            covariance=tuple(map(tuple, covariance.tolist())),
            covariance_type="nonrobust",
            events=fit.events,
            weights=float(fit.events),  # for BIC, as R's `logLik.coxph` counts
            llf=float(fit.figure("objective")) / -2,
            baseline=merged.get("baseline"),
            baseline_at=float(centres @ params),
        )

    def strata_of(self, frame: pd.DataFrame) -> list[str]:
        """Return which stratum of a hospital each row is in.

        Raises
        ------
        DataError
            A column of the strata is missing.
        """
        lacking = [name for name in self._strata if name not in frame]
        if lacking:
            raise DataError(f"strata: the rows have no column {' or '.join(lacking)}")
        return stratum_labels(frame, self._strata)

    @property
    def files(self) -> Outputs:
        """Tables, a picture and JSON; with a baseline also its cumulative hazards."""
        found = super().files
        if not len(self.baseline):
            return found
        hazards = "baseline-hazard.csv", "str", lambda result: result.baseline_hazard.to_csv()
        return [*found, hazards]

    def means(self, predictors: Any) -> Any:
        """Return hazard ratios against a row in which every column is 0."""
        return np.exp(predictors)

    def offsets(self, frame: pd.DataFrame) -> Any:
        """Return zeros."""
        return np.zeros(len(frame))
