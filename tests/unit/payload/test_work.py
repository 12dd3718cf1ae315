"""What restoring a value costs is in proportion to the bytes that arrived, whatever they say."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import skops.io
from msgpack import Packer
from sklearn.linear_model import LinearRegression

from flame_flwr.errors import PayloadError
from flame_flwr.payload import Payload, decode, encode
from flame_flwr.payload.work import GROWTH

from .forging import forged, little_memory, wire

MODULUS = sys.hash_info.modulus
LONG = 60.0
"""Seconds, against what would take minutes and more."""


SMALL_FLOOR = 4 * 2**20


@pytest.fixture
def little(monkeypatch):
    """Allow less to any value, so that what is too much is soon reached."""
    monkeypatch.setattr("flame_flwr.payload.work.FLOOR", SMALL_FLOOR)


def array(dtype, shape, raw=b""):
    return [wire.ARRAY, dtype, shape, False, raw]


def in_proportion(payload):
    """Decode, or see it refused: within time and memory either way."""
    received = len(payload.header) + sum(each.nbytes for each in payload.arrays)
    started = time.monotonic()
    with little_memory(3 * SMALL_FLOOR + 2 * GROWTH * received):
        try:
            decode(payload)
            refused = False
        except PayloadError:
            refused = True
    assert time.monotonic() - started < LONG
    return refused


def big(number):
    raw = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return [wire.BIG_INT, raw]


ALIKE = {
    "int": lambda place: big(7 + place * MODULUS),
    "UUID": lambda place: [wire.UUID, UUID(int=7 + place * MODULUS).bytes],
    "Decimal": lambda place: [wire.DECIMAL, str(7 + place * MODULUS)],
    "complex": lambda place: [wire.COMPLEX, float(1000003 * place), float(-place)],
    "tuple": lambda place: [wire.TUPLE, big(7 + place * MODULUS)],
}


def dict_of(keys):
    packer = Packer(strict_types=True)
    body = b"".join(packer.pack(key) + b"\x00" for key in keys)
    head = b"\x93\xa5flame\x01\xdf" + len(keys).to_bytes(4, "big")
    return Payload(head + body)


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize("container", ["dict", "set", "frozenset", "labels"])
def test_keys_of_one_hash_are_refused(kind, container):
    keys = [ALIKE[kind](place) for place in range(20, 3_000)]
    values = decode(forged(keys))
    assert len(set(map(hash, values))) == 1
    made = {
        "dict": lambda: dict_of(keys),
        "set": lambda: forged([wire.SET, *keys]),
        "frozenset": lambda: forged([wire.FROZENSET, *keys]),
        "labels": lambda: forged(
            [
                wire.CATEGORICAL,
                array("|i1", [1], b"\0"),
                [wire.INDEX, [wire.OBJECTS, *keys], None, None],
                False,
            ]
        ),
    }
    assert in_proportion(made[container]())


def test_few_keys_of_one_hash_pass():
    keys = [7 + place * MODULUS for place in range(60)]
    value = {"dict": dict.fromkeys(keys, 1), "set": set(keys), "floats": {-1.0: 1, -2.0: 2}}
    assert decode(Payload(encode(value).header)) == value


EMPTY_INDEX = [wire.INDEX, array("<i8", [0]), None, None]
MANY = {
    "empty lists": lambda: forged([[]] * 100_000),
    "empty dicts": lambda: forged([{}] * 100_000),
    "nested lists": lambda: forged([[[[[]]]]] * 20_000),
    "sets": lambda: forged([[wire.SET]] * 30_000),
    "frames": lambda: forged([[wire.FRAME, EMPTY_INDEX, EMPTY_INDEX]] * 1500),
    "columns": lambda: forged(
        [wire.FRAME, [wire.RANGE_INDEX, [wire.RANGE, 0, 3_000, 1], None], EMPTY_INDEX]
        + [array("|i1", [0])] * 3_000
    ),
    "rows without columns": lambda: forged(
        [
            wire.FRAME,
            EMPTY_INDEX,
            [wire.RANGE_INDEX, [wire.RANGE, 0, 10**9, 1], None],
        ]
    ),
    "levels": lambda: forged(
        [
            wire.MULTI_INDEX,
            [[wire.RANGE_INDEX, [wire.RANGE, 0, 2**16, 1], None]] * 6,
            [array("|i1", [2], b"\0\1")] * 6,
            [None] * 6,
        ]
    ),
    "rows of a list format": lambda: forged(
        [
            wire.SPARSE,
            "lil_array",
            [130_000, 2],
            *([wire.BULK, place, None] for place in range(3)),
        ],
        (np.zeros(0), np.zeros(0, "i4"), np.zeros(130_001, "i4")),
    ),
    "estimators": lambda: forged([[wire.ESTIMATOR, skops.io.dumps(LinearRegression())]] * 100),
}


@pytest.mark.parametrize("name", MANY)
@pytest.mark.usefixtures("little")
def test_few_bytes_that_name_much_are_refused(name):
    assert in_proportion(MANY[name]())


SAYS_MUCH = {
    "numbers": list(range(30_000)),
    "pairs": [[n % 7, n % 5] for n in range(10_000)],
    "counts": {n: n % 11 for n in range(12_000)},
    "texts": ["de", "fr"] * 12_000,
    "records": [{"age": n % 90, "sex": "f", "bmi": 0.5} for n in range(5_000)],
    "tuples": [(n % 7, 0.5) for n in range(6_000)],
    "small arrays": [np.array([0.5, 1.5])] * 3_000,
    "frames": [pd.DataFrame({"a": [1.0], "b": ["x"]})] * 60,
    "columns": pd.DataFrame({f"c{n}": [n, n + 1] for n in range(100)}),
    "rows": pd.DataFrame({"a": np.zeros(150_000, "i1")}),
    "labels": pd.Series(np.arange(20_000).astype(str)).astype("category"),
    "groups": pd.MultiIndex.from_product([range(100), range(100)]),
    "dates": pd.date_range("1900", periods=2_000, freq="D"),
    "pairs of a matrix": sp.dok_array(np.eye(60)),
}


@pytest.mark.parametrize("name", SAYS_MUCH)
@pytest.mark.usefixtures("little")
def test_large_honest_values_pass(name):
    payload = encode(SAYS_MUCH[name])
    decode(Payload(payload.header, payload.arrays))


@pytest.mark.usefixtures("little")
def test_a_large_value_may_take_in_proportion():
    payload = forged([[]] * 100_000)
    padded = forged([[[]] * 100_000, [wire.BULK, 0, None]], (np.zeros(2**20, "u1"),))
    with pytest.raises(PayloadError, match="than 16 times its bytes, and than 4 MB"):
        decode(payload)
    assert len(decode(padded)[0]) == 100_000


def test_deep_numbers_are_read_fast():
    value = [Decimal("9" * 200_000), 2**5_000_000, Decimal("1e-999999")]
    assert decode(Payload(encode(value).header)) == value


UNPRINTABLE = 10**6000


@pytest.mark.parametrize(
    "value",
    [
        *(UNPRINTABLE, -UNPRINTABLE, [2**5_000_000], {UNPRINTABLE: 1}, {"n": (1, UNPRINTABLE)}),
        *(range(UNPRINTABLE), range(0, -UNPRINTABLE, -UNPRINTABLE), frozenset({UNPRINTABLE})),
        *(pd.DataFrame({"a": [UNPRINTABLE]}, dtype=object), pd.Index([UNPRINTABLE], dtype=object)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_without_a_text_are_refused(value):
    with pytest.raises(PayloadError, match="more than 1600 bytes"):
        decode(encode(value), as_text=True)


def test_arrived_numbers_can_be_summed_and_shown():
    largest = 2 ** (8 * 1600 - 1) - 1
    for value in (largest, -largest):
        assert decode(encode(value), as_text=True) == value
        assert len(str(10**400 * value)) > 4000


def test_a_value_that_takes_long_is_refused(monkeypatch):
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr("flame_flwr.payload.work.thread_time", lambda: next(clock))
    few, many = [[]] * 100, [[]] * 2_000
    assert decode(forged(few)) == few
    with pytest.raises(PayloadError, match="longer to restore than 10 s, and 1 s for each"):
        decode(forged(many))
    padded = forged([many, [wire.BULK, 0, None]], (np.zeros(64 * 2**20, "u1"),))
    assert decode(padded)[0] == many
