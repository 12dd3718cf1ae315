"""Whatever is put into an estimator: it is refused, or its methods do what they do."""

import copy
import warnings

import numpy as np
import pytest

from flame_flwr.payload.estimator_check import check_estimator

from .test_estimator_types import LISTED, fitted


def odd(value):
    """Give what somebody may put in the place of an attribute."""
    yield from (None, 3, -1, 10**7, "text", [], [[1.0]], {}, np.nan, np.zeros((2, 3, 4)), True)
    if isinstance(value, np.ndarray):
        yield from (value[:0], value.tolist(), value[None], value.astype(object), value[..., :1])
        yield from (np.ma.array(value, mask=True), np.repeat(value, 1000, -1), value.astype(str))
        yield from (np.repeat(value, 50, 0),) if value.ndim else ()
    if isinstance(value, list):
        yield from (value * 50, value[:1], [None] * len(value))


KNOWS_ALL = {
    "OneHotEncoder": {"handle_unknown": "ignore"},
    "OrdinalEncoder": {"handle_unknown": "use_encoded_value", "unknown_value": -1},
}


@pytest.mark.parametrize("name", sorted(set(LISTED) - {"Pipeline"}))
def test_what_is_let_in_computes(name):
    """Of each attribute, each odd value: refused, or each method gives a row for each row."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        model, data = fitted(name)
        if name in KNOWS_ALL:
            model = LISTED[name](**KNOWS_ALL[name]).fit(data)
        for attribute, value in vars(model).items():
            for other in odd(value):
                forgery = copy.copy(model)
                setattr(forgery, attribute, other)
                try:
                    check_estimator(forgery)
                except ValueError:
                    continue
                for method in ("predict", "predict_proba", "decision_function", "transform"):
                    if hasattr(forgery, method):
                        given = getattr(forgery, "classes_", data) if "Label" in name else data
                        found = getattr(forgery, method)(given)
                        assert found.shape[0] == len(given), (attribute, other)
                        assert np.prod(found.shape) <= 50 * data.size * 3


TO_GO_ON = ("_average_coef", "_standard_coef", "_average_intercept", "_standard_intercept")


@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor", "PassiveAggressiveClassifier"])
@pytest.mark.parametrize("classes", [2, 3])
def test_averages_have_the_shape_of_their_coefficients(name, classes):
    """Compiled code takes their length from the coefficients, and writes behind a shorter one."""
    rows = np.arange(12.0).reshape(6, 2) % 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LISTED[name](average=True, max_iter=3).fit(rows, np.arange(6.0) % classes)
    check_estimator(model)
    for attribute in TO_GO_ON:
        value = getattr(model, attribute)
        for other in (value[..., :-1], np.zeros((1, 1, 1)), value.astype(str), np.nan):
            forgery = copy.copy(model)
            setattr(forgery, attribute, other)
            with pytest.raises(ValueError, match=attribute):
                check_estimator(forgery)


@pytest.mark.parametrize("name", ["ElasticNet", "Lasso", "MultiTaskElasticNet", "MultiTaskLasso"])
def test_no_fit_goes_on_in_any_number(name):
    """Its compiled code takes their number from the new rows, and writes behind fewer."""
    model, _ = fitted(name)
    check_estimator(model)
    for true in (True, np.True_, 1):
        model.warm_start = true
        with pytest.raises(ValueError, match=r"warm_start .*: set it to False"):
            check_estimator(model)
