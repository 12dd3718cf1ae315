"""Where two values differ: by kind, with a tolerance, and with nodes in another order."""

import collections
import datetime
import decimal
import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from flame_flwr.payload import register_type
from flame_flwr.testing.compare import difference


class Interval:
    def __init__(self, low, high):
        self.low, self.high = low, high


class Registered(Interval):
    __slots__ = ()


register_type(
    Registered, to=lambda i: (i.low, i.high), restore=lambda p: Registered(*p), name="kit.Interval"
)


class Equal:
    """Has an ``__eq__`` of its own, to which NaN is no equal of NaN."""

    def __init__(self, values):
        self.values = values

    def __eq__(self, other):
        return self.values == other.values

    __hash__ = None


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}, index=["r", "s"])

SAME = [
    (None, None),
    (1, 1.0),
    (np.float64(0.1) + 0.2, 0.3),
    (float("nan"), np.float64("nan")),
    (float("inf"), float("inf")),
    (1 + 2j, 1 + 2j),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (np.array([1e-17, 1.0]), np.array([3e-17, 1.0])),
    (np.array([np.nan, 1]), np.array([np.nan, 1])),
    (np.array(["a"]), np.array(["a"])),
    (FRAME, FRAME.copy()),
    (FRAME["a"], FRAME["a"].copy()),
    (sparse.eye(3), sparse.eye(3)),
    (datetime.date(2025, 1, 1), datetime.date(2025, 1, 1)),
    (Interval(1, [2.0]), Interval(1, [2.0])),
    (Registered(1, 2), Registered(1, 2)),
    ({1, 2}, {2, 1}),
    (Equal([1.0]), Equal([1.0 + 1e-16])),
    ("mean 0.30000000000000004", "mean 0.3000000000000001"),
]

DIFFERENT = [
    (None, 0, "$: NoneType and int"),
    (True, 1, "$: bool and int"),
    (1.0, 1.1, "$: 1.0 and 1.1"),
    (1.0, float("inf"), "$: 1.0 and inf"),
    ([1, [2, 3]], [1, [2, 4]], "$[1][1]: 3 and 4"),
    ([1], [1, 2], "$: 1 and 2 elements"),
    ({"a": {"b c": 1}}, {"a": {"b c": 2}}, "$.a['b c']: 1 and 2"),
    ({"a": 1}, {"a": 1, "z": 2}, "$: only one of them has 'z'"),
    (np.zeros((2, 2)), np.eye(2), "$[0, 0]: 0.0 and 1.0"),
    (np.zeros(2), np.zeros(3), "$: arrays of shape (2,) and (3,)"),
    (np.array(["a"]), np.array(["b"]), "$: array(['a']"),
    (FRAME, FRAME.assign(a=[1.0, 3.0]), "$.values[0][1]: 2.0 and 3.0"),
    (sparse.eye(3), 2 * sparse.eye(3), "$[0]: 1.0 and 2.0"),
    (Interval(1, 2), Interval(1, 3), "$.high: 2 and 3"),
    (Registered(1, 2), Registered(1, 3), "$[1]: 2 and 3"),
    (b"a", b"b", "$: b'a' and b'b'"),
    ("mean 0.31", "mean 0.32", "$: 'mean 0.31' and 'mean 0.32'"),
    ("x" * 100, "y", "$: 'xxxx"),
]


MISSING = {
    "nan": lambda: float("nan"),
    "numpy": lambda: np.float32("nan"),
    "complex": lambda: complex(float("nan"), 1),
    "decimal": lambda: decimal.Decimal("NaN"),
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "datetime": lambda: np.datetime64("NaT"),
    "span": lambda: np.timedelta64("NaT", "D"),
    "none": lambda: None,
}
"""Missing values of every kind; those that can be are new objects with each call."""


def _objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


