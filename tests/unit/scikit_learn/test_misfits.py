"""What a ``SklearnAnalyzer`` refuses of an estimator and its settings, and in which words."""

import numpy as np
import pytest
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    PoissonRegressor,
    SGDClassifier,
    SGDOneClassSVM,
    SGDRegressor,
)
from sklearn.naive_bayes import GaussianNB

from flame_flwr.aggregation import MaxRounds
from flame_flwr.errors import DataError, ModelError
from flame_flwr.sklearn import SklearnFedAvg
from flame_flwr.sklearn.agreement import agree
from flame_flwr.sklearn.checks import check_estimator
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.statistics import Moments
from flame_flwr.strategies import CyclicTraining, WeightedFedAvg

from .odd_wards import ONE, made, of
from .wards import SGD, Ward, run


@pytest.mark.parametrize(
    ("estimator", "says"),
    [
        (lambda: SGDClassifier, "must return an estimator of scikit-learn, not "),
        (LogisticRegression, "LogisticRegression would begin anew in every round"),
        (lambda: SGDClassifier(average=True), "this SGDClassifier keeps two models"),
        (GaussianNB, "GaussianNB has no coefficients after training"),
        (lambda: SGDOneClassSVM(random_state=0), "SGDOneClassSVM has no coefficients after"),
        (lambda: SGDClassifier(early_stopping=True), "SGDClassifier would keep rows of its own"),
        (lambda: Perceptron(early_stopping=True), "convergence of the strategy says when to stop"),
        (lambda: SGDClassifier(class_weight="balanced"), "give weights by label, the same at ever"),
        (
            lambda: LogisticRegression(warm_start=True, solver="liblinear"),
            "the solver 'liblinear' begins anew in every round",
        ),
        (
            lambda: PoissonRegressor(warm_start=True, max_iter=1),
            "PoissonRegressor predicts by more than its coefficients",
        ),
    ],
)
def test_an_estimator_that_does_not_fit_is_named(estimator, says):
    with pytest.raises(ModelError, match=says):
        run(of(estimator), strategy=ONE)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"passes": 0}, "passes must be a whole number from 1, not 0"),
        ({"fedprox_mu": -1}, "fedprox_mu must be a number from 0, not -1"),
        ({"fedprox_mu": float("inf")}, "fedprox_mu must be a number from 0"),
        ({"scaling": "site"}, "scaling must be True or False"),
        ({"classes": [1]}, "classes must name at least two labels"),
        ({"classes": 2}, "classes must name at least two labels, all texts or all numbers, not 2"),
        ({"classes": [0, "a"]}, "classes must name at least two labels, all texts or all numbers"),
        ({"classes": [[0], [1]]}, "classes must name at least two labels, all texts or all numb"),
        ({"classes": "01"}, "classes must name at least two labels, all texts or all numbers"),
    ],
)
def test_a_wrong_setting_is_named(setting, says):
    with pytest.raises(ModelError, match=says):
        run(strategy=ONE, **setting)


def test_fedprox_needs_steps_of_one_length():
    analyzer = of(lambda: SGDClassifier(random_state=0))
    with pytest.raises(ModelError, match="write a method `pass_length"):
        run(analyzer, strategy=ONE, fedprox_mu=1.0)


@pytest.mark.parametrize("length", ["0.1", None, -1.0, float("nan"), float("inf"), True])
@pytest.mark.parametrize("whose", ["estimator: eta0 must be", "pass_length must return"])
def test_fedprox_needs_a_positive_finite_length(length, whose):
    analyzer = {
        "estimator: eta0 must be": of(lambda: SGDClassifier(learning_rate="constant", eta0=length)),
        "pass_length must return": made(pass_length=lambda self, estimator, n_rows: length),
    }[whose]
    with pytest.raises(ModelError) as caught:
        run(analyzer, strategy=ONE, fedprox_mu=1.0)
    assert caught.value.message == f"Odd.{whose} a finite number above 0"  # which may travel


@pytest.mark.parametrize("name", ["score", "test_dataset", "pass_length", "dataset"])
def test_a_non_method_is_named_when_built(name):
    with pytest.raises(ModelError, match=rf"Odd\.{name} must be a method"):
        StarModel(made(**{name: 3}), ONE, "none")


UNDECLARED = {"classes": {"classes": None}, "scaling": {"scaling": True}}


@pytest.mark.parametrize("setting", UNDECLARED)
def test_agreeing_needs_a_strategy_that_asks(setting):
    says = f"must agree on `{setting}` first. Take flame_flwr.sklearn.SklearnFedAvg as strategy"
    silent = made(**UNDECLARED[setting])
    for strategy in (ONE, WeightedFedAvg(initial={"agreed": None}), CyclicTraining(rounds=2)):
        with pytest.raises(ModelError, match=f"Odd: the nodes {says}"):
            StarModel(silent, strategy, "none")
    StarModel(silent, SklearnFedAvg(convergence=MaxRounds(2)), "none")


def test_what_a_constructor_is_given_counts():
    with pytest.raises(ModelError, match="must agree on `scaling` first"):
        StarModel(Ward, ONE, "none", analyzer_kwargs={"scaling": True})
    StarModel(made(classes=None), ONE, "none", analyzer_kwargs={"classes": ["f", "m"]})
    StarModel(made(scaling=True), ONE, "none", analyzer_kwargs={"scaling": False})


