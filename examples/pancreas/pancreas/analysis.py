"""The two STAR classes of the tutorial, with its column check, its scaling and a test at the end.

Every round each hospital takes one step of logistic regression from the common coefficients, and
the aggregator averages where they arrived. With ``scaling="merged"`` the first round is spent on
agreeing on means and deviations instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from flame_flwr.errors import ConfigError, DataError
from flame_flwr.sklearn import SklearnAnalyzer, rows_for, train
from flame_flwr.star import StarAggregator
from pancreas.scaling import Values, merge, moments
from pancreas.table import Patients, held_out, load_table

__all__ = ["FederatedLogisticRegression", "PancreasAnalyzer", "Scaling"]
__all__ += ["coefficients", "halves", "score"]

Scaling = Literal["none", "site", "merged"]

TEST_SHARE = 0.25
SPLIT_SEED = 42


class PancreasAnalyzer(SklearnAnalyzer):
    """Takes one step of logistic regression on one hospital's patients.

    Parameters
    ----------
    flame : object
        The framework's handle.
    columns : sequence of str, optional
        What the measurements must be called; without it, any will do.
    scaling : {'none', 'site', 'merged'}
        Use the measurements as they are; scale them with this hospital's own means and deviations;
        or with those of all hospitals' rows, agreed on in the first round.
    test_share : float
        The share of each class that is kept for the test at the end; 0 trains with every row.

    Raises
    ------
    ConfigError
        An unknown `scaling`, or a `test_share` that leaves nothing to train with.
    """

    classes = (0, 1)

    def __init__(
        self,
        flame: Any,
        columns: Sequence[str] | None = None,
        scaling: Scaling = "none",
        test_share: float = TEST_SHARE,
    ) -> None:
        super().__init__(flame)
        if scaling not in get_args(Scaling):
            raise ConfigError(f"scaling is 'none', 'site' or 'merged', not {scaling!r}")
        if not 0 <= test_share < 1:
            raise ConfigError(f"test_share must be at least 0 and below 1, not {test_share}")
        self.columns = columns
        self.units = scaling  # the base's `scaling` needs its strategy
        self.test_share = test_share

    def estimator(self) -> LogisticRegression:
        """Return a model that takes one step a round, from the coefficients that it is given."""
        return LogisticRegression(max_iter=1, fit_intercept=False, warm_start=True)

    def dataset(self, data: Any) -> Patients:
        """Return the patients to train with."""
        return halves(data, self.columns, self.test_share)[0]

    def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
        """Take one step from the common coefficients.

        Returns
        -------
        ndarray of float64, shape (1, n_measurements), or Moments
            The coefficients after the step; in the first round of ``scaling="merged"`` what the
            hospitals agree by.

        Raises
        ------
        flame_flwr.errors.DataError
            The data is not what the analysis needs.
        """
        x, labels = self.dataset(data)
        if self.units == "merged" and aggregator_results is None:
            return moments(x)
        rows = rows_for(self, (_scaled(x, x, self.units, aggregator_results), labels))
        coef = coefficients(aggregator_results)
        start = np.zeros((1, x.shape[1])) if coef is None else coef
        return train(self, self.estimator(), {"coef": start}, rows)["coef"]

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Test the last aggregate on the patients that were kept from training: :func:`score`."""
        training, test = halves(data, self.columns, self.test_share)
        return score(test, training, self.units, result)


