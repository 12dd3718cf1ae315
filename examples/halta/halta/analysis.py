"""The study's two STAR classes: what a hospital does, and what the aggregator does.

Round 1: hospitals send descriptive statistics and, of their training rows, each feature's count,
sum and sum of squares; the aggregator answers with the agreed features, their common means and
deviations, and an empty model. Every further round: hospitals scale their rows with those,
improve the model, and the aggregator averages. At the end hospitals test the last model on rows
held out from training, and the aggregator draws the plots and writes the report.

The arithmetic is in :mod:`halta.features`, :mod:`halta.svm` and :mod:`halta.describe`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from flame_flwr.star import StarAggregator, StarAnalyzer
from halta.cohort import LABEL, Cohort, load_cohort
from halta.describe import describe, merge
from halta.features import (
    agree,
    candidates,
    feature_matrix,
    held_out,
    moments,
    standardize,
    words_for,
)
from halta.svm import federated_average, score, train

__all__ = ["MAX_ITERATIONS", "RESULT_FILENAMES", "SHOWN", "TOLERANCE"]
__all__ += ["HaltaAggregator", "HaltaAnalyzer", "training_rows"]

Values = npt.NDArray[np.float64]

MAX_ITERATIONS = 10  # training rounds
TOLERANCE = 1e-4  # L2 norm of the change of the coefficients
TEST_SHARE = 0.25  # of each class at each hospital
SPLIT_SEED = 42

RESULT_FILENAMES = [
    "age_distribution_federated.png",
    "dataset_description_federated.txt",
    "pasc_distribution_federated.png",
    "sex_distribution_federated.png",
]


SHOWN: list[str] = []
"""No score: each tells a count of patients, and the study's own report hides the small ones."""