def test_an_unrelated_own_constructor_changes_nothing():
    def construct(self, flame, beds=7):
        Ward.__init__(self, flame)
        self.beds = beds

    with pytest.raises(ModelError, match="must agree on `classes` and `scaling` first"):
        StarModel(made(__init__=construct, classes=None, scaling=True), ONE, "none")


def _named(self, flame):
    self.classes = (0, 1)
    Ward.__init__(self, flame)


def _handed_on(self, flame):
    Ward.__init__(self, flame, classes=(0, 1))


def _keeps(self, flame, alpha=1e-3):
    Ward.__init__(self, flame)
    self.alpha = alpha


@pytest.mark.parametrize(
    "members",
    [
        {"__init__": _named},
        {"__init__": _handed_on},
        {"classes": property(lambda self: (0, 1))},
        {"scaling": property(lambda self: False), "classes": (0, 1)},
        {"estimator": lambda self: SGDRegressor(random_state=0)},
        {"analysis_method": lambda self, data, aggregator_results: {}},
    ],
)
def test_what_may_train_at_once_is_not_refused(members):
    StarModel(made(**{"classes": None, **members}), ONE, "none")


def test_a_run_may_begin_with_an_agreement():
    agreed = {"classes": [0, 1], "mean": np.zeros(4), "std": np.ones(4)}
    strategy = WeightedFedAvg(initial={"agreed": agreed}, convergence=MaxRounds(1))
    silent = made(classes=None, scaling=True)
    StarModel(silent, strategy, "none")
    found = run(silent, strategy=strategy).result["model"]["coef"]
    np.testing.assert_array_equal(found, run(strategy=WeightedFedAvg()).result["model"]["coef"])


def test_a_nodes_own_estimator_is_checked_there():
    silent = made(
        __init__=_keeps,
        classes=None,
        estimator=lambda self: SGDClassifier(alpha=self.alpha, random_state=0),
    )
    StarModel(silent, ONE, "none")
    with pytest.raises(ModelError, match="must agree on `classes` first") as caught:
        run(silent, strategy=ONE)
    assert "node-0" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    ("estimator", "says", "value"),
    [
        (
            lambda: SGDClassifier(alpha=-0.125),
            "Odd.estimator: 'alpha' of SGDClassifier must be a float in the range [0.0, inf)",
            "-0.125",
        ),
        (
            lambda: SGDClassifier(loss="nope"),
            "'loss' of SGDClassifier must be a str among",
            "'nope'",
        ),
        (
            lambda: LogisticRegression(warm_start=True, l1_ratio=3),
            "'l1_ratio' of LogisticRegression must be a float in the range [0.0, 1.0]",
            "3",
        ),
        (
            lambda: LogisticRegression(warm_start=True, penalty="l1"),
            "the settings of LogisticRegression do not go together, whatever the rows are: Solver "
            "lbfgs supports only 'l2' or None penalties, got l1 penalty.",
            "",
        ),
        (
            lambda: SGDClassifier(class_weight={"ill": 1, 1: 2}),
            "do not go together, whatever the rows are: The classes, [0], are not in class_weight",
            "",
        ),
    ],
)
def test_a_wrong_setting_is_said_without_its_value(estimator, says, value):
    with pytest.raises(ModelError) as caught:
        run(of(estimator), strategy=ONE)
    assert says in caught.value.message
    assert f"Got {value}" in caught.value.detail or not value
    assert f"Got {value}" not in caught.value.message


class OfTheUsers(SGDClassifier):
    def partial_fit(self, x, y, classes=None):
        raise ValueError(f"The 'x' parameter of Mine must be {x[0]!r}. Got it")


def test_own_estimators_words_stay_in_the_detail():
    with pytest.raises(DataError, match="refuses these rows, or how it is set up") as caught:
        run(of(lambda: OfTheUsers(loss="log_loss")), strategy=ONE)
    assert "Got it" in caught.value.detail


def test_all_nodes_scale_or_none():
    said = {"columns": {"number": 1, "names": ""}, "classes": [0, 1], "moments": None}
    scaled = said | {"moments": [Moments.from_data([1.0, 2.0])]}
    with pytest.raises(DataError, match="scaled at b and not at a, c: `scaling` must be the same"):
        agree({"a": said, "b": scaled, "c": said})


def test_what_is_written_is_checked_when_built():
    StarModel(Ward, ONE, "none")
    with pytest.raises(ModelError, match=r"Odd.dataset.* cannot be called as dataset\(data\)"):
        StarModel(made(dataset=lambda self: ()), ONE, "none")

    class Other(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {}

    with pytest.raises(ModelError, match="Other is no SklearnAnalyzer"):
        StarModel(Other, SklearnFedAvg(convergence=MaxRounds(2)), "none")
    with pytest.raises(ModelError, match="`initial` is its own"):
        SklearnFedAvg(initial={})


def test_a_constant_rate_is_a_passs_length():
    about = check_estimator(SGDClassifier(**SGD), Ward)
    assert about.length(50) == pytest.approx(50 * 0.02)
