"""``RegressionMetaAnalysis``: each hospital's own fit of a regression, combined in one round."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.aggregation.convergence import Convergence
from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.errors import DataError, ModelError
from flame_flwr.log import logger
from flame_flwr.regression.described import Described, Outputs
from flame_flwr.regression.local_fit import site_fits
from flame_flwr.regression.meta_analysis_result import MetaAnalysisResult
from flame_flwr.regression.questions import agreed_design
from flame_flwr.regression.rows import agreement, complete_rows
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.statistics import RowCount
from flame_flwr.statistics.values import is_numeric
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from flame_flwr.regression.study import Study

__all__ = ["MetaAnalysisAnalyzer", "MetaAnalysisStrategy", "RegressionMetaAnalysis"]


@dataclass(frozen=True)
class RegressionMetaAnalysis(Described):
    """A regression of each hospital's rows alone; the coefficients are combined by their errors.

    Where the levels of all categories are declared, also as ``levels={}``, and nothing is centred
    or scaled, it is one round; otherwise one more before it, in which hospitals agree on these.

    Parameters
    ----------
    study : GLM or Cox
        The regression; this is its ``meta_analysis``.

    Examples
    --------
    >>> import pandas as pd
    >>> from flame_flwr.regression import GLM
    >>> here = pd.DataFrame({"dose": [1.0, 2.0, 3.0, 4.0], "pain": [5.1, 4.0, 3.3, 1.9]})
    >>> there = pd.DataFrame({"dose": [2.0, 5.0, 6.0], "pain": [4.2, 1.1, 0.3]})
    >>> result = GLM("pain ~ dose").meta_analysis.test([here, there], quiet=True).result
    >>> result.to_frame("fixed")["coefficient"].round(3).to_dict()
    {'Intercept': 6.15, 'dose': -0.997}
    """

    study: Study

    @property
    def is_agreed(self) -> bool:
        """Whether hospitals need not agree on anything before."""
        design = self.study.design
        declared = self.study.levels is not None
        return declared and not design.moments and set(design.categories) <= set(design.levels)

    @cached_property
    def analyzer(self) -> type[MetaAnalysisAnalyzer]:
        """The class that runs on every node."""
        attributes = {"study": self.study, "__module__": __name__}
        return type("MetaAnalysisAnalyzer", (MetaAnalysisAnalyzer,), attributes)

    def make_strategy(self, outputs: Outputs = ()) -> MetaAnalysisStrategy:
        """Return a new strategy, whose result is a :class:`MetaAnalysisResult`."""
        return MetaAnalysisStrategy(self, outputs=outputs)

    @property
    def files(self) -> Outputs:
        """Two tables, a picture, text and JSON."""
        return [
            ("meta-analysis.csv", "str", lambda result: result.to_frame().to_csv()),
            ("meta-analysis.html", "str", lambda result: result.to_html()),
            ("meta-analysis.json", "str", lambda result: json.dumps(result.to_json(), indent=1)),
            ("meta-analysis.svg", "str", lambda result: result.forest_plot()),
            ("meta-analysis.txt", "str", str),
            ("sites.csv", "str", lambda result: result.sites().to_csv(index=False)),
        ]


class MetaAnalysisAnalyzer(StarAnalyzer):
    """Fits one node's rows; a meta-analysis's ``analyzer`` is a subclass.

    Attributes
    ----------
    study : Study
        What it is of.
    takes_tables : bool
        Also a DataFrame is a node's data in a local test: it is not warned of.
    """

    study: ClassVar[Study]
    takes_tables: ClassVar[bool] = True

    def table(self, data: Any) -> pd.DataFrame:
        """Return the node's data as a table; by default the study's way."""
        made: pd.DataFrame = type(self).study.table(data)
        return made

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Return what hospitals agree on, or this node's fit.

        Raises
        ------
        DataError
            The table is not what the formula needs.
        """
        study, asked = type(self).study, aggregator_results
        logger.info("a meta-analysis of regressions of %s", study.design.text)
        with complete_rows(self.table(data), study.columns) as rows:
            if asked["stage"] == "fit":
                _check_numbers(study, rows, asked["levels"])
                return {"fits": site_fits(study, rows, asked["levels"], asked["moments"], self.id)}
            found = agreement(study.design, rows, secure=False)
        # only how many have numbers: whether a column holds labels is what is agreed on
        numbers = {name: RowCount(moments.size) for name, moments in found["numbers"].items()}
        return {
            "agreed": {"labels": found["labels"], "moments": found["moments"], "numbers": numbers}
        }


def _check_numbers(study: Study, rows: pd.DataFrame, levels: Mapping[str, Any]) -> None:
    """Refuse text whose levels nobody has said.

    Raises
    ------
    DataError
        A column holds it.
    """
    # else formulaic would find levels here, and others at the next hospital
    for name in set(study.design.numbers) & set(rows.columns) - set(levels):
        if len(rows) and not is_numeric(rows[name]) and rows[name].dtype.kind != "b":
            raise DataError(
                f"the column {name} holds text here, and no levels are declared or agreed on: "
                f"declare all that there are, levels={{{name!r}: [...]}}, or none at all"
            )


class Fitted(Convergence):
    """Stops when all hospitals have sent their fits."""

    words = "when every hospital has sent its fit"

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Return why it is over, once it is."""
        return "every hospital has fitted its rows" if aggregate["stage"] == "done" else None


class MetaAnalysisStrategy(ReduceStrategy):
    """Collects the fits of hospitals and combines them.

    Parameters
    ----------
    description : RegressionMetaAnalysis
        What it is of.
    outputs : sequence, optional
        As for :class:`~flame_flwr.strategies.ReduceStrategy`: the functions get the result.
    """

    _DECLARED = ReduceStrategy._DECLARED | {"study"}
    _fixed = frozenset({"reductions", "first"})

    def __init__(self, description: RegressionMetaAnalysis, *, outputs: Any = ()) -> None:
        self.study = description.study
        self._fits: Any = None
        levels = {name: list(found) for name, found in self.study.design.levels.items()}
        fit = {"stage": "fit", "levels": levels, "moments": {}}
        super().__init__(
            {"fits": Merge()},
            first={"fits" if description.is_agreed else "agreed": Merge()},
            convergence=Fitted(),
            outputs=outputs,
            initial=fit if description.is_agreed else {"stage": "agree"},
            secure=None,
        )

    def sum_securely(self, secure: bool | None) -> None:
        """Refuse secure sums: a sum of estimates tells nothing."""
        if secure is not None:
            raise ModelError(
                "a meta-analysis needs the estimates of every hospital, and secure sums show their "
                "sum alone: fit the rows of all hospitals together, with the regression itself"
            )

    def update(self, merged: Any, last: Any) -> Any:
        """Make of what was agreed on what hospitals fit; keep the fits.

        Raises
        ------
        DataError
            There is nothing to fit; the message says why.
        """
        if last["stage"] == "agree":
            levels, moments = agreed_design(self.study, merged["agreed"])
            return {"stage": "fit", "levels": levels, "moments": moments}
        self._fits = merged["fits"]
        if not self._fits.fits:
            why = "; ".join(f"{site}: {why}" for site, why in self._fits.left_out)
            raise DataError(f"no hospital has a fit of its own ({why})")
        return {"stage": "done"}

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return the combined coefficients."""
        return MetaAnalysisResult(self.study.formula, self._fits, self.study.ratio)
