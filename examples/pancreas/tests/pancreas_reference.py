"""The analysis once more: a plain loop without the framework and without the example's code.

And the classes as FLAME's tutorial prints them.
"""

import warnings
from io import BytesIO

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from flame_flwr.star import StarAggregator, StarAnalyzer


def halves(content, share=0.25):
    """Return training rows and labels, then test rows and labels."""
    frame = pd.read_csv(BytesIO(content))
    x, y = frame.iloc[:, :-1].to_numpy(), frame.iloc[:, -1].to_numpy()
    rng = np.random.default_rng(42)
    test = np.zeros(len(y), dtype=bool)
    for value in (0, 1):
        order = rng.permutation(np.flatnonzero(y == value))
        test[order[: int(share * len(order))]] = True
    return x[~test], y[~test], x[test], y[test]


def reference_run(contents, scaling="none", share=0.25):
    """Return the coefficients after 11 rounds, and each hospital's hits and rows in its test."""
    parts = [halves(content, share) for content in contents]
    rounds = 11
    if scaling == "merged":
        pooled = StandardScaler().fit(np.vstack([part[0] for part in parts]))
        scalers, rounds = [pooled] * len(parts), 10
    elif scaling == "site":
        scalers = [StandardScaler().fit(part[0]) for part in parts]
    else:
        scalers = [StandardScaler(with_mean=False, with_std=False).fit(p[0]) for p in parts]
    inputs = [scaler.transform(part[0]) for scaler, part in zip(scalers, parts, strict=True)]

    coef = np.zeros((1, inputs[0].shape[1]))
    for _ in range(rounds):
        steps = []
        for x, (_, y, _, _) in zip(inputs, parts, strict=True):
            model = LogisticRegression(max_iter=1, fit_intercept=False, warm_start=True)
            model.coef_ = coef.copy()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                steps.append(model.fit(x, y).coef_)
        coef = sum(steps) / len(steps)

    scores = []
    for scaler, (_, _, x, y) in zip(scalers, parts, strict=True):
        hits = ((scaler.transform(x) @ coef[0] > 0) == (y == 1)).sum() if len(y) else 0
        scores.append((int(hits), len(y)))
    return coef, scores


class TutorialAnalyzer(StarAnalyzer):
    """As printed in the tutorial."""

    def __init__(self, flame):
        super().__init__(flame)
        self.clf = LogisticRegression(max_iter=1, fit_intercept=False, warm_start=True)

    def analysis_method(self, data, aggregator_results):
        pancreas_df = pd.read_csv(BytesIO(data[0]["pancreasData.csv"]))
        data, labels = pancreas_df.iloc[:, :-1], pancreas_df.iloc[:, -1]
        self.clf.coef_ = aggregator_results
        self.clf.fit(data, labels)
        if self.num_iterations == 0:
            aggregator_results = self.clf.coef_.copy()
        return self.clf.coef_


class TutorialAggregator(StarAggregator):
    """As printed in the tutorial."""

    def __init__(self, flame):
        super().__init__(flame)
        self.max_iter = 10

    def aggregation_method(self, analysis_results):
        coefs = np.stack(analysis_results, axis=0)
        global_params_ = coefs.mean(axis=0)
        return global_params_  # noqa: RET504

    def has_converged(self, result, last_result):
        if last_result is None:
            return False
        if np.linalg.norm(result - last_result, ord=2).item() <= 1e-8:
            self.flame.flame_log(
                "Delta error is smaller than the tolerance threshold", log_type="info"
            )
            return True
        elif self.num_iterations > (self.max_iter - 1):  # noqa: RET505
            self.flame.flame_log(
                f"Maximum number of {self.max_iter} iterations reached. Returning current results.",
                log_type="info",
            )
            return True
        return False
