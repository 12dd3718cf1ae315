"""Which rows and labels a ``SklearnAnalyzer`` refuses, and that no value is repeated."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import (
    LogisticRegression,
    SGDClassifier,
    SGDRegressor,
)

from flame_flwr.aggregation import MaxRounds
from flame_flwr.errors import DataError
from flame_flwr.privacy import MinCount
from flame_flwr.sklearn import SklearnFedAvg
from flame_flwr.sklearn.agreement import odd_agreement
from flame_flwr.star import StarModelTester
from flame_flwr.statistics import Moments

from .odd_wards import ONE, made, of
from .wards import SPLITS, rows, run

X, Y = rows(1, 20)

DAYS = np.array(["2026-03-01", "2026-04-01"], "datetime64[D]")


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ((X, np.where(Y == 1, 2, 0)), "a label that is none of the classes"),
        ((np.where(X[3, 2] == X, np.nan, X), Y), "every cell must be a finite number"),
        ((pd.DataFrame({"sex": ["f", "m"]}), Y[:2]), "one is text or missing"),
        ((X, Y[:-1]), "as many labels as rows"),
        ((X[:0], Y[:0]), "there are no rows"),
        ((X, np.array([None, "f"] * 10, object)), "a label is missing: leave such rows out"),
        ((X, np.array([np.nan, "f"] * 10, object)), "a label is missing: leave such rows out"),
        ((X, pd.Series([pd.NA, "f"] * 10)), "a label is missing: leave such rows out"),
        (
            (X, np.array([{"a": 1}, "f"] * 10, object)),
            "the labels are of the type dict, neither texts",
        ),
        ((X * 1e200, Y), "no finite numbers any more"),
        ((X, DAYS[Y]), r"the labels are of the type datetime64, neither texts nor num"),
        (
            (X, pd.Series(DAYS[Y])),
            r"the labels are of the type datetime64, neither texts nor num",
        ),
        ((X, DAYS[Y] - DAYS[0]), r"the labels are of the type timedelta64, neither texts nor"),
        (
            (X, pd.Series(DAYS[Y]).astype(object)),
            "the labels are of the type Timestamp, neither texts",
        ),
        ((X, Y + 1j), "the labels are of the type complex128, neither texts nor num"),
        ((X, Y.astype("S1")), "the labels are of the type bytes_, neither texts nor nu"),
        ((X, np.array([1, "f"] * 10, object)), "some labels are texts and others numbers"),
    ],
)
def test_misfitting_rows_are_named_without_a_value(split, says):
    with pytest.raises(DataError, match=says) as caught:
        run(splits=[*SPLITS, [split]], strategy=ONE)
    assert "node-3" in "".join(caught.value.__notes__)
    assert "'m'" not in caught.value.message


def test_an_unscaled_sparse_table_stays_sparse(monkeypatch):
    monkeypatch.setattr(csr_matrix, "toarray", lambda self: 1 / 0)
    sparse = [[(csr_matrix(x), y)] for (x, y) in (split[0] for split in SPLITS)]
    assert run(made(classes=None), splits=sparse).result["agreed"]["mean"] is None


def test_labels_with_fractions_are_not_agreed_on():
    with pytest.raises(DataError, match="numbers with fractions, and a classifier tells classes"):
        run(made(classes=None), splits=[[(X, X[:, 0])]])


@pytest.mark.parametrize("targets", [Y.astype(str), DAYS[Y], Y + 1j])
def test_a_regressor_wants_numbers(targets):
    with pytest.raises(DataError, match=r"the labels are of the type|targets of a regressor must"):
        run(of(lambda: SGDRegressor(random_state=0)), splits=[[(X, targets)]], strategy=ONE)


def test_useless_finite_coefficients_do_not_leave():
    settings = {"loss": "perceptron", "penalty": None, "learning_rate": "constant"}
    huge = of(lambda: SGDClassifier(**settings, eta0=1e298))
    with pytest.raises(DataError, match="what the model makes of the rows"):
        run(huge, splits=[[(X * 1e8, Y)]], strategy=ONE)


def test_different_features_are_named_before_training():
    tables = [
        pd.DataFrame(x, columns=list(names))
        for (x, _), names in zip(
            (split[0] for split in SPLITS), ("abcd", "abcd", "abdc"), strict=True
        )
    ]
    splits = [[(table, split[0][1])] for table, split in zip(tables, SPLITS, strict=True)]
    with pytest.raises(DataError, match="node-0, node-1: 4; node-2: 4"):
        run(splits=splits)


def test_labels_of_different_types_are_refused():
    text = [(X, Y.astype(str))]
    with pytest.raises(DataError, match="labels are of different types"):
        run(made(classes=None), splits=[SPLITS[0], text])


def test_one_class_everywhere_is_refused():
    ones = [(X, np.ones(20, int))]
    with pytest.raises(DataError, match="all rows of all nodes have the same label"):
        run(made(classes=None), splits=[ones, ones])


@pytest.mark.parametrize(
    "forged",
    [
        {"columns": {"number": [3], "names": ""}},
        {"columns": {"number": 3}},
        {"columns": 3},
        {"classes": [[0], [1]]},
        {"classes": list(range(10_001))},
        {"classes": "ab"},
        {"moments": [1, 2]},
        {"moments": [Moments.from_data([1.0])]},
    ],
)
def test_what_no_analyzer_says_is_refused(forged):
    said = {"columns": {"number": 2, "names": "ab"}, "classes": ["f", "m"], "moments": None}
    assert not odd_agreement(said, ())
    assert not odd_agreement(said | {"classes": None, "moments": [Moments.from_data([])] * 2}, ())
    assert odd_agreement(said | forged, ())
    assert odd_agreement(5, ())


def test_numpy_numbers_are_labels_of_objects():
    splits = [[(x, pd.Series([np.int64(v) for v in y], dtype=object))] for ((x, y),) in SPLITS]
    found = run(made(classes=None), splits=splits, rounds=1).result
    assert found["agreed"]["classes"] == [0, 1]
    assert [type(each) for each in found["agreed"]["classes"]] == [int, int]


def test_withheld_scales_are_named():
    strategy = SklearnFedAvg(convergence=MaxRounds(2))
    rule = [MinCount(500)]
    with pytest.raises(DataError, match="rules at the nodes keep back the means and deviations"):
        StarModelTester(SPLITS, made(scaling=True), strategy, "s3", disclosure=rule, quiet=True)


def test_fit_must_see_every_class():
    warm = of(lambda: LogisticRegression(max_iter=1, warm_start=True))
    with pytest.raises(DataError, match="no row of one of the classes"):
        run(warm, splits=[*SPLITS, [(X, np.zeros(20, int))]], strategy=ONE)
