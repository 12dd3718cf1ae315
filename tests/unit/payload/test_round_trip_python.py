"""The law, for Python's own types: what is decoded is what was encoded, types included."""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.payload import decode, encode, from_arrays, to_arrays

BERLIN = ZoneInfo("Europe/Berlin")
TZ = st.sampled_from([None, UTC, timezone(timedelta(hours=-3, minutes=30)), BERLIN])
TEXT = st.text(alphabet=st.characters(exclude_categories=[]), max_size=8)
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    TEXT,
    st.binary(max_size=4),
    st.tuples(TEXT, st.integers()),
    st.frozensets(st.integers(), max_size=3),
    st.datetimes(timezones=st.none()),
    st.dates(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.integers(-(2**40), 2**40).map(np.int64),
)
LEAVES = st.one_of(
    KEYS,
    st.floats(),
    st.complex_numbers(),
    st.binary(max_size=20).map(bytearray),
    st.datetimes(timezones=TZ, allow_imaginary=True),
    st.times(timezones=TZ),
    st.timedeltas(),
    st.decimals(),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
)


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    pairs = st.dictionaries(KEYS, inner, max_size=3)
    factories = st.sampled_from([None, list, dict, set, int, float, str])
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(KEYS, max_size=4),
        pairs,
        pairs.map(OrderedDict),
        pairs.map(Counter),
        st.builds(defaultdict, factories, pairs),
    )


@settings(max_examples=75, deadline=None)
@given(value=st.recursive(LEAVES, containers, max_leaves=12))
def test_what_is_decoded_is_what_was_encoded(value, same):
    payload = encode(value)
    assert same(value, decode(payload))
    assert same(value, decode(from_arrays(to_arrays(payload))))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**1000),
        *(-(10**1000), 0.0, -0.0, float("nan"), float("inf"), -float("inf"), 5e-324),
        *(complex(-0.0, float("nan")), "", "\ud800 lone", "a\0b", "ä" * 40_000, b""),
        *(b"x" * 100_000, bytearray(b"abc"), bytearray(100_000), [], (), {}, set()),
        *(frozenset({(1, 2)}), [[[]]], ((),)),
        {None: 1, 2: "b", (1, (2,)): [bytearray(b"deep")], b"k": 0, 1.5: 0, frozenset({1}): 0},
        {date(2024, 1, 1): 1, timedelta(1): 2, uuid.UUID(int=5): 3, np.float32(2.5): 4},
        *(OrderedDict([("z", 1), ("a", 2)]), Counter("abracadabra")),
        *(Counter({"x": 1.5, "y": -2}), defaultdict(list, {"a": [1]}), defaultdict(None, a=1)),
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
        *(datetime(2024, 10, 27, 2, 30, fold=1), datetime.min, datetime.max.replace(tzinfo=UTC)),
        datetime(2020, 1, 1, tzinfo=timezone(timedelta(seconds=3601, microseconds=5), "odd")),
        *(date.min, time(23, 59, 59, 999999, tzinfo=UTC, fold=1), timedelta.min, timedelta.max),
        *(UTC, timezone(timedelta(hours=2)), BERLIN, Decimal("1.10"), Decimal("-0")),
        *(Decimal("sNaN123"), Decimal("-Infinity"), Decimal("1E+500"), uuid.UUID(int=2**128 - 1)),
        *(range(0, 10, -3), range(10**30)),
        [1, [2, {"x": bytearray(b"a"), "y": [(bytearray(b"b"),)]}]],
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:20]!a}",
)
def test_single_values(value, same, travel):
    assert same(value, travel(value))


def test_the_order_of_keys_is_kept(travel):
    value = {key: place for place, key in enumerate(["z", 3, None, "a", (1,), -5, b"b"])}

    assert list(travel(value)) == list(value)


def test_nesting_up_to_the_limit(travel):
    value: object = 1
    for _ in range(900):
        value = [value]

    assert travel(value) == value


def test_equal_keys_keep_their_types(travel):
    keys = [1.0, 2, np.int8(3), False]

    assert [type(key) for key in travel(dict.fromkeys(keys))] == [float, int, np.int8, bool]


def test_an_encoded_bytearray_can_still_grow():
    value = bytearray(100_000)
    payload = encode([value])
    value.append(1)

    assert decode(payload) == [bytearray(100_000)]