HOLDERS = {
    "itself": lambda value: value,
    "list": lambda value: ["a", [value]],
    "tuple": lambda value: (1, (value, 2)),
    "deque": lambda value: collections.deque([value]),
    "values": lambda value: {"a": {"b": value}},
    "keys": lambda value: {value: 1.0, "b": 2},
    "keys of tuples": lambda value: {("a", value): 1.0},
    "set": lambda value: {value, "a"},
    "frozenset": lambda value: frozenset([(value, 1)]),
    "array": lambda value: _objects("a", value, 2),
    "nested array": lambda value: _objects(["a", value], 2),
    "column": lambda value: pd.DataFrame({"a": pd.Series(["x", value], dtype=object)}),
    "index": lambda value: pd.Series([1, 2], index=pd.Index(["x", value], dtype=object)),
    "names": lambda value: pd.DataFrame([[1, 2]], columns=pd.Index(["x", value], dtype=object)),
    "object": lambda value: Interval(1, [value]),
    "own ==": lambda value: Equal([value]),
    "registered": lambda value: Registered(value, 2),
}
TYPED = {
    "Int64": lambda: pd.Series([1, None], dtype="Int64"),
    "boolean": lambda: pd.Series([True, None], dtype="boolean"),
    "string": lambda: pd.Series(["a", None], dtype="string"),
    "category": lambda: pd.Series(["a", None], dtype="category"),
    "array": lambda: pd.array([1, None], dtype="Int64"),
    "dates": lambda: pd.Series(pd.to_datetime(["2026-01-01", None])),
    "zones": lambda: pd.Series(pd.to_datetime(["2026-01-01", None], utc=True)),
    "MultiIndex": lambda: pd.MultiIndex.from_tuples([("a", float("nan"))]),
    "fields": lambda: np.array([(1, float("nan"))], dtype=[("a", "i4"), ("b", "f8")]),
    "NaT": lambda: np.array(["2026-01-01", "NaT"], dtype="M8[D]"),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kind", MISSING)
def test_missing_values_of_one_kind_are_equal(kind, holder):
    first, second = (HOLDERS[holder](MISSING[kind]()) for _ in range(2))
    assert difference(first, second, 1e-9) == ""


@pytest.mark.parametrize("kind", TYPED)
def test_missing_values_in_typed_columns_equal_each_other(kind):
    assert difference(TYPED[kind](), TYPED[kind](), 1e-9) == ""


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(
    "pair", list(itertools.permutations([0.0, "text", None, math.nan, pd.NaT, pd.NA], 2))
)
def test_missing_values_of_two_kinds_and_others_differ(holder, pair):
    first, second = map(HOLDERS[holder], pair)
    assert difference(first, second, 1e-9)


def test_each_of_two_missing_keys_is_compared():
    nan, same = float("nan"), float("nan")
    assert difference({nan: 1, same: 2}, {float("nan"): 1, float("nan"): 2}, 0.0) == ""
    assert difference({nan: 1, same: 2}, {float("nan"): 1, float("nan"): 3}, 0.0)
    assert difference({nan: 1}, {float("nan"): 1, same: 2}, 0.0)
    assert difference({nan}, {float("nan"), same}, 0.0)


@pytest.mark.parametrize("pair", SAME, ids=lambda pair: repr(pair[0])[:20])
def test_values_that_agree(pair):
    assert difference(*pair, 1e-9) == ""


@pytest.mark.parametrize(("first", "second", "text"), DIFFERENT)
def test_values_that_differ_say_where(first, second, text):
    assert difference(first, second, 1e-9).startswith(text)


def test_the_tolerance_is_relative():
    assert difference(1e9, 1e9 + 1, 1e-6) == ""
    assert difference(1e-9, 2e-9, 1e-6) != ""
    assert difference([1.0], [1.0 + 1e-7], 0.0) != ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1, 2, 3], [3, 1, 2]),
        ({"per node": (1, 2, 3)}, {"per node": (3, 1, 2)}),
        (np.array([[1, 0], [2, 0], [3, 0]]), np.array([[3, 0], [1, 0], [2, 0]])),
        ("a: 1\nb: 2\nc: 3", "c: 3\na: 1\nb: 2"),
        (b"a: 1\nb: 2\nc: 3", b"c: 3\na: 1\nb: 2"),
    ],
)
def test_entries_per_node_may_change_places(first, second):
    assert difference(first, second, 1e-9) != ""
    assert difference(first, second, 1e-9, order=(2, 0, 1)) == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [([1, 2, 3], [1, 3, 2]), ([1, 2], [2, 1]), (1, 2), (b"\xff\n1", b"1\n\xff"), ("a\nb", "a\nc")],
)
def test_any_other_order_is_a_difference(first, second):
    assert difference(first, second, 1e-9, order=(2, 0, 1)) != ""


