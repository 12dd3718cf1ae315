"""The laws of every statistic: zero, order, JSON, payload, and equal to the pooled data."""

from __future__ import annotations

import copy
import json
import math
from functools import reduce
from itertools import permutations

import pandas as pd
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.payload import decode, encode
from flame_flwr.statistics import Covariance, Histogram, Moments, RowCount, Statistic
from flame_flwr.statistics.base import is_of_the_framework

from .conftest import KINDS, TABLES

FEW = settings(max_examples=10, deadline=None)
every = pytest.mark.parametrize("kind", KINDS)


@every
def test_a_copy_of_what_cannot_change_is_itself(kind):
    value = KINDS[kind][1]()
    found = copy.deepcopy({"a": [value]})["a"][0]
    assert found == value
    assert (found is value) == is_of_the_framework(value)


def merged(values):
    return reduce(lambda one, two: one.merge(two), values)


def bits(value):
    """The form as text: equal only where every bit is, also the sign of a zero."""
    return json.dumps(value.to_json(), allow_nan=False)


@FEW
@given(one=TABLES, two=TABLES, three=TABLES)
def test_the_order_of_merging_does_not_show(one, two, three):
    for kind, (make, _) in KINDS.items():
        note(kind)
        a, b, c = make(one), make(two), make(three)

        assert bits(a.merge(b)) == bits(b.merge(a))
        assert bits(a.merge(b).merge(c)) == bits(a.merge(b.merge(c)))
        assert len({str(merged(order).result()) for order in permutations([a, b, c])}) == 1


@FEW
@given(one=TABLES, k=st.integers(2, 6))
def test_zero_changes_nothing(one, k):
    for kind, (make, zero) in KINDS.items():
        note(kind)
        value = make(one)

        for some in (value, value.with_min_count(k)):
            assert bits(some.merge(zero())) == bits(zero().merge(some)) == bits(some)


@FEW
@given(one=TABLES, two=TABLES, k=st.integers(2, 6))
def test_it_survives_json_and_the_payload(one, two, k):
    for kind, (make, _) in KINDS.items():
        note(kind)
        value = make(one).merge(make(two))

        for some in (value, value.with_min_count(k)):
            assert type(value).from_json(json.loads(bits(some))) == some
            assert Statistic.from_json(json.loads(bits(some))) == some
            back = decode(encode({"nested": [some]}))["nested"][0]
            assert back == some
            assert type(back) is type(some)
            json.dumps(some.result(), allow_nan=False)


@FEW
@given(one=TABLES, two=TABLES)
def test_merged_is_pooled(one, two):
    for kind, (make, _) in KINDS.items():
        note(kind)
        if kind in ("meta", "fits", "hazards"):  # of a study there is no pooling
            continue
        split = make(one).merge(make(two)).result()
        pooled = make(pd.concat([one, two], ignore_index=True)).result()

        assert_close(split, pooled)


def test_column_of_hardly_any_size_does_not_vary():
    one, two = ({"a": [0.0], "b": [number]} for number in (4.1e-231, 0.0))
    split = Covariance.from_data(one).merge(Covariance.from_data(two)).result()
    pooled = Covariance.from_data({"a": [0.0, 0.0], "b": [4.1e-231, 0.0]}).result()
    assert split["correlation"] == pooled["correlation"] == [[None, None], [None, None]]


def assert_close(one, two):
    """Equal, floats to the last few bits of the largest numbers that went in."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_close(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_close(a, b)
    elif isinstance(one, float) and isinstance(two, float):
        assert math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-6)
    else:
        assert one == two


@FEW
@given(one=TABLES, two=TABLES, k=st.integers(2, 6))
def test_a_suppressed_value_says_so_when_merged(one, two, k):
    for kind, (make, _) in KINDS.items():
        note(kind)
        small, other = make(one).with_min_count(k), make(two)

        assert small.merge(other).result()["suppressed"] == small.suppressed
        assert make(one).withheld().merge(other).result()["suppressed"] == 1
        assert make(one).withheld().size == 0


@every
def test_hostile_forms_are_refused(kind):
    _, zero = KINDS[kind]
    good = zero().to_json()

    with pytest.raises(ModelError, match="form of"):
        Statistic.from_json(good | {"statistic": "Unknown"})
    with pytest.raises(ModelError, match="missing or unknown fields"):
        Statistic.from_json(good | {"more": 1})
    with pytest.raises(ModelError):
        Statistic.from_json(good | {"suppressed": -1})
    with pytest.raises(ModelError):
        Statistic.from_json(good | {"suppressed": True})


JUNK = (
    None,
    -1,
    7,
    1.5,
    math.inf,
    "x",
    True,
    [],
    [1],
    [["x"]],
    [[1, 2]],
    [[None, 1, 1]],
    {"exact": "0x1p0"},
    {"statistic": "RowCount", "suppressed": 0, "rows": 3},
    {"a": 1},
)


@every
def test_a_forged_field_is_refused_or_harmless(kind, patients):
    form = KINDS[kind][0](patients).to_json()

    for field in set(form) - {"statistic"}:
        for junk in JUNK:
            try:
                value = Statistic.from_json(form | {field: junk})
            except ModelError:
                continue
            assert value.result()["suppressed"] == value.suppressed
            assert value.with_min_count(5).merge(value).suppressed <= 2 * value.suppressed + 1


def test_a_forged_sum_is_refused():
    form = Moments.from_data([1.5]).to_json()

    for text in ("0x1p999999", "0x1p5000", "1.5", "0x" + "f" * 9000 + "p0", None, 3):
        with pytest.raises(ModelError, match="exact number"):
            Moments.from_json(form | {"total": {"exact": text}})
    with pytest.raises(ModelError, match="must be a Fraction"):
        Moments.from_json(form | {"total": 1.5})


def test_another_statistics_form_is_refused_by_its_class():
    with pytest.raises(ModelError, match="form of a Moments"):
        Moments.from_json(RowCount(3).to_json())


def test_only_alike_values_merge():
    with pytest.raises(ModelError, match="a RowCount merges with another one, not with Moments"):
        RowCount(1).merge(Moments.zero())
    with pytest.raises(ModelError, match="different edges cannot be merged: give every node"):
        Histogram.zero([0, 1]).merge(Histogram.zero([0, 2]))


def test_a_forged_payload_is_refused():
    payload = encode(RowCount(5))
    assert b"RowCount" in payload.header
    forged = type(payload)(payload.header.replace(b"rows\x05", b"rows\xff"), payload.arrays)
    with pytest.raises(PayloadError, match="restore"):
        decode(forged)
