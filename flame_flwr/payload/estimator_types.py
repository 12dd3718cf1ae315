"""Which of scikit-learn's estimators travel, and of what shape the numbers of each must be.

They compute with NumPy, which checks the shape of every array, and give no more than they hold.
Not here is what compiled code follows blindly, into memory that is not its own where somebody has
forged the numbers; what makes arrays as large as a number in it says; what may hold an estimator
of any kind; and what holds a node's rows.
"""

from __future__ import annotations

__all__ = ["FITTED", "MULTILABEL", "family_of", "may_travel"]

MULTILABEL = "multilabel-indicator"
"""What a ``LabelBinarizer`` calls a target of several labels at once."""

_OF_AVERAGES = (
    "_average_coef:f|rf? _standard_coef:f|rf? _average_intercept:|r? _standard_intercept:|r?"
)
"""Of stochastic gradients: `partial_fit`, which is compiled, goes on in them."""
_OF_COUNTS = "class_count_:c feature_count_:cf feature_log_prob_:cf< class_log_prior_:c<"
FITTED = {
    "regressor": f"coef_:f|rf intercept_:|r {_OF_AVERAGES}",
    "classifier": f"coef_:rf intercept_:|r {_OF_AVERAGES}",
    "ridge classifier": "coef_:f|rf intercept_:|r",
    "gaussian": "theta_:cf var_:cf+ class_prior_:c class_count_:c",
    "counts": _OF_COUNTS,
    "complement": f"{_OF_COUNTS} feature_all_:f",
    "categories": "class_count_:c class_log_prior_:c< n_categories_:f",
    "standard": "mean_:f?~ var_:f?~ scale_:f?~+",
    "min and max": "min_:f~ scale_:f~+ data_min_:f~ data_max_:f~ data_range_:f~",
    "largest": "scale_:f~+ max_abs_:f~",
    "robust": "center_:f?~ scale_:f?~+",
    "components": (
        "components_:kf mean_:f explained_variance_:k explained_variance_ratio_:k~ "
        "singular_values_:k noise_variance_:"
    ),
    "encoder": "",
    "labels": "",
    "imputer": "",
    "pipeline": "",
}
"""The arrays that the methods of each family use, as ``name:axes``, with ``|`` between choices.

Axes are (f)eatures, (c)lasses, (r)ows of coefficients and (k) components. After them: ``?`` where
it may be None, ``~`` NaN, ``<`` minus infinity, and ``+`` where all are above zero.
"""

_NAMES = {
    ("linear_model", "regressor"): (
        "ARDRegression BayesianRidge ElasticNet ElasticNetCV GammaRegressor HuberRegressor Lars "
        "LarsCV Lasso LassoCV LassoLars LassoLarsCV LassoLarsIC LinearRegression "
        "MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV "
        "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV PassiveAggressiveRegressor "
        "PoissonRegressor QuantileRegressor Ridge RidgeCV SGDRegressor TheilSenRegressor"
    ),
    ("linear_model", "classifier"): (
        "LogisticRegression LogisticRegressionCV PassiveAggressiveClassifier Perceptron "
        "SGDClassifier"
    ),
    ("linear_model", "ridge classifier"): "RidgeClassifier RidgeClassifierCV",
    ("svm", "regressor"): "LinearSVR",
    ("svm", "classifier"): "LinearSVC",
    ("naive_bayes", "gaussian"): "GaussianNB",
    ("naive_bayes", "counts"): "BernoulliNB MultinomialNB",
    ("naive_bayes", "complement"): "ComplementNB",
    ("naive_bayes", "categories"): "CategoricalNB",
    ("preprocessing", "standard"): "StandardScaler",
    ("preprocessing", "min and max"): "MinMaxScaler",
    ("preprocessing", "largest"): "MaxAbsScaler",
    ("preprocessing", "robust"): "RobustScaler",
    ("preprocessing", "encoder"): "OneHotEncoder OrdinalEncoder",
    ("preprocessing", "labels"): "LabelBinarizer LabelEncoder",
    ("impute", "imputer"): "SimpleImputer",
    ("decomposition", "components"): "PCA",
    ("pipeline", "pipeline"): "Pipeline",
}
_TYPES = {
    (package, name): family for (package, family), names in _NAMES.items() for name in names.split()
}


def may_travel(module: str, name: str) -> bool:
    """Tell whether an estimator of scikit-learn may be decoded.

    Parameters
    ----------
    module : str
        Where it is defined. Only the package counts: modules have changed between versions.
    name : str
        Its class.

    Examples
    --------
    >>> may_travel("sklearn.svm._classes", "LinearSVC"), may_travel("sklearn.svm._classes", "SVC")
    (True, False)
    """
    return family_of(module, name) is not None


def family_of(module: str, name: str) -> str | None:
    """Return the key in `FITTED` of an estimator of scikit-learn; None if it may not travel.

    Parameters
    ----------
    module, name : str
        As in `may_travel`.

    Examples
    --------
    >>> family_of("sklearn.svm._classes", "LinearSVC")
    'classifier'
    """
    root, _, inner = module.partition(".")
    return _TYPES.get((inner.partition(".")[0], name)) if root == "sklearn" else None
