"""The study once more: a plain loop without the framework and without the example's code."""

import csv
import io
import math
import warnings
from collections import defaultdict

import numpy as np
from sklearn.linear_model import SGDClassifier

SETTINGS = {  # share of the changes that return, and what hospitals are weighted by
    "full": (1.0, "patients"),
    "top25": (0.25, "patients"),
    "top10": (0.10, "patients"),
    "score": (1.0, "score"),
    "equal": (1.0, "equal"),
}


def read(content):
    rows = list(csv.reader(io.StringIO(content.decode())))[1:]
    values = np.array([[float(cell) for cell in row] for row in rows])
    return values[:, :-1], values[:, -1].astype(int)


def auc(y, found):
    """Return the share of pairs of an ill and a healthy patient that are in the right order."""
    ill, healthy = found[y == 1][:, None], found[y == 0][None, :]
    return float((ill > healthy).mean() + (ill == healthy).mean() / 2)


def fit(weights, x, y):
    """Return the weights, the intercept last, after one epoch from the given ones."""
    model = SGDClassifier(
        loss="log_loss",
        learning_rate="constant",
        eta0=1e-3,
        penalty="l2",
        fit_intercept=True,
        max_iter=1,
        random_state=4649,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = weights.copy()  # scikit-learn trains in the very array that it is given
        model.fit(x, y, coef_init=start[None, :-1], intercept_init=start[-1:])
    return np.append(model.coef_[0], model.intercept_)


def largest(change, share):
    kept = math.ceil(share * len(change))
    order = sorted(range(len(change)), key=lambda k: (-abs(change[k]), k))[:kept]
    return np.array([value if k in order else 0.0 for k, value in enumerate(change)])


def scores(weights, x, y):
    found = x @ weights[:-1] + weights[-1]
    return sum((found > 0) == (y == 1)) / len(y), auc(y, found)


def reference_run(contents, rounds=10):
    """Return what a run must give.

    Returns
    -------
    weights : dict
        By setting, the common weights after each round, the intercept last.
    matrix : dict
        By model (a hospital's number or a setting), accuracy and AUC at every hospital.
    per_round : dict
        By setting, for each round accuracy and AUC at every hospital.
    """
    parts = [[read(files[name]) for name in ("train.csv", "test.csv")] for files in contents]
    rows = np.vstack([train[0] for train, _ in parts])
    mean = np.array([math.fsum(column) / len(column) for column in rows.T])
    spread = [math.fsum((column - m) ** 2) for column, m in zip(rows.T, mean, strict=True)]
    std = np.sqrt(np.array(spread) / (len(rows) - 1))
    parts = [[((x - mean) / std, y) for x, y in both] for both in parts]
    tests = [test for _, test in parts]

    weights, per_round = {}, {}
    for name, (share, by) in SETTINGS.items():
        common, weights[name] = np.zeros(rows.shape[1] + 1), []
        for _ in range(rounds):
            sent, counts = [], []
            for (x, y), _ in parts:
                fitted = fit(common, x, y)
                sent.append(common + largest(fitted - common, share) if share < 1 else fitted)
                score = auc(y, x @ fitted[:-1] + fitted[-1])
                counts.append({"patients": len(y), "score": score, "equal": 1}[by])
            common = np.array(
                [
                    math.fsum(n * v for n, v in zip(counts, values, strict=True))
                    / math.fsum(counts)
                    for values in np.array(sent).T
                ]
            )
            weights[name].append(common)
        per_round[name] = [[scores(each, *test) for test in tests] for each in weights[name]]

    matrix = {name: found[-1] for name, found in per_round.items()}
    for number, ((x, y), _) in enumerate(parts):
        own = np.zeros(rows.shape[1] + 1)
        for _ in range(rounds):
            own = fit(own, x, y)
        matrix[number] = [scores(own, *test) for test in tests]
    return weights, matrix, per_round


def assert_weights(rows, weights):
    """Compare every common weight after every round with the plain loop's."""
    found = defaultdict(list)
    for row in rows:
        names = [name for name in row if name not in ("round", "setting", "intercept")]
        values = [float(row[name]) for name in (*names, "intercept")]
        found[row["setting"]].append(values)
        assert int(row["round"]) == len(found[row["setting"]])
    assert set(found) == set(SETTINGS)
    for name in SETTINGS:
        np.testing.assert_allclose(found[name], weights[name], rtol=1e-12, err_msg=name)