def report(order, *, partners=None):
    """Return what aggregators of FLAME's guides write: JSON in the order of the nodes."""
    passes = [True, False, True]
    nodes = [{"node_pass": passes[node], "files": node + 5} for node in order]
    failing = [i for i, each in enumerate(nodes) if not each["node_pass"]]
    partners = partners or [f"node-{node}" for node in order] + ["aggregator"]
    about = {"overall_total": 18, "failing": failing, "partners": partners, "nodes": nodes}
    return json.dumps(about)


@pytest.mark.parametrize("kind", [str, str.encode, json.loads], ids=["text", "bytes", "value"])
def test_nodes_may_move_within_json(kind):
    first, second = report((0, 1, 2)), report((2, 0, 1))
    assert difference(kind(first), kind(second), 1e-9, order=(2, 0, 1)) == ""
    assert difference(kind(first), kind(second), 1e-9) != ""


def numbered(order, name, first=0, **more):
    """Return what is said of each node under the number of its place."""
    return {name.format(place + first): {"n": node + 5} for place, node in enumerate(order)} | more


@pytest.mark.parametrize("name", ["site_{}", "{}", "center {} (anonymous)"])
@pytest.mark.parametrize("first", [0, 1])
def test_nodes_may_be_numbered_by_their_places(name, first):
    one, other = numbered((0, 1, 2), name, first), numbered((2, 0, 1), name, first)
    assert difference(one, other, 1e-9, order=(2, 0, 1)) == ""
    assert difference(json.dumps(one), json.dumps(other), 1e-9, order=(2, 0, 1)) == ""
    assert difference(one, other, 1e-9) != ""


def test_whole_numbers_number_nodes_too():
    one, other = (dict(enumerate(nodes)) for nodes in ((0, 1, 2), (2, 0, 1)))
    assert difference(one, other, 1e-9, order=(2, 0, 1)) == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (numbered((0, 1, 2), "site_{}"), numbered((1, 0, 2), "site_{}")),  # moved otherwise
        (numbered((0, 1, 2), "site_{}", 2), numbered((2, 0, 1), "site_{}", 2)),  # counts from 2
        (numbered((0, 1, 2), "site_{}", n=1), numbered((2, 0, 1), "site_{}", n=1)),  # and a total
        (dict(zip("abc", (5, 6, 7), strict=True)), dict(zip("abc", (7, 5, 6), strict=True))),
    ],
)
def test_other_keys_number_no_nodes(first, second):
    assert difference(first, second, 1e-9, order=(2, 0, 1)) != ""


@pytest.mark.parametrize(
    "second",
    [
        report((2, 0, 1)).replace("18", "19"),
        report((2, 0, 1)).replace('"failing": [2]', '"failing": [0]'),
        report((2, 0, 1)).replace('"files": 6', '"files": 7'),
        report((2, 0, 1), partners=["node-0", "node-0", "node-2", "aggregator"]),
        report((2, 0, 1))[:-1],
        report((0, 1, 2)).replace('"files": 5', '"files": 8'),
    ],
)
def test_what_nodes_say_in_json_must_agree(second):
    assert difference(report((0, 1, 2)), second, 1e-9, order=(2, 0, 1)) != ""
