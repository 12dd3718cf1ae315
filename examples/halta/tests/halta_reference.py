"""The study's training once more: one plain loop over pooled frames, no framework, no halta code.

Its final coefficients must equal those of the framework's run.
"""

from io import BytesIO

import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier

NO_SYMPTOM = ("mmrc", "pcl5", "eq5d", "walk", "fev1", "dlco", "spo2", "date")


def read(content):
    return pd.read_csv(BytesIO(content))


def reference_run(contents, rounds=10, passes=10, alpha=0.01):
    """Return features, coefficients, intercept, and each hospital's hits and rows in its test."""
    frames, tests, labels = [], [], []
    for content in contents:
        frame = read(content).dropna(subset="pasc").reset_index(drop=True).copy()
        frame["female"] = frame["sex"].map({"female": 1.0, "male": 0.0})
        rng = np.random.default_rng(42)
        test = np.zeros(len(frame), dtype=bool)
        for value in (0, 1):
            order = rng.permutation(frame.index[frame["pasc"] == value].to_numpy())
            test[order[: len(order) // 4]] = True
        frames.append(frame)
        tests.append(test)
        labels.append(frame["pasc"].to_numpy(dtype=float))

    common = set.intersection(*(set(frame.columns) for frame in frames))
    features = sorted(
        name
        for name in common
        if name in ("age", "female")
        or (
            name.startswith(("acute_", "visit1_", "visit2_"))
            and not any(word in name for word in NO_SYMPTOM)
        )
    )
    pooled = pd.concat(
        frame.loc[~test, features] for frame, test in zip(frames, tests, strict=True)
    )
    mean, deviation = pooled.mean(), pooled.std(ddof=0)
    inputs = [((frame[features] - mean) / deviation).fillna(0.0).to_numpy() for frame in frames]

    coef, intercept = np.zeros(len(features)), 0.0
    for number in range(rounds):
        total = sum(int((~test).sum()) for test in tests)
        new_coef, new_intercept = np.zeros(len(features)), 0.0
        for x, y, test in zip(inputs, labels, tests, strict=True):
            x, y = np.ascontiguousarray(x[~test]), y[~test]
            svm = SGDClassifier(loss="hinge", alpha=alpha)
            svm.partial_fit(x[:2], y[:2], classes=[0, 1])
            svm.coef_, svm.intercept_ = coef[None, :].copy(), np.array([intercept])
            svm.t_ = 1 + number * passes * len(y)
            svm.random_state = np.random.RandomState(number)
            for _ in range(passes):
                svm.partial_fit(x, y)
            new_coef += len(y) / total * svm.coef_[0]
            new_intercept += len(y) / total * svm.intercept_[0]
        coef, intercept = new_coef, new_intercept

    scores = [
        (int(((x[test] @ coef + intercept > 0) == (y[test] == 1)).sum()), int(test.sum()))
        for x, y, test in zip(inputs, labels, tests, strict=True)
    ]
    return features, coef, intercept, scores
