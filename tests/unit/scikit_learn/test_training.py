"""``SklearnAnalyzer`` trains as a plain loop over the hospitals does."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import (
    HuberRegressor,
    Lasso,
    LogisticRegression,
    Perceptron,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.metrics import log_loss, roc_auc_score

from flame_flwr.aggregation import MaxRounds
from flame_flwr.sklearn import SklearnFedAvg
from flame_flwr.strategies import WeightedFedAvg

from .wards import SGD, SPLITS, HeldBack, Ward, mean, rows, run


def loop(make, splits, rounds, passes=1, mu=0.0, classes=(0, 1)):
    """Train without the framework, each hospital with an estimator of its own."""
    estimators = [make() for _ in splits]
    coef = intercept = None
    for _ in range(rounds):
        coefs, intercepts = [], []
        for estimator, (x, y) in zip(estimators, splits, strict=True):
            begun = (0.0, 0.0) if coef is None else (coef, intercept)
            if coef is not None:
                estimator.coef_, estimator.intercept_ = coef.copy(), intercept.copy()
            for _ in range(passes):
                more = {} if classes is None else {"classes": classes}
                estimator.partial_fit(x, y, **more)
                shrink = 1 / (1 + mu * SGD["eta0"] * len(y))
                estimator.coef_ = begun[0] + (estimator.coef_ - begun[0]) * shrink
                estimator.intercept_ = begun[1] + (estimator.intercept_ - begun[1]) * shrink
            coefs.append(estimator.coef_)
            intercepts.append(estimator.intercept_)
        counts = [len(y) for _, y in splits]
        coef, intercept = mean(coefs, counts), mean(intercepts, counts)
    return coef, intercept


def assert_model(model, expected):
    np.testing.assert_allclose(model["coef"], expected[0], rtol=1e-12)
    np.testing.assert_allclose(model["intercept"], expected[1], rtol=1e-12)


PLAIN = [split[0] for split in SPLITS]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGDClassifier(**SGD),
        lambda: SGDClassifier(random_state=1),  # its steps become shorter from round to round
        lambda: Perceptron(random_state=1),
    ],
)
def test_it_trains_as_a_plain_loop_does(make):
    analyzer = type("Made", (Ward,), {"estimator": lambda self: make()})
    strategy = WeightedFedAvg(convergence=MaxRounds(3))
    result = run(analyzer, strategy=strategy).result
    assert_model(result["model"], loop(make, PLAIN, 3))


@pytest.mark.parametrize(("passes", "mu"), [(1, 2.0), (3, 0.5), (2, 0.0)])
def test_fedprox_is_a_step_between_passes(passes, mu):
    strategy = WeightedFedAvg(convergence=MaxRounds(4))
    result = run(strategy=strategy, passes=passes, fedprox_mu=mu).result
    assert_model(result["model"], loop(lambda: SGDClassifier(**SGD), PLAIN, 4, passes, mu))


def test_fedprox_holds_hospitals_together():
    def spread(mu):
        kept = []

        class Kept(Ward):
            def analysis_method(self, data, aggregator_results):
                answer = super().analysis_method(data, aggregator_results)
                kept.append(answer["model"]["coef"])
                return answer

        run(Kept, strategy=WeightedFedAvg(convergence=MaxRounds(1)), fedprox_mu=mu)
        return np.std(kept, axis=0).sum()

    assert spread(10.0) < spread(1.0) < spread(0.0)


def test_a_regressor_needs_no_classes():
    splits = [[(x, x @ [1.0, 2.0, -1.0, 0.5])] for x, _ in (rows(5, 40), rows(6, 22))]
    make = lambda: SGDRegressor(eta0=1e-4, learning_rate="constant", random_state=0)  # noqa: E731
    analyzer = type("Line", (Ward,), {"estimator": lambda self: make(), "classes": None})
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(3))
    result = run(analyzer, splits=splits, strategy=strategy).result
    assert_model(result["model"], loop(make, [s[0] for s in splits], 3, classes=None))
    assert result["model"]["coef"].shape == (4,)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_warm_starts_go_on_from_the_common_model():
    settings = {"max_iter": 1, "warm_start": True, "fit_intercept": False}
    analyzer = type("Warm", (Ward,), {"estimator": lambda self: LogisticRegression(**settings)})
    found = run(analyzer, strategy=WeightedFedAvg(by=None, convergence=MaxRounds(3))).result
    coef = None
    for _ in range(3):
        coefs = []
        for x, y in PLAIN:
            estimator = LogisticRegression(**settings)
            estimator.coef_ = coef
            coefs.append(estimator.fit(x, y).coef_)
        coef = mean(coefs, [1, 1, 1])
    np.testing.assert_allclose(found["model"]["coef"], coef, rtol=1e-12)
    assert set(found["model"]) == {"coef"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", [HuberRegressor, Lasso])
def test_a_scalar_intercept_goes_on(kind):
    settings = {"max_iter": 7, "warm_start": True}
    splits = [[(x, x @ [1.0, 2.0, -3.0, 0.4] + x[:, 0] ** 2)] for x, _ in PLAIN]
    analyzer = type("Robust", (Ward,), {"estimator": lambda self: kind(**settings)})
    strategy = WeightedFedAvg(convergence=MaxRounds(3))
    estimators = [kind(**settings) for _ in splits]
    coef, intercept = None, None
    for _ in range(3):
        for estimator, ((x, y),) in zip(estimators, splits, strict=True):
            if coef is not None:
                estimator.coef_, estimator.intercept_ = coef.copy(), float(intercept)
            estimator.fit(x, y)
        counts = [len(y) for ((_, y),) in splits]
        coef = mean([each.coef_ for each in estimators], counts)
        intercept = mean([each.intercept_ for each in estimators], counts)
    model = run(analyzer, splits=splits, strategy=strategy).result["model"]
    assert_model(model, (coef, [intercept]))


def test_the_nodes_agree_on_classes_and_scaling():
    """Each has two of three classes, and a column that never varies is left as it is."""
    splits = []
    for k in range(3):
        x, y = rows(10 + k, 30 + k)
        x[:, 1] = 4.0
        names = np.array(["acute", "chronic", "none"])[[k, (k + 1) % 3]]
        splits.append([(pd.DataFrame(x, columns=list("abcd")), names[y])])
    agreeing = type("Agreeing", (Ward,), {"classes": None, "scaling": True})
    found = run(agreeing, splits=splits).result
    plain = [split[0] for split in splits]
    pooled = np.concatenate([x.to_numpy() for x, _ in plain])
    std = pooled.std(axis=0, ddof=1)
    std[1] = 1.0
    np.testing.assert_allclose(found["agreed"]["mean"], pooled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["agreed"]["std"], std, rtol=1e-12)
    classes = ["acute", "chronic", "none"]
    assert found["agreed"]["classes"] == classes
    scaled = [((x.to_numpy() - pooled.mean(axis=0)) / std, y) for x, y in plain]
    expected = loop(lambda: SGDClassifier(**SGD), scaled, 3, classes=np.array(classes))
    np.testing.assert_allclose(found["model"]["coef"], expected[0], rtol=1e-11, atol=1e-14)
    assert found["model"]["coef"].shape == (3, 4)


def test_scores_are_those_of_scikit_learn():
    strategy = SklearnFedAvg(
        metrics=["accuracy", "test_auc", "test_loss"], convergence=MaxRounds(3)
    )
    tester = run(HeldBack, strategy=strategy)
    first = WeightedFedAvg(convergence=MaxRounds(1))
    model = run(HeldBack, strategy=first).result["model"]
    losses, aucs, counts = [], [], []
    for x, y in PLAIN:
        odds = x[::3] @ model["coef"][0] + model["intercept"]
        chances = 1 / (1 + np.exp(-odds))
        losses.append(log_loss(y[::3], chances))
        aucs.append(roc_auc_score(y[::3], odds))
        counts.append(len(y[::3]))
    assert tester.result["test_loss"] == pytest.approx(np.average(losses, weights=counts), rel=1e-9)
    assert tester.result["test_auc"] == pytest.approx(np.average(aucs, weights=counts), rel=1e-9)
    assert 0.5 < tester.result["accuracy"] <= 1


def test_sparse_features_stay_sparse():
    sparse = [(csr_array(x), y) for x, y in PLAIN]
    strategy = WeightedFedAvg(convergence=MaxRounds(2))
    result = run(splits=[[each] for each in sparse], strategy=strategy).result
    assert_model(result["model"], loop(lambda: SGDClassifier(**SGD), sparse, 2))


def test_without_a_random_state_the_seed_decides():
    class Open(Ward):
        def estimator(self):
            return SGDClassifier(**{**SGD, "random_state": None})

    def coef(**more):
        strategy = WeightedFedAvg(convergence=MaxRounds(2))
        return run(Open, strategy=strategy, **more).result["model"]["coef"]

    np.testing.assert_array_equal(coef(), coef())
    assert not np.array_equal(coef(), coef(seed=1))
