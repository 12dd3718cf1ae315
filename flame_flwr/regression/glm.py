"""``GLM``: a generalised linear model whose coefficients are those of all hospitals' rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.regression import families
from flame_flwr.regression.coordinates import original, standardized
from flame_flwr.regression.degenerate_data import check_first_sums
from flame_flwr.regression.described import check_names
from flame_flwr.regression.formula import Design, read_design, read_outcome
from flame_flwr.regression.newton import Path
from flame_flwr.regression.result import RegressionResult
from flame_flwr.regression.rows import cell_counts, one_csv, row_values
from flame_flwr.regression.sites import NO_CLUSTERS, common_columns, embedded, intercepts
from flame_flwr.regression.solving import factorize, sandwich
from flame_flwr.regression.study import Study
from flame_flwr.statistics import Moments, ScoreInformation

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.regression.rows import DesignMatrix
    from flame_flwr.statistics.values import Numbers

__all__ = ["GLM"]


_ROBUST = (None, "HC0", "HC1", "cluster")


@dataclass(frozen=True)
class GLM(Study):
    """A generalised linear model of all hospitals' rows, as statsmodels' of the pooled ones.

    No hospital's coefficients are averaged: in each round hospitals send the score and the
    information at common coefficients, and the maximum of the sum is that of the pooled rows.

    Parameters
    ----------
    formula : str
        Such as ``"died ~ age + C(stage) + sex"``, as formulaic reads it. What would learn from one
        hospital's rows is refused; ``center`` and ``scale`` use the mean of all.
    family : str or statsmodels family
        ``gaussian``, ``binomial``, ``poisson``, ``gamma`` or ``inverse_gaussian``, or a family of
        statsmodels with its link, such as ``NegativeBinomial(alpha=0.5)``.
    offset, exposure, freq_weights : str, optional
        Columns: what is added to the linear predictor, what its logarithm is added of, how often a
        row counts.
    levels : dict of str to list, optional
        Levels of categories, the reference first. Without, they are those that hospitals find, but
        for rare ones where a disclosure rule withholds these. Secure sums need them.
    robust : {'HC0', 'HC1', 'cluster'}, optional
        Standard errors that allow for unequal variances, or for the rows of one `subject`. HC1 has
        the factor n / (n - p), which statsmodels' OLS has and its GLM leaves out.
    site_effects : bool
        Whether each hospital has an intercept of its own, in place of one for all.
    subject : str, optional
        The column that says whom a row is about; people stay within a hospital.
    table : callable, optional
        Makes a DataFrame of the node's data; by default that is its one CSV file.

    Raises
    ------
    ModelError
        Something cannot be so; the message says what to write.

    Examples
    --------
    >>> import pandas as pd
    >>> here = pd.DataFrame({"dose": [1.0, 2.0, 3.0, 4.0], "pain": [5.1, 4.0, 3.3, 1.9]})
    >>> there = pd.DataFrame({"dose": [2.0, 5.0, 6.0], "pain": [4.2, 1.1, 0.2]})
    >>> result = GLM("pain ~ dose").test([here, there], quiet=True).result
    >>> result.params.round(3).to_dict()
    {'Intercept': 6.102, 'dose': -0.996}
    >>> result.nobs, result.nobs_at
    (7, {'node-0': 4, 'node-1': 3})
    """

    formula: str
    family: Any = "gaussian"
    offset: str | None = None
    exposure: str | None = None
    freq_weights: str | None = None
    levels: Mapping[str, Sequence[Label]] | None = None
    robust: str | None = None
    subject: str | None = None
    site_effects: bool = False
    table: Callable[[Any], Any] = one_csv

    def __post_init__(self) -> None:
        """Read the formula and check the rest, before anything runs."""
        if not isinstance(self.formula, str) or self.formula.count("~") != 1:
            raise ModelError("formula must be a text such as 'died ~ age + stage'")
        if self.robust not in _ROBUST:
            raise ModelError(
                f"robust must be 'HC0', 'HC1' or 'cluster', not {self.robust!r}; {NO_CLUSTERS}"
            )
        if (self.robust == "cluster") != (self.subject is not None):
            raise ModelError("robust errors by cluster and a subject column go together: give both")
        if self.robust is not None and self.freq_weights is not None:
            raise ModelError("robust standard errors and freq_weights do not go together here")
        check_names(
            offset=self.offset,
            exposure=self.exposure,
            freq_weights=self.freq_weights,
            subject=self.subject,
        )
        if not callable(self.table):
            raise ModelError("table must be a function of the node's data")
        if not isinstance(self._link.link(np.array([0.5])), np.ndarray):
            raise ModelError("family: its link gives no numbers")
        _ = self.outcome  # read now: what is wrong with it is said when the study is built
        if not self.design.terms:
            raise ModelError("the formula has nothing on its right side: 1 is an intercept alone")
        if self.site_effects and not any(str(term) == "1" for term in self.design.terms):
            raise ModelError(
                "site_effects put intercepts in the place of one: leave the 0 or -1 out"
            )

    @cached_property
    def design(self) -> Design:
        """The right side of the formula."""
        return read_design(self.formula.partition("~")[2].strip(), self.levels)

    @cached_property
    def outcome(self) -> str:
        """The left side of the formula."""
        return read_outcome(self.formula.partition("~")[0].strip())

    @cached_property
    def _link(self) -> Any:
        return families.family_of(self.family)

    @property
    def ratio(self) -> str | None:
        """What a coefficient's exponential is."""
        return families.ratio_of(self._link)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the table that are needed."""
        named = [self.offset, self.exposure, self.freq_weights, self.subject]
        left = read_design(self.outcome).columns
        return tuple(dict.fromkeys([*left, *self.design.columns, *filter(None, named)]))

    @property
    def counted(self) -> str:
        """Which rows count for the rule ``RowsPerParameter``."""
        return "rarer" if families.is_binary(self._link) else "rows"

    # ---- at a node -------------------------------------------------------------------------

    def agree(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Return the sum of the outcome, of which most families' starting means are made."""
        outcome = row_values(self.outcome, rows)
        families.check_outcome(self._link, outcome, self.outcome)
        return {} if families.is_binary(self._link) else {"mean": Moments.from_data(outcome)}

    def happened(self, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return which rows have the outcome 1, where it is one of two; else none."""
        if self.counted == "rows":
            return np.zeros(len(rows), dtype=bool)
        happened: npt.NDArray[np.bool_] = row_values(self.outcome, rows) == 1
        return happened

    def prepare(
        self, rows: pd.DataFrame, matrix: DesignMatrix, asked: Mapping[str, Any]
    ) -> families.NodeRows:
        """Return what each step needs of the rows."""
        import pandas as pd

        events = self.happened(rows)
        people = None if self.subject is None else rows[self.subject]
        return families.NodeRows(
            self._rows(rows, standardized(matrix.table, matrix.columns, asked["standard"])),
            *common_columns(matrix.columns, asked),
            events=int(events.sum()),
            cells=cell_counts(matrix, events, people),
            clusters=None if people is None else pd.factorize(people)[0],
        )

    def sums(
        self, prepared: families.NodeRows, asked: Mapping[str, Any]
    ) -> dict[str, ScoreInformation]:
        """Return score and information at the coefficients that are asked for."""
        names = ["fit"]
        # with secure sums the answers of all rounds have one form
        if self.robust is not None and (asked["stage"] == "final" or asked["secure"]):
            names += ["bread", "meat"]
        # a hospital without complete rows has the columns all the same: sums are merged by name
        if not len(prepared.rows.outcome):
            nothing = ScoreInformation.zero(
                prepared.columns,
                [*families.FIGURES, "clusters", "hospitals"],
                list(prepared.cells),
                self.counted,
            )
            return dict.fromkeys(names, nothing)
        coefficients, clusters = asked["coefficients"], prepared.clusters
        if coefficients is not None:
            coefficients = coefficients[prepared.places]
        score, information, figures = families.scoring(
            self._link, prepared.rows, coefficients, asked["mean"], asked["scale"]
        )
        # codes count from 0, so the largest one tells how many subjects there are
        figures["clusters"] = 0.0 if clusters is None else float(clusters.max() + 1)
        figures["hospitals"] = 1.0
        # of starting means there is no bread: with secure sums the information holds its place
        found = [information] * len(names)
        if len(names) > 1 and coefficients is not None:
            found[1:] = families.meat(self._link, prepared.rows, coefficients, clusters)
        return {
            name: ScoreInformation.from_data(
                prepared.columns,
                len(prepared.rows.outcome),
                *embedded(score, part, prepared.places, len(prepared.columns)),
                figures,
                events=prepared.events,
                cells=prepared.cells,
                counted=self.counted,
            )
            for name, part in zip(names, found, strict=True)
        }

    def _rows(self, rows: pd.DataFrame, table: Numbers) -> families.GLMRows:
        offset, weights = np.zeros(len(rows)), np.ones(len(rows))
        if self.offset is not None:
            offset = offset + row_values(self.offset, rows)
        if self.exposure is not None:
            exposure = row_values(self.exposure, rows)
            if (exposure <= 0).any():
                raise DataError(f"{self.exposure}: an exposure must be above 0 in every row")
            offset = offset + np.log(exposure)
        if self.freq_weights is not None:
            weights = row_values(self.freq_weights, rows)
            if (weights < 0).any():
                raise DataError(f"{self.freq_weights}: a weight must be at least 0 in every row")
        return families.GLMRows(table, row_values(self.outcome, rows), offset, weights)

    # ---- on the server ---------------------------------------------------------------------

    def start(self, agreed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mean outcome of all rows."""
        return {
            "mean": agreed["mean"].result()["mean"] if "mean" in agreed else None,
            "scale": None,
        }

    def path(self, sums: ScoreInformation, asked: Mapping[str, Any]) -> Path:
        """Return a path that begins at starting means, with the mean alone to step back to."""
        rate = asked["mean"] if families.has_fixed_scale(self._link) else None
        check_first_sums(sums, self.outcome, rate, by_cluster=self.robust == "cluster")
        nothing = np.zeros(len(sums.columns))
        # steps that leave the family go back towards this: the mean of all rows is always within it
        before = nothing.copy()
        mean = sums.events / sums.n if asked["mean"] is None else asked["mean"]
        with np.errstate(all="ignore"):
            linked = float(self._link.link(np.array([mean]))[0])
        before[intercepts(sums.columns)] = linked if np.isfinite(linked) else 0.0
        return Path(nothing, before, begins=True)

    def dispersion(self, sums: ScoreInformation) -> float:
        """Return 1, or Pearson's chi-square by its degrees of freedom.

        As statsmodels has it by default; McCullagh and Nelder, "Generalized Linear Models" (1989).
        """
        if families.has_fixed_scale(self._link):
            return 1.0
        freedom = float(sums.figure("weights")) - len(sums.columns)
        if freedom <= 0:
            raise DataError(
                "all hospitals together have no more rows than parameters: leave terms out"
            )
        return float(sums.figure("pearson")) / freedom

    def finish(self, sums: ScoreInformation) -> dict[str, Any]:
        """Return the dispersion with which the last round computes the log-likelihood."""
        scale = self.dispersion(sums)
        # statsmodels' log-likelihood of least squares is the largest over the dispersion, too
        if type(self._link).__name__ == "Gaussian" and getattr(self._link.link, "power", 0) == 1:
            scale = float(sums.figure("pearson") / sums.figure("weights"))
        # a perfect fit has no dispersion, and the log-likelihood divides by it
        return {"scale": scale or 1e-300}

    def result(self, merged: Mapping[str, Any], asked: Mapping[str, Any]) -> RegressionResult:
        """Return the coefficients and all that is said of them."""
        fit = merged["fit"]
        inverse = factorize(fit.matrix(), fit.columns).inverse()
        scale = self.dispersion(fit)
        params, covariance = original(
            asked["coefficients"], inverse, fit.columns, asked["standard"]
        )
        covariance = covariance * scale
        if self.robust is not None:
            covariance = self._robust(merged, asked)
        link = type(self._link.link).__name__
        return RegressionResult(
            **self._told(merged, asked),
            model=f"GLM, {type(self._link).__name__}, link {link}",
            coefficients=tuple(params.tolist()),
            covariance=tuple(map(tuple, covariance.tolist())),
            covariance_type=self.robust or "nonrobust",
            events=fit.events if self.counted == "rarer" else None,
            weights=float(fit.figure("weights")),
            llf=float(fit.figure("llf")),
            deviance=float(fit.figure("objective")),
            pearson_chi2=float(fit.figure("pearson")),
            scale=scale,
        )

    def _robust(self, merged: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
        fit, bread, meat = merged["fit"], merged["bread"], merged["meat"]
        inverse = factorize(bread.matrix(), bread.columns).inverse()
        n, p = fit.n, len(fit.columns)
        # HC0 is White's (1980), HC1 has the factor of MacKinnon and White (1985), and clusters that
        # of Stata and of statsmodels' `cov_cluster`
        factor = 1.0
        if self.robust == "HC1":
            factor = n / (n - p)
        if self.robust == "cluster":
            groups = float(fit.figure("clusters"))
            if groups < 2:
                raise DataError("standard errors by cluster need at least two subjects")
            factor = groups / (groups - 1) * (n - 1) / (n - p)
        whole = sandwich(inverse, meat.matrix())
        _, covariance = original(asked["coefficients"], whole, fit.columns, asked["standard"])
        return covariance * factor

    def means(self, predictors: Any) -> Any:
        """Return the means of linear predictors."""
        return self._link.link.inverse(predictors)

    def offsets(self, frame: pd.DataFrame) -> Any:
        """Return what a frame's offset and exposure add to the linear predictor, if it has them."""
        total = np.zeros(len(frame))
        if self.offset is not None and self.offset in frame:
            total = total + row_values(self.offset, frame)
        if self.exposure is not None and self.exposure in frame:
            total = total + np.log(row_values(self.exposure, frame))
        return total
