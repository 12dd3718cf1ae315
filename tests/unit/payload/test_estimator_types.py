"""Which estimators travel: those of a list of ours, and only where their numbers fit each other."""

import functools
import importlib
import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import CategoricalNB, GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    LabelBinarizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from flame_flwr.errors import PayloadError
from flame_flwr.payload import decode, encode
from flame_flwr.payload.estimator_check import check_estimator
from flame_flwr.payload.estimator_types import _TYPES, may_travel

from .forging import forged, refused, wire

RNG = np.random.default_rng(7)
X = np.abs(RNG.normal(size=(40, 3))) + 0.1
Y = (X[:, 0] > np.median(X[:, 0])).astype(int)
PACKAGES = {package: importlib.import_module(f"sklearn.{package}") for package, _ in _TYPES}
LISTED = {  # of those of all versions the ones of this one
    name: getattr(PACKAGES[package], name)
    for package, name in sorted(_TYPES, key=lambda of: of[1])
    if hasattr(PACKAGES[package], name)
}


FEWER = {"LogisticRegressionCV": {"Cs": 2, "cv": 2}}
"""With these it is fitted in a twentieth of the time."""


@functools.cache
def fitted(name):
    """Return a fitted estimator, and its data."""
    if name == "Pipeline":
        return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), X
    if name in ("LabelBinarizer", "LabelEncoder"):
        return LISTED[name]().fit(Y), Y
    data = (X > 0.5).astype(int) if name == "CategoricalNB" else X
    target = np.column_stack([Y, 1 - Y]) if name.startswith("MultiTask") else Y
    target = Y + 1.0 if name == "GammaRegressor" else target
    return LISTED[name](**FEWER.get(name, {})).fit(data, target), data


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_estimator_gives_the_same(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, data = fitted(name)
        arrived = decode(encode({"model": model}))["model"]
        assert type(arrived) is type(model)
        for method in ("predict", "transform"):
            if hasattr(model, method):
                one, two = (getattr(each, method)(data) for each in (model, arrived))
                one, two = (x.toarray() if hasattr(x, "toarray") else x for x in (one, two))
                np.testing.assert_array_equal(one, two)


def test_the_list_is_short():
    """Linear models, naive Bayes, scalers, encoders, imputers, PCA, and pipelines of them."""
    packages = {cls.__module__.split(".")[1] for cls in LISTED.values()}
    assert packages == {
        *("linear_model", "svm", "naive_bayes", "preprocessing", "impute", "decomposition"),
        "pipeline",
    }
    assert len(LISTED) < 60


OUT = [
    *(SVC(), NuSVC(), SVR(), NuSVR(), OneClassSVM(), KMeans(2), MiniBatchKMeans(2)),
    *(GaussianProcessRegressor(), PolynomialFeatures(), DummyRegressor(), MLPClassifier((2,))),
    *(OneVsRestClassifier(LogisticRegression()), KernelDensity(), IsolationForest(n_estimators=2)),
    *(DecisionTreeClassifier(), GradientBoostingRegressor(n_estimators=1)),
    HistGradientBoostingRegressor(max_iter=1),
    *(KNeighborsClassifier(1, algorithm=kind) for kind in ("kd_tree", "ball_tree")),
]


@pytest.mark.parametrize("model", OUT, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("within", [lambda model: model, make_pipeline])
def test_forged_compiled_code_is_not_loaded(model, within, monkeypatch):
    """With a forged `dual_coef_`, libsvm reads beyond its end. skops before 0.15 trusted trees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = within(model.fit(X, Y))
    data = skops.io.dumps(model)
    monkeypatch.setattr(skops.io, "loads", lambda data, trusted: pytest.fail("it was loaded"))
    monkeypatch.setattr(skops.io, "get_untrusted_types", lambda data: [])
    refused(forged([wire.ESTIMATOR, data]), "an estimator that may not travel")
    with pytest.raises(PayloadError, match=r'payload="pickle"|made of trees|for neighbours among'):
        encode(model)


def test_masked_numbers_do_not_travel():
    model = LogisticRegression().fit(X, Y)
    model.coef_ = np.ma.array(model.coef_, mask=True)
    refused(forged([wire.ESTIMATOR, skops.io.dumps(model)]), "an estimator that may not travel")
    with pytest.raises(ValueError, match="coef_ is of another kind"):
        check_estimator(model)


def test_with_permission_the_others_are_pickled():
    model = SVC().fit(X, Y)
    arrived = decode(encode(model, allow_pickle=True), allow_pickle=True)
    np.testing.assert_array_equal(arrived.predict(X), model.predict(X))


def test_estimators_of_other_packages_are_not_listed():
    assert not may_travel("other.linear_model", "LogisticRegression")
    assert not may_travel("sklearn.svm._classes", "LogisticRegression")
    assert not may_travel("sklearn", "Pipeline")


def encoder(**options):
    return OneHotEncoder(**options).fit(np.array([["a", 1.0], ["b", 2.0], ["c", 1.0]], object))


def numbers(**options):
    return OneHotEncoder(**options).fit(np.array([[0, 5], [1, 6], [2, 5]]))


def pipeline(last=None):
    return make_pipeline(StandardScaler(), PCA(2), last or LogisticRegression()).fit(X, Y)


def inner(step, **change):
    model = pipeline()
    vars(model[step]).update(change)
    return model


SCALER = StandardScaler().fit(X)


def names(name):
    """Return a table's names, as an estimator keeps them."""
    return np.array([name, "b", "c"], object)


LINEAR, TEXT = LogisticRegression, np.array(["a"] * 3, object)
FORGERIES = {
    "no number of features": (LINEAR, {"n_features_in_": None}, "n_features_in_ is missing"),
    "another number of features": (LINEAR, {"n_features_in_": 2}, "coef_ has not one entry per"),
    "a negative number of features": (LINEAR, {"n_features_in_": -3}, "is no count"),
    "a text for a number": (LINEAR, {"n_features_in_": "3"}, "is no count"),
    "truth for a number": (LINEAR, {"n_features_in_": True}, "is no count"),
    "a number of features of nothing": (
        *(lambda: RobustScaler(with_centering=False, with_scaling=False),),
        *({"n_features_in_": 10**9}, "n_features_in_ is more than it has numbers for"),
    ),
    "more names": (LINEAR, {"feature_names_in_": np.array(["a"], object)}, "one name per feature"),
    "names that are none": (LINEAR, {"feature_names_in_": names(7)}, "one name per feature"),
    "more classes": (LINEAR, {"classes_": np.arange(9)}, "has not one entry per row"),
    "one class": (LINEAR, {"classes_": np.arange(1)}, "classes_ is no list of classes"),
    "no classes": (LINEAR, {"classes_": None}, "classes_ is no list of classes"),
    "a list of classes": (LINEAR, {"classes_": [0, 1]}, "classes_ is no list of classes"),
    "classes in a square": (LINEAR, {"classes_": np.eye(2)}, "classes_ is no list"),
    "classes twice": (LINEAR, {"classes_": np.array([1, 1])}, "classes_ is no list"),
    "no class": (LINEAR, {"classes_": np.array([0.0, np.nan])}, "classes_ is no list"),
    "classes of all kinds": (
        LINEAR,
        {"classes_": np.array([0, "a"], object)},
        "no fit gives (TypeError)",
    ),
    "coefficients of text": (LINEAR, {"coef_": np.array([["a"] * 3])}, "coef_ has no numbers"),
    "objects": (LINEAR, {"coef_": np.array([[None] * 3])}, "coef_ has no numbers"),
    "complex ones": (LINEAR, {"coef_": np.full((1, 3), 2j)}, "coef_ has no numbers"),
    "a list": (LINEAR, {"coef_": [[1.0, 2.0, 3.0]]}, "coef_ has no numbers"),
    "None": (LINEAR, {"coef_": None}, "coef_ is missing"),
    "a text": (LINEAR, {"coef_": "abc"}, "coef_ has no numbers"),
    "one axis more": (LINEAR, {"coef_": np.zeros((1, 3, 1))}, "coef_ has not one entry per"),
    "one axis less": (LINEAR, {"coef_": np.zeros(3)}, "coef_ has not one entry per"),
    "no rows": (LINEAR, {"coef_": np.zeros((0, 3))}, "coef_ has not one entry per"),
    "NaN": (LINEAR, {"coef_": np.full((1, 3), np.nan)}, "coef_ has numbers that no fit gives"),
    "infinity": (LinearRegression, {"intercept_": np.inf}, "intercept_ has numbers that no fit"),
    "more intercepts": (LINEAR, {"intercept_": np.zeros(5)}, "intercept_ has not one"),
    "intercepts in a square": (LINEAR, {"intercept_": np.zeros((1, 1))}, "intercept_ has not one"),
    "another penalty": (LINEAR, {"C": "much"}, "does not compute (InvalidParameterError)"),
    "in the place of a method": (LINEAR, {"predict": 3}, "predict is in the place of a method"),
    "an estimator in it": (LINEAR, {"other_": PCA()}, "other_ is of another kind"),
    "short SGD": (SGDClassifier, {"coef_": np.zeros((1, 1))}, "coef_ has not one entry"),
    "another loss": (GammaRegressor, {"_base_loss": 3}, "does not compute (AttributeError)"),
    "no binarizer": (RidgeClassifier, {"_label_binarizer": 3}, "_binarizer is of another kind"),
    "a short mean": (StandardScaler, {"mean_": np.zeros(1)}, "mean_ has not one entry"),
    "a scale of nothing": (StandardScaler, {"scale_": np.zeros(3)}, "scale_ has numbers that no"),
    "no mean": (StandardScaler, {"mean_": None}, "does not compute ("),
    "a short variance": (GaussianNB, {"var_": np.zeros((2, 1))}, "var_ has not one"),
    "other priors": (GaussianNB, {"class_prior_": np.ones(7)}, "class_prior_ has not one"),
    "no counts": (CategoricalNB, {"feature_log_prob_": [np.zeros((2, 5))]}, "entry per category"),
    "wide components": (PCA, {"components_": np.zeros((3, 9))}, "components_ has not one entry"),
    "fewer variances": (PCA, {"explained_variance_": np.ones(2)}, "explained_variance_ has not"),
    "statistics in a list": (SimpleImputer, {"statistics_": [1.0] * 3}, "one entry per feature"),
    "lists to put in": (
        SimpleImputer,
        {"statistics_": np.array([[], (), 1], object)},
        "neither of numbers",
    ),
    "fewer columns": (encoder, {"_n_features_outs": [1, 1]}, "does not fit categories_"),
    "fewer categories": (encoder, {"categories_": [np.array(["a"])]}, "one entry per feature"),
    "no categories": (encoder, {"categories_": [3, 4]}, "is no list of categories"),
    "a category twice": (encoder, {"categories_": [TEXT, TEXT]}, "is no list of categories"),
    "wide results": (encoder, {"dtype": np.dtype("S1000000")}, "dtype is none of numbers"),
    "categories out of order": (
        *(numbers, {"categories_": [np.array([2, 1, 0]), np.array([5, 6])]}),
        "is no list of categories in order",
    ),
    "a category beyond the last": (
        *(lambda: encoder(drop="first"), {"_drop_idx_after_grouping": np.array([9, 9], object)}),
        "names no category of each",
    ),
    "nothing dropped": (
        *(lambda: encoder(drop="first"), {"_drop_idx_after_grouping": None}),
        "drop_idx_ does not fit the categories",
    ),
    "objects out of order": (
        *(numbers, {"categories_": [np.array([2, 1, 0], object), np.array([5, 6])]}),
        "is no list of categories in order",
    ),
    "infrequent ones": (
        *(encoder, {"_infrequent_enabled": True, "_default_to_infrequent_mappings": [None, None]}),
        "infrequent ones, which do not travel",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_numbers_that_do_not_fit_are_refused(forgery):
    make, change, why = FORGERIES[forgery]
    model = make()
    data = (X > 0.5).astype(int) if make is CategoricalNB else X
    model = model if isinstance(model, OneHotEncoder) else model.fit(data, Y + 1)
    vars(model).update(change)
    assert why in str(refused(forged([wire.ESTIMATOR, skops.io.dumps(model)])))
    within = make_pipeline(StandardScaler().fit(X), model)
    error = refused(forged([wire.ESTIMATOR, skops.io.dumps(within)]))
    assert "What arrived holds an estimator whose numbers do not fit each other" in str(error)
    assert why in str(error)


PIPELINES = {
    "a wide step": (inner(2, coef_=np.zeros((1, 3)), n_features_in_=3), "Pipeline does not comp"),
    "a narrow step": (inner(0, with_mean=False, mean_=np.zeros(2)), "mean_ has not one entry"),
    "a memory": (inner(0), {"memory": "folder"}, "Pipeline has more than steps"),
    "more": (inner(0), {"predict": 3}, "Pipeline has more than steps"),
    "no list": (inner(0), {"steps": ("a", PCA())}, "steps are not names, each with an estimator"),
    "no steps": (inner(0), {"steps": []}, "Pipeline.steps has none that computes"),
    "no names": (inner(0), {"steps": [PCA().fit(X)]}, "steps are not names, each with an est"),
    "one twice": (inner(0), {"steps": [("a", SCALER), ("b", SCALER)]}, "is twice in it"),
    "one not fitted": (inner(0), {"steps": [("a", PCA())]}, "n_features_in_ is missing"),
    "a classifier in between": (
        *(inner(0), {"steps": [("a", LINEAR().fit(X, Y)), ("b", StandardScaler().fit(X))]}),
        "Pipeline does not compute",
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_that_do_not_fit_are_refused(name):
    model, *change, why = PIPELINES[name]
    vars(model).update(*change)
    assert why in str(refused(forged([wire.ESTIMATOR, skops.io.dumps(model)])))


@pytest.mark.parametrize(
    "model",
    [
        *(encoder(), encoder(drop="first"), encoder(drop="if_binary"), numbers(drop="first")),
        OneHotEncoder().fit(np.array([[1.0], [np.nan], [0.0]])),
        OneHotEncoder().fit(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]})),
        OrdinalEncoder().fit(np.array([["b"], ["a"]])),
        OrdinalEncoder().fit(np.array([["b"], ["a"], [np.nan]], object)),
        LabelBinarizer(sparse_output=True).fit(["a", "b", "c"]),
        LogisticRegression().fit(X, np.arange(40) % 3),
        LogisticRegression().fit(pd.DataFrame(X, columns=list("abc")), np.array(["n", "y"])[Y]),
        LogisticRegression(fit_intercept=False).fit(X, Y),
        RidgeClassifier().fit(X, np.column_stack([Y, 1 - Y])),
        SGDClassifier("modified_huber").partial_fit(X, Y, classes=[0, 1]),
        LinearRegression().fit(X, np.column_stack([Y, Y])),
        LinearRegression().fit(X, Y[:, None]),
        LinearRegression(fit_intercept=False).fit(X, Y),
        GaussianNB().fit(X, np.zeros(40)),
        StandardScaler(with_mean=False, with_std=False).fit(X),
        StandardScaler().fit(np.array([[np.nan, 1.0], [np.nan, 1.0]])),
        StandardScaler().set_output(transform="pandas").fit(pd.DataFrame(X, columns=list("abc"))),
        MinMaxScaler().fit(X[:, :1] * 0),
        SimpleImputer(add_indicator=True).fit(np.array([[np.nan, 1.0], [2.0, np.nan]])),
        SimpleImputer(strategy="most_frequent").fit(np.array([["a"], ["b"], [np.nan]], object)),
        SimpleImputer(missing_values=-1).fit([[-1], [3]]),
        PCA(1, whiten=True).fit(X),
        make_pipeline(SimpleImputer(), make_pipeline(StandardScaler(), PCA(2))).fit(X),
        Pipeline([("a", "passthrough"), ("b", StandardScaler()), ("c", None)]).fit(X),
    ],
    ids=repr,
)
def test_honest_numbers_fit(model):
    assert repr(decode(encode(model))) == repr(model)
