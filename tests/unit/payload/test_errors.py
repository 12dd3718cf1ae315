"""What cannot travel is refused, and the error says where it stands and what to do."""

from __future__ import annotations

import enum
import pathlib
import pickle
import sys
import threading
from collections import defaultdict, namedtuple

import numpy as np
import pandas as pd
import pytest
from msgpack import ExtType
from sklearn.base import BaseEstimator
from sklearn.cluster import Birch, KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, TweedieRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from flame_flwr.errors import PayloadError
from flame_flwr.payload import decode, encode, from_record, register_type, table, to_record
from flame_flwr.payload.kinds import Kind

PATIENT = "Mrs Jones"
TINY = [[0], [1]], [0, 1]
Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Model:
    def __init__(self, value=1):
        self.value = value

    def __eq__(self, other):
        return type(other) is Model and other.value == self.value

    def __hash__(self):
        return hash(self.value)


class Wrapped(Model):
    pass


class Custom(BaseEstimator):
    def __init__(self, part=None):
        self.part = part


register_type(Wrapped, to=lambda wrapped: [0, wrapped.value], restore=lambda pair: pair[1])


def refused(value, **options):
    with pytest.raises(PayloadError) as caught:
        encode(value, **options)
    return caught.value


@pytest.mark.parametrize(
    ("value", "path", "masked"),
    [
        *((Model(), "$", "$"), ([1, 2, 3, Model()], "$[3]", "$[3]")),
        ((1, [Model()]), "$[1][0]", "$[1][0]"),
        ({"model": {"tree_": Model()}}, "$.model.tree_", "$.*.*"),
        ({"rows": [1, 2, {'a "b\n': Model()}]}, r'$.rows[2]["a \"b\n"]', "$.*[2].*"),
        *(({3: Model()}, "$[3]", "$.*"), ({("x", 1): [Model()]}, "$[('x', 1)][0]", "$.*[0]")),
        ({PATIENT: Model()}, f'$["{PATIENT}"]', "$.*"),
        *(({1: 2, Model(): 3}, "$.keys()[1]", "$.keys()[1]"), ({1, Model()}, "${}", "${}")),
        (defaultdict(list, {"a": [Model()]}), "$.a[0]", "$.*[0]"),
        (pd.DataFrame({"x": [1], PATIENT: [Model()]}), f'$["{PATIENT}"][0]', "$.*[0]"),
        (pd.Series([1], index=[Model()]), "$.index[0]", "$.index[0]"),
        (pd.Series([1, Model()], name=PATIENT), "$[1]", "$[1]"),
        *(({"w": Wrapped(Model())}, "$.w[1]", "$.*[1]"), ([memoryview(b"abc")], "$[0]", "$[0]")),
        ({memoryview(b"abc"): 1}, "$.keys()[0]", "$.keys()[0]"),
        ([bytearray(1), [ExtType(1, b"")]], "$[1][0]", "$[1][0]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_message_masks_the_path_of_the_detail(value, path, masked):
    error = refused(value)

    assert error.detail == path
    assert f" at {masked} cannot travel between nodes." in error.message
    assert PATIENT not in error.message


def test_the_message_names_type_and_ways_out():
    error = refused({"model": Model()})

    assert f"A value of type {Model.__module__}.Model at $.* cannot travel" in error.message
    for way in ("dict of arrays", "flame_flwr.payload.register_type", 'payload="pickle"'):
        assert way in error.message


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        *((np.array([1, None]), ".astype(float)"), (np.zeros(2, [("a", "O")]), ".astype(float)")),
        (np.ma.array([1, None], mask=[0, 1]), ".astype(float)"),
        (np.zeros((1, 2)).view(np.matrix), "numpy.asarray"),
        (np.rec.array([(1, 2)]), "numpy.asarray"),
        (defaultdict(lambda: 0), "Return dict(...)"),
        (defaultdict(Colour), "Return dict(...)"),
        (pd.arrays.SparseArray([0, 1]), ".sparse.to_dense()"),
        (pd.bdate_range("2020", periods=3, freq="C", holidays=["2020-01-02"]), ".freq = None"),
        (DecisionTreeClassifier().fit(*TINY), "made of trees (sklearn.tree._"),
        (HistGradientBoostingClassifier(max_iter=1).fit(*TINY), "or train a model of coefficients"),
        (KNeighborsClassifier(1, algorithm="kd_tree").fit(*TINY), "searches for neighbours"),
        (SVC().fit(*TINY), "Train a linear one instead, LinearSVC or SGDClassifier"),
        (SVC().fit(*TINY), 'or declare payload="pickle" on the model (only where every'),
        (OneHotEncoder(min_frequency=2).fit(TINY[0]), "infrequent ones, which do not travel"),
        (KMeans(1).fit(TINY[0]), "such as the cluster_centers_ of a KMeans"),
        (LogisticRegression().fit(*TINY).sparsify(), ".densify()"),
        (TweedieRegressor().fit(*TINY), "those that end in an underscore"),
        (Birch(), "skops cannot store it"),
        (SimpleImputer(strategy=lambda x: x), "does not trust: "),
        (FunctionTransformer(), 'or declare payload="pickle" on the model (only where every'),
        (LogisticRegression(), "is missing, as if it were not fitted"),
        (Custom(), f"does not trust: {__name__}.Custom"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_advice_fits(value, advice):
    error = refused([value])

    assert error.detail == "$[0]"
    assert advice in error.message


@pytest.mark.parametrize(
    "value",
    [
        *(Colour.RED, Point(1, 2), pathlib.Path("/tmp"), len, int, ..., iter([])),
        *(threading.Lock(), np.dtype("f8"), np.random.default_rng(), type("Sub", (dict,), {})()),
        *(type("Sub", (str,), {})("x"), type("Frame", (pd.DataFrame,), {})()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_else_is_refused(value):
    assert refused({"value": value}).detail == "$.value"


def test_without_skops_the_error_names_the_extra(monkeypatch):
    model = LogisticRegression().fit([[0], [1]], [0, 1])
    payload = encode({"m": model})
    monkeypatch.setitem(sys.modules, "skops.io", None)

    assert 'pip install "flame-flwr[estimators]"' in refused({"m": model}).message
    with pytest.raises(PayloadError, match=r"flame-flwr\[estimators\]"):
        decode(payload)


def test_a_value_that_contains_itself():
    lists: list = [1]
    lists.append({"again": (lists,)})
    dicts: dict = {}
    dicts["a"] = [dicts, bytearray(1)]

    plain: list = []
    plain.append([plain, plain])

    for value, path in [
        (lists, "$[1].again[0]"),
        (dicts, "$.a[0]"),
        (plain, "$[0][0]"),
        ((plain,), "$[0][0][0]"),
    ]:
        error = refused(value)
        assert "contains itself, or is nested deeper than 1000 levels" in error.message
        assert error.detail == path


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}])
@pytest.mark.parametrize("depth", [1100, 50_000])
def test_a_value_that_is_nested_too_deep(wrap, depth):
    value: object = 1
    for _ in range(depth):
        value = wrap(value)
    error = refused(value)

    assert "nested deeper than 1000 levels" in error.message
    assert len(str(error)) < 1000
    while isinstance(value, list | tuple | dict):  # let go of it level by level
        (value,) = value.values() if isinstance(value, dict) else value


def test_depth_within_bytearrays():
    value: object = bytearray(1)
    for _ in range(995):
        value = [value]

    assert "nested deeper than" in refused(value).message


def test_errors_can_be_pickled_with_their_detail():
    error = pickle.loads(pickle.dumps(refused({PATIENT: Model()})))

    assert error.detail == f'$["{PATIENT}"]'
    assert PATIENT not in error.message


def test_with_permission_other_objects_are_pickled(same):
    value = {"model": Model(5), "object array": np.array([1, None]), "plain": (1, 2)}
    payload = encode(value, allow_pickle=True)
    assert decode(encode(value["plain"], allow_pickle=True)) == (1, 2)  # needs no pickle
    foreign = from_record(to_record(payload))

    assert decode(foreign, allow_pickle=True)["model"] == Model(5)
    assert decode(foreign, allow_pickle=True)["object array"].tolist() == [1, None]
    for refusing in (payload, foreign):
        with pytest.raises(PayloadError, match="holds a pickle"):
            decode(refusing)


def test_large_pickles_go_beside_the_header():
    payload = encode(Model(b"x" * 100_000), allow_pickle=True)

    assert len(payload.header) < 100
    assert decode(payload, allow_pickle=True) == Model(b"x" * 100_000)


def test_what_cannot_be_pickled_either():
    error = refused({"f": [lambda: 1]}, allow_pickle=True)

    assert error.detail == "$.f[0]"
    assert "cannot even be pickled" in error.message


def test_an_unexpected_failure_says_where(monkeypatch):
    class Odd(dict):
        pass

    def fail(value):
        raise RuntimeError(PATIENT)

    monkeypatch.setitem(table.BY_TYPE, Odd, Kind(127, (Odd,), fail, Odd))
    error = refused({"a": [Odd()]})

    assert "at $.*[0] cannot travel between nodes: packing it raised RuntimeError" in error.message
    assert PATIENT not in error.message
    assert error.detail == f"$.a[0]: {PATIENT}"
