"""The two STAR classes: a Cox regression at every hospital, and a meta-analysis of the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedstats.meta import combine
from fedstats.report import write_report
from fedstats.survival import CoxFit, fit_cox, load_table
from flame_flwr.errors import ConfigError
from flame_flwr.star import StarAggregator, StarAnalyzer

__all__ = ["CoxAnalyzer", "MetaAnalysis"]


class CoxAnalyzer(StarAnalyzer):
    """Fits a Cox regression on one hospital's patients.

    Parameters
    ----------
    flame : object
        The framework's handle.
    duration, event : str
        The columns with the time observed, and with how it ended (1 event, 0 none).
    covariates : sequence of str
        The columns whose hazard ratios are wanted, adjusted for each other.

    Raises
    ------
    ConfigError
        No list of covariates, or a column named twice.
    """

    def __init__(self, flame: Any, duration: str, event: str, covariates: Sequence[str]) -> None:
        super().__init__(flame)
        names = [duration, event, *covariates]
        if isinstance(covariates, str) or not covariates:
            raise ConfigError("covariates must be a list that names at least one column")
        if len(set(names)) < len(names):
            raise ConfigError("duration, event and covariates must be different columns")
        self.duration, self.event, self.covariates = duration, event, list(covariates)

    def analysis_method(self, data: Any, aggregator_results: Any) -> CoxFit:
        """Fit the regression and return what the meta-analysis needs of it.

        Raises
        ------
        flame_flwr.errors.DataError
            The data is not what the analysis needs.
        """
        columns = (self.duration, self.event, self.covariates)
        fit = fit_cox(load_table(data, *columns), *columns)
        self.flame.flame_log(
            f"Cox regression of {fit['patients']} patients, {fit['events']} events"
        )
        return fit


class MetaAnalysis(StarAggregator):
    """Combines the hospitals' log hazard ratios by inverse variance. One round is all it takes."""

    def aggregation_method(self, analysis_results: list[CoxFit]) -> dict[str, Any]:
        """Combine the hospitals' regressions.

        Returns
        -------
        dict
            ``hospitals``, the regressions by node, and ``combined``, a
            :class:`fedstats.meta.Combined`.
        """
        return {
            "hospitals": dict(zip(self.answered_node_ids, analysis_results, strict=True)),
            "combined": combine(
                np.stack([fit["log_hr"] for fit in analysis_results]),
                np.stack([fit["error"] for fit in analysis_results]),
            ),
        }

    def has_converged(self, result: Any, last_result: Any) -> bool:
        """Stop: there is nothing to iterate."""
        return True

    def final_method(self, result: dict[str, Any], evaluations: list[Any]) -> str:
        """Write the result as text."""
        return write_report(result["hospitals"], result["combined"])