class FederatedLogisticRegression(StarAggregator):
    """Averages the hospitals' coefficients, each hospital counting the same.

    The aggregate is an ndarray of shape (1, n_measurements), the common coefficients. Where the
    hospitals agreed on a scaling it is a dict with ``coef`` (the same, None after the first
    round), ``means`` and ``deviations`` (shape (n_measurements,)), without which the coefficients
    say nothing.

    Parameters
    ----------
    flame : object
        The framework's handle.
    max_iter : int
        Stop after so many rounds more than one.
    tolerance : float
        Stop when the coefficients change by no more than this (L2 norm).
    """

    def __init__(self, flame: Any, max_iter: int = 10, tolerance: float = 1e-8) -> None:
        super().__init__(flame)
        self.max_iter = max_iter
        self.tolerance = tolerance

    def aggregation_method(self, analysis_results: list[Any]) -> Any:
        """Average the coefficients, or in the first round merge the moments.

        Raises
        ------
        flame_flwr.errors.DataError
            The hospitals have different numbers of measurements.
        """
        agreeing = isinstance(analysis_results[0], dict)
        counts = [len(each["means"]) if agreeing else each.shape[1] for each in analysis_results]
        if len(set(counts)) > 1:
            pairs = zip(self.answered_node_ids, counts, strict=True)
            said = ", ".join(f"{node} {count}" for node, count in pairs)
            raise DataError(
                "The hospitals have different numbers of measurements, so their coefficients "
                f"cannot be averaged: {said}. Give every pancreasData.csv the same columns."
            )
        if agreeing:
            means, deviations = merge(analysis_results)
            return {"coef": None, "means": means, "deviations": deviations}
        coef = np.stack(analysis_results, axis=0).mean(axis=0)
        agreed = self.latest_result
        return {**agreed, "coef": coef} if isinstance(agreed, dict) else coef

    def has_converged(self, result: Any, last_result: Any) -> bool:
        """Stop when the coefficients stand still, or after ``max_iter`` rounds and one."""
        new, old = coefficients(result), coefficients(last_result)
        if old is not None:
            change = float(np.linalg.norm(new - old))
            self.flame.flame_log(f"coefficients changed by {change:.3g}")
            if change <= self.tolerance:
                return True
        return bool(self.num_iterations >= self.max_iter)

    def final_method(self, result: Any, evaluations: list[dict[str, float]]) -> Any:
        """Log how often the model was right; the result stays the coefficients.

        Parameters
        ----------
        result : ndarray or dict
            The last aggregate.
        evaluations : list of dict
            What ``evaluation_method`` returned, parallel to ``answered_node_ids``.
        """
        lines = list(zip(self.answered_node_ids, evaluations, strict=True))
        total = {key: sum(e[key] for e in evaluations) for key in ("n_test", "correct", "majority")}
        for name, counts in [*lines, ("all", total)]:
            if counts["n_test"]:
                right, guessing = (counts[k] / counts["n_test"] for k in ("correct", "majority"))
                self.flame.flame_log(
                    f"{name}: right for {counts['correct']} of {counts['n_test']} held-out "
                    f"patients, {right:.1%} (always naming the more frequent class: {guessing:.1%})"
                )
        return result


def coefficients(aggregate: Any) -> Any:
    """Return an aggregate's coefficients, shape (1, n_measurements), or None if it has none yet."""
    return aggregate["coef"] if isinstance(aggregate, dict) else aggregate


def halves(
    data: Any, columns: Sequence[str] | None, share: float = TEST_SHARE
) -> tuple[Patients, Patients]:
    """Return a hospital's patients to train with, and those kept for the test."""
    x, labels = load_table(data, columns)
    kept = held_out(labels, share, SPLIT_SEED)
    return (x[~kept], labels[~kept]), (x[kept], labels[kept])


def score(test: Patients, training: Patients, scaling: Scaling, aggregate: Any) -> dict[str, float]:
    """Count how often an aggregate's coefficients judge a hospital's test patients rightly.

    Returns
    -------
    dict of str to int
        ``n_test``; ``correct``, how many of them the model judges rightly; ``majority``, how many
        one would judge rightly by always naming the more frequent answer.
    """
    x, labels = test
    ill = labels == 1
    called_ill = _scaled(x, training[0], scaling, aggregate) @ coefficients(aggregate)[0] > 0
    return {
        "n_test": len(ill),
        "correct": int((called_ill == ill).sum()),
        "majority": int(max(ill.sum(), (~ill).sum())),
    }


def _scaled(x: Values, training: Values, scaling: Scaling, aggregate: Any) -> Values:
    """Return rows in the units in which the model sees them."""
    if scaling == "none":
        return x
    if scaling == "merged":
        means, deviations = aggregate["means"], aggregate["deviations"]
    else:
        own = StandardScaler().fit(training)
        means, deviations = own.mean_, own.scale_
    scaled: Values = (x - means) / deviations
    return scaled
