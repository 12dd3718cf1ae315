"""Estimators as a node may send them: an honest one, and those that no fit gives."""

import numpy as np
import skops.io
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler


def forged(**change):
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    vars(model).update(change)
    return model


def dummy():
    model = DummyRegressor().fit([[0.0]], [1.0])
    model.n_outputs_ = 10**7
    return model


WIDE = {"coef_": np.zeros((1, 9)), "n_features_in_": 9}
FORGERIES = [
    *(forged(), make_pipeline(PCA(), forged(**WIDE)), forged().coef_, PCA(), dummy()),
    *(forged(coef_=other) for other in ([[1.0]], None, "a", np.zeros((1, 1, 1)))),
    *(forged(n_features_in_=other) for other in (10**9, -1, None, "3")),
    *(forged(classes_=np.arange(9)), forged(predict=3)),
    make_pipeline(StandardScaler().fit([[0.0]]), forged(**WIDE)),
    PolynomialFeatures().fit([[0.0]]),
]
FILES = [skops.io.dumps(each) for each in FORGERIES]
