"""``RegressionResult``: coefficients with their inference, under statsmodels' names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError
from flame_flwr.regression.baseline import baseline_frame, survival_frame
from flame_flwr.regression.group_tests import p_text
from flame_flwr.regression.json_values import json_value
from flame_flwr.regression.printed_table import PrintedRow, PrintedTable, page_of
from flame_flwr.regression.sites import INTERCEPT, intercepts, site_column

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.regression.study import Study
    from flame_flwr.statistics import BaselineHazards

__all__ = ["RegressionResult"]


@dataclass(frozen=True, kw_only=True, repr=False)
class RegressionResult:
    """What a regression of all hospitals has found; it prints as a table.

    Attributes
    ----------
    model, formula : str
        What was fitted.
    columns : tuple of str
        The names of the coefficients.
    coefficients : tuple of float
        The coefficients; :attr:`params` has them with their names.
    covariance : tuple of tuples of float
        Their covariance matrix.
    covariance_type : str
        ``nonrobust``, or which robust one it is.
    ratio : str or None
        What a coefficient's exponential is, such as ``odds ratio``.
    nobs, events : int
        The rows; those with the outcome 1, or an event, where there is such a thing.
    weights : float
        The sum of the frequency weights; without any, the rows; of Cox's model, the events.
    llf, deviance, pearson_chi2, scale : float
        As statsmodels has them; ``None`` where the model has none.
    steps : int
        How many steps it took.
    nobs_at, events_at : dict of str to int
        By hospital, as far as disclosure rules allow; empty with secure sums.
    levels, moments : dict
        What hospitals agreed on: the levels of categories, and means and deviations of what the
        formula centres or scales.
    suppressed : int
        At how many hospitals a disclosure rule kept figures back.
    baseline : BaselineHazards or None
        Of Cox's model, where asked for, without secure sums; :attr:`baseline_hazard` has a table.
    baseline_at : float
        The linear predictor of the row that `baseline` is of.

    Examples
    --------
    >>> import pandas as pd
    >>> from flame_flwr.regression import GLM
    >>> ward = pd.DataFrame({"dose": [1.0, 2.0, 3.0, 4.0], "pain": [5.1, 4.0, 3.3, 1.9]})
    >>> result = GLM("pain ~ dose").test([ward, ward + 1], quiet=True).result
    >>> result.conf_int().round(2).to_dict("index")["dose"]
    {0: -1.3, 1: -0.08}
    """

    model: str
    formula: str
    columns: tuple[str, ...]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    covariance_type: str
    ratio: str | None
    nobs: int
    events: int | None
    weights: float
    llf: float
    deviance: float | None = None
    pearson_chi2: float | None = None
    scale: float | None = None
    steps: int = 0
    nobs_at: Mapping[str, int] = field(default_factory=dict)
    events_at: Mapping[str, int] = field(default_factory=dict)
    levels: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)
    moments: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    suppressed: int = 0
    study: Study | None = field(default=None, compare=False)
    baseline: BaselineHazards | None = None
    baseline_at: float = 0.0

    @staticmethod
    def counts_of(counted: Any) -> dict[str, int]:
        """Return the counts of a ``ValueCounts`` by label, but for those that are withheld."""
        if counted is None:
            return {}
        found = counted.result()
        pairs = zip(found["labels"], found["counts"], strict=True)
        return {str(label): count for label, count in pairs if count is not None}

    # ---- statsmodels' names ----------------------------------------------------------------

    @property
    def params(self) -> pd.Series:
        """The coefficients."""
        return self._series(self.coefficients)

    @property
    def bse(self) -> pd.Series:
        """Their standard errors."""
        return self._series(np.sqrt(np.diag(self.covariance)))

    @property
    def tvalues(self) -> pd.Series:
        """Coefficients by standard errors."""
        return self.params / self.bse

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values, of the normal distribution as statsmodels has them."""
        from scipy.stats import norm

        return self._series(2 * norm.sf(np.abs(self.tvalues)))

    @property
    def df_resid(self) -> float:
        """The rows, by weight, less the coefficients."""
        # Cox's model, which has no deviance, has its events as weights
        rows = self.nobs if self.deviance is None else self.weights
        return rows - len(self.columns)

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return -2 * self.llf + 2 * len(self.columns)

    @property
    def bic(self) -> float:
        """The Bayesian criterion, of the log-likelihood."""
        return -2 * self.llf + len(self.columns) * math.log(self.weights)

    def conf_int(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return confidence intervals: columns 0 and 1, the lower and the upper end."""
        import pandas as pd
        from scipy.stats import norm

        reach = norm.isf(alpha / 2) * self.bse
        return pd.DataFrame({0: self.params - reach, 1: self.params + reach})

    def cov_params(self) -> pd.DataFrame:
        """Return the covariance matrix of the coefficients."""
        import pandas as pd

        names = list(self.columns)
        return pd.DataFrame(np.array(self.covariance), index=names, columns=names)

    def predict(self, frame: pd.DataFrame, site: str | None = None) -> pd.Series:
        """Return the means that the model gives for rows; of Cox's model, the hazard ratios.

        Parameters
        ----------
        frame : DataFrame
            With the columns of the right side, none of them missing.
        site : str, optional
            The hospital whose intercept is taken, where each has its own.

        Raises
        ------
        DataError
            A column is missing, or the hospital.
        """
        assert self.study is not None
        return self._of_predictors(self.study.means, frame, site)

    @property
    def baseline_hazard(self) -> pd.DataFrame:
        """Cox's cumulative baseline hazard, of a row of zeros: a row for each time.

        A column for each hospital and stratum; none where none was asked for, or with secure sums.
        NaN is what a disclosure rule keeps back.
        """
        return baseline_frame(self.baseline, self.baseline_at)

    def predict_survival(self, frame: pd.DataFrame, site: str) -> pd.DataFrame:
        """Return the survival of rows at a hospital: a column for each time of the baseline.

        Parameters
        ----------
        frame : DataFrame
            With the columns of the right side and of the strata, none of them missing.
        site : str
            The hospital.

        Raises
        ------
        DataError
            There is no baseline, or none of this hospital and stratum; or a column is missing.
        """
        if self.baseline is None:
            raise DataError(
                "there is no baseline hazard: give Cox its times as baseline, without secure sums"
            )
        assert self.study is not None
        predictors = self._of_predictors(lambda found: found - self.baseline_at, frame, site)
        return survival_frame(self.baseline, site, self.study.strata_of(frame), predictors)

    # ---- tables, files ---------------------------------------------------------------------

    def to_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return a row for each coefficient, with its ratio and interval where it is one."""
        import pandas as pd

        ends = self.conf_int(alpha)
        level = f"{100 * (1 - alpha):g} %"
        frame = pd.DataFrame(
            {
                "coefficient": self.params,
                "standard error": self.bse,
                "z": self.tvalues,
                "p": self.pvalues,
                f"lower {level}": ends[0],
                f"upper {level}": ends[1],
            }
        )
        if self.ratio is not None:
            with np.errstate(over="ignore"):  # of nearly dependent columns an end may be infinite
                frame[self.ratio] = np.exp(self.params)
                frame[f"{self.ratio}, lower"] = np.exp(ends[0])
                frame[f"{self.ratio}, upper"] = np.exp(ends[1])
        return frame

    def summary(self) -> str:
        """Return a table as text."""
        facts = "\n".join(f"{name:<16}{value}" for name, value in self._facts())
        return f"{facts}\n\n{self.to_frame().to_string(float_format=_rounded)}\n"

    def to_html(self) -> str:
        """Return a page with the table, as papers print it."""
        return page_of(self.formula, [self._repr_html_()])

    def to_json(self) -> dict[str, Any]:
        """Return all figures as what JSON can hold; what is infinite or no number is ``None``."""
        own = {
            item.name: json_value(getattr(self, item.name))
            for item in fields(self)
            if item.name not in ("study", "baseline", "baseline_at")
        }
        if self.baseline is not None:
            own["baseline_hazard"] = json_value(self.baseline_hazard.to_dict("list"))
            own["baseline_times"] = list(self.baseline.times)
        return own | {
            "bse": json_value(self.bse.tolist()),
            "pvalues": json_value(self.pvalues.tolist()),
            "conf_int": json_value(self.conf_int().to_numpy().tolist()),
            "aic": json_value(self.aic),
            "bic": json_value(self.bic),
            "df_resid": self.df_resid,
        }

    def forest_plot(self) -> str:
        """Return a picture of the coefficients and their 95 % intervals, as SVG.

        Ratios are on a logarithmic axis; an intercept is left out.
        """
        from flame_flwr.regression.forest_plot import draw

        return draw(self)

    __str__ = __repr__ = summary

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        heads = [*frame.columns[:4], _INTERVAL, *([self.ratio, _INTERVAL] if self.ratio else [])]
        figures = zip(self.columns, frame.to_numpy().tolist(), strict=True)
        rows = [PrintedRow(term, _cells(found)) for term, found in figures]
        facts = [f"{name}: {value}" for name, value in self._facts() if name != "formula"]
        return PrintedTable(self.formula, heads, rows, notes=["; ".join(facts)]).to_html()

    # ---- helpers ---------------------------------------------------------------------------

    def _of_predictors(
        self, function: Callable[[Any], Any], frame: pd.DataFrame, site: str | None
    ) -> pd.Series:
        """Return a function of the rows' linear predictors."""
        import pandas as pd

        from flame_flwr.regression.rows import design_matrix

        assert self.study is not None
        rows = frame.reset_index(drop=True)  # the design is put together by the index
        matrix = design_matrix(self.study.design, rows, self.levels, self.moments)
        known = dict(zip(self.columns, self.coefficients, strict=True))
        if intercepts(self.columns) and INTERCEPT not in known:
            if site is None or site_column(site) not in known:
                raise DataError("each hospital has an intercept of its own: name the site")
            known[INTERCEPT] = known[site_column(site)]
        # Cox's model has no intercept, and its design has the column all the same
        chosen = [known.get(name, 0.0) for name in matrix.columns]
        predictors = matrix.table @ np.array(chosen) + self.study.offsets(rows)
        return pd.Series(function(predictors), index=frame.index)

    def _series(self, values: Any) -> pd.Series:
        import pandas as pd

        return pd.Series(np.asarray(values, dtype=np.float64), index=list(self.columns))

    def _facts(self) -> list[tuple[str, Any]]:
        numbers = [
            ("log-likelihood", self.llf),
            ("deviance", self.deviance),
            ("Pearson's chi2", self.pearson_chi2),
            ("scale", self.scale),
        ]
        return [
            ("model", self.model),
            ("formula", self.formula),
            ("rows", _counted(self.nobs, self.nobs_at)),
            *([] if self.events is None else [("events", _counted(self.events, self.events_at))]),
            *((name, _rounded(value)) for name, value in numbers if value is not None),
            ("errors", self.covariance_type),
        ]


_INTERVAL = "95 % interval"


def _cells(figures: list[float]) -> list[str]:
    """Return the cells of a printed row, an interval in one."""
    said = [_rounded(figure) for figure in figures]
    estimate = [*said[:3], p_text(figures[3]), f"{said[4]} to {said[5]}"]
    return estimate + ([said[6], f"{said[7]} to {said[8]}"] if said[6:] else [])


def _counted(total: int, at: Mapping[str, int]) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in at.items())
    return f"{total} ({parts})" if parts else str(total)


def _rounded(value: float) -> str:
    return f"{value:.4g}"
