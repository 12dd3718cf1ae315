"""What runs at every hospital, and what merges it: federated averaging of a logistic regression."""

import io
import json

import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier

from flame_flwr.labels import DeclaredLabels
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.statistics import RowCount, ValueCounts

LABEL, CLASSES = "ill", [0, 1]
FEATURES = {"age": (55.0, 15.0), "crp": (20.0, 15.0), "temperature": (37.5, 1.0)}
"""Column: centre and width. Agreed before, so that a coefficient means the same everywhere."""

SMALLEST = 5
"""Nothing about fewer patients leaves a hospital."""

MAX_ROUNDS, TOLERANCE = 30, 1e-3

SETTINGS = {
    "loss": "log_loss",
    "alpha": 0.01,
    "learning_rate": "constant",  # steps that begin large in every round would undo the averaging
    "eta0": 0.01,
    "max_iter": 2,
    "tol": None,
    "random_state": 0,
}
"""Of a hospital's training in one round: two passes over its rows."""


class Analyzer(StarAnalyzer):
    """Goes on training the common model on a hospital's patients; every fourth is held out."""

    def analysis_method(self, data, aggregator_results):
        """Return the model after some passes over the training rows, and their number."""
        features, labels = read(data)
        train = np.arange(len(labels)) % 4 != 0
        start = aggregator_results or {"coef": [0.0] * len(FEATURES), "intercept": 0.0}
        model = SGDClassifier(**SETTINGS)
        model.fit(
            features[train],
            labels[train],
            coef_init=np.array([start["coef"]]),
            intercept_init=np.array([start["intercept"]]),
        )
        return {
            "coef": model.coef_[0],
            "intercept": model.intercept_[0],
            "rows": RowCount.from_data(labels[train]),
        }

    def evaluation_method(self, data, result):
        """Return how many held-out patients the last model judges rightly, and how many wrongly.

        No number where either are few: who knows one of them would know how that one was judged.
        """
        features, labels = read(data)
        held_out = np.arange(len(labels)) % 4 == 0
        judged = features[held_out] @ result["coef"] + result["intercept"] > 0
        counts = ValueCounts.from_data(judged == labels[held_out], [True, False])
        shown = counts.with_min_count(SMALLEST).result()
        names = {True: "right", False: "wrong"}
        pairs = zip(shown["labels"], shown["counts"], strict=True)
        return {names[label]: count for label, count in pairs if not shown["suppressed"]}


class Aggregator(StarAggregator):
    """Averages the models, weighted by rows, until they change no more."""

    def aggregation_method(self, analysis_results):
        """Return the average: what every hospital goes on with in the next round."""
        rows = [result["rows"].size for result in analysis_results]
        coef = np.average([result["coef"] for result in analysis_results], axis=0, weights=rows)
        intercepts = [result["intercept"] for result in analysis_results]
        return {"coef": coef, "intercept": float(np.average(intercepts, weights=rows))}

    def has_converged(self, result, last_result):
        """Stop when the coefficients change little; and in any case after some rounds."""
        if last_result is None:
            return False
        change = float(np.linalg.norm(result["coef"] - last_result["coef"]))
        self.flame.flame_log(f"the coefficients changed by {change:.4f}")
        return change < TOLERANCE or self.num_iterations + 1 >= MAX_ROUNDS

    def final_method(self, result, evaluations):
        """Return the two files: the model, and how good it is on patients it never saw."""
        told = [scores for scores in evaluations if scores]
        right = sum(scores["right"] for scores in told)
        tested = right + sum(scores["wrong"] for scores in told)
        coefficients = {name: float(c) for name, c in zip(FEATURES, result["coef"], strict=True)}
        model = {"intercept": result["intercept"], "coefficients": coefficients}
        report = f"right for {right} of {tested} held-out patients"
        report += f", {right / tested:.1%}" if tested else ""
        if len(told) < len(evaluations):
            kept = len(evaluations) - len(told)
            report += f"; {kept} of {len(evaluations)} hospitals kept theirs back, being few"
        return [json.dumps(model, indent=2), report]


def read(data):
    """Return scaled features and labels, 0 or 1, of a node's CSV files."""
    tables = [
        pd.read_csv(io.BytesIO(content))
        for files in data
        for name, content in files.items()
        if name.endswith(".csv")
    ]
    table = pd.concat(tables, ignore_index=True).dropna(subset=[LABEL, *FEATURES])
    labels = table[LABEL].map(DeclaredLabels(CLASSES).find)
    if sorted(labels.unique()) != [0, 1]:  # what fits neither is NaN
        raise ValueError(f"{LABEL} must be one of {CLASSES} for every patient, and both must occur")
    scaled = [(table[name] - centre) / width for name, (centre, width) in FEATURES.items()]
    return np.column_stack(scaled), labels.to_numpy(dtype=int)