class HaltaAnalyzer(StarAnalyzer):
    """Describes one hospital's patients, then trains and finally tests the common model on them.

    Nothing is kept between rounds: the file is read anew, so that no patient's data enters the
    node's saved state.

    Parameters
    ----------
    flame : object
        The framework's handle.
    passes : int
        Passes over the training rows per round.
    alpha : float
        Strength of the model's L2 penalty.
    """

    def __init__(self, flame: Any, passes: int = 10, alpha: float = 0.01) -> None:
        super().__init__(flame)
        self.passes = passes
        self.alpha = alpha

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Describe the patients in the first round, train in every further one.

        Parameters
        ----------
        data : list of dict of str to bytes
            The hospital's files, of which exactly one is labeled.
        aggregator_results : dict or None
            The last aggregate; None in the first round.

        Returns
        -------
        dict
            First: the keys of :func:`halta.describe.describe` and
            :func:`halta.features.moments`, and ``features``. Then: ``coef`` (ndarray of float64,
            shape (n_features,)), ``intercept`` (float) and ``n_train`` (int).

        Raises
        ------
        flame_flwr.errors.DataError
            If the data is not what the study needs.
        """
        cohort = load_cohort(data)
        if aggregator_results is None:
            features = candidates(cohort.table)
            self.say_left_out(cohort, features)
            x, _ = _rows(cohort, features, test=False)
            self.flame.flame_log(f"{len(x)} patients to train with, {len(features)} features")
            return {**describe(cohort), "features": features, **moments(x)}

        agreed = aggregator_results
        if agreed["rounds"] == 0:
            others = set(candidates(cohort.table)) - set(agreed["features"])
            self.flame.flame_log(
                f"features that not every hospital has: {', '.join(sorted(others)) or 'none'}"
            )
        x, y = _rows(cohort, agreed["features"], test=False)
        coef, intercept = train(
            standardize(x, agreed["means"], agreed["deviations"]),
            y,
            agreed["coef"],
            agreed["intercept"],
            passes=self.passes,
            alpha=self.alpha,
            earlier_rounds=agreed["rounds"],
        )
        return {"coef": coef, "intercept": intercept, "n_train": len(y)}

    def say_left_out(self, cohort: Cohort, features: list[str]) -> None:
        """Name in this hospital's log the columns that are no features."""
        others = set(map(str, cohort.table.columns)) - {*features, LABEL, "sex", "gender"}
        self.flame.flame_log(f"columns that are no features: {words_for(others) or 'none'}")

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Test the last aggregate on the patients held out from training.

        Returns
        -------
        dict of str to number
            ``n_test``, ``accuracy``, ``majority_accuracy`` (always naming the more frequent
            answer), and the four counts of :func:`halta.svm.score`.
        """
        x, y = _rows(load_cohort(data), result["features"], test=True)
        x = standardize(x, result["means"], result["deviations"])
        counts = score(x, y, result["coef"], result["intercept"])
        right = counts["true_positive"] + counts["true_negative"]
        ill = float(np.sum(y == 1))
        n_test = len(y)
        return {
            "n_test": n_test,
            "accuracy": right / n_test if n_test else 0.0,
            "majority_accuracy": max(ill, n_test - ill) / n_test if n_test else 0.0,
            **counts,
        }


class HaltaAggregator(StarAggregator):
    """Makes the hospitals agree on features, averages their models and writes the results.

    The hospitals' statistics stay here: the aggregate that goes back to every hospital holds only
    what training needs, so that no hospital learns another one's counts.

    Parameters
    ----------
    flame : object
        The framework's handle.
    max_iterations : int
        Training rounds at most.
    tolerance : float
        Training stops once the L2 norm of the coefficients' change is below it.
    """

    def __init__(
        self, flame: Any, max_iterations: int = MAX_ITERATIONS, tolerance: float = TOLERANCE
    ) -> None:
        super().__init__(flame)
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.descriptions: dict[str, dict[str, Any]] = {}

    def aggregation_method(self, analysis_results: list[dict[str, Any]]) -> dict[str, Any]:
        """Agree on the features in the first round, average the models in every further one.

        Returns
        -------
        dict
            ``features`` (list of str), ``means``, ``deviations``, ``coef`` (ndarray of float64,
            shape (n_features,)), ``intercept`` (float), ``rounds`` (int, training rounds done),
            ``change`` (float, L2 norm of the coefficients' last change).

        Raises
        ------
        flame_flwr.errors.DataError
            If the hospitals have no feature in common.
        """
        if self.num_iterations == 0:
            self.descriptions = dict(zip(self.answered_node_ids, analysis_results, strict=True))
            agreement = agree(self.descriptions)
            self.flame.flame_log(
                f"{len(agreement.features)} features agreed on, {len(agreement.left_out)} left out"
            )
            return {
                "features": agreement.features,
                "means": agreement.means,
                "deviations": agreement.deviations,
                "coef": np.zeros(len(agreement.features)),
                "intercept": 0.0,
                "rounds": 0,
                "change": float("inf"),
            }

        last = self.latest_result
        coef, intercept = federated_average(
            [result["coef"] for result in analysis_results],
            [result["intercept"] for result in analysis_results],
            [result["n_train"] for result in analysis_results],
        )
        change = float(np.linalg.norm(coef - last["coef"]))
        rounds = last["rounds"] + 1
        self.flame.flame_log(f"coefficients changed by {change:.4f}")
        return {
            **last,
            "coef": coef,
            "intercept": intercept,
            "rounds": rounds,
            "change": change,
        }

    def has_converged(self, result: Any, last_result: Any) -> bool:
        """Stop when the coefficients stand still or after ``max_iterations`` training rounds."""
        return bool(result["change"] < self.tolerance or self.num_iterations >= self.max_iterations)

    def final_method(
        self, result: dict[str, Any], evaluations: list[dict[str, float]]
    ) -> list[bytes | str]:
        """Draw the plots and write the report.

        Parameters
        ----------
        result : dict
            The last aggregate.
        evaluations : list of dict
            What ``evaluation_method`` returned, parallel to ``answered_node_ids``.

        Returns
        -------
        list of bytes or str
            The contents of ``RESULT_FILENAMES``, in that order.
        """
        from halta.plots import draw_age, draw_label, draw_sex  # matplotlib: on the server only
        from halta.report import write_report

        merged = merge(self.descriptions)
        report = write_report(
            merged,
            agree(self.descriptions),
            result,
            dict(zip(self.answered_node_ids, evaluations, strict=True)),
            self.tolerance,
        )
        return [draw_age(merged), report, draw_label(merged), draw_sex(merged)]


def training_rows(cohort: Cohort, features: list[str]) -> Values:
    """Return the features of the rows that train."""
    return _rows(cohort, features, test=False)[0]


def _rows(cohort: Cohort, features: list[str], *, test: bool) -> tuple[Values, Values]:
    """Return the features and labels of the rows that train, or of those that test."""
    known = cohort.known
    labels = cohort.labels[known]
    chosen = held_out(labels, TEST_SHARE, SPLIT_SEED) == test
    return feature_matrix(cohort.table[known], features)[chosen], labels[chosen]
