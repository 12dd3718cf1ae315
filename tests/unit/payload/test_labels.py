"""Labels of one hash are refused: pandas' tables would compare each with all others."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pandas as pd
import pytest

from flame_flwr.errors import PayloadError
from flame_flwr.payload import Payload, decode, encode

from .forging import forged, wire

COUNT = 20_000
PLACES = np.random.default_rng(3).permutation(COUNT)
MULTIPLIER = 0x5BD1E995
LONG = 60.0
"""Seconds, against hanging."""


def colliding_ints():
    """Numbers that the fold of an int64 brings to zero, one for every upper half."""
    found = []
    for upper in (PLACES + 1).tolist():
        low = upper
        for _ in range(3):
            low = upper ^ (low << 11 & 0xFFFFFFFF)
        found.append(upper << 33 | low)
    return np.array(found, np.int64)


def mixed(word, multiplier=MULTIPLIER):
    word = word * multiplier & 0xFFFFFFFF
    return (word ^ word >> 24) * multiplier & 0xFFFFFFFF


def colliding_floats():
    """For each lower half the upper one that brings Murmur's state to the same."""
    inverse = pow(MULTIPLIER, -1, 2**32)
    found = []
    for lower in PLACES.tolist():
        state = (0xC70F6907 ^ 4) * MULTIPLIER ^ mixed(lower)
        upper = mixed((state * MULTIPLIER ^ 0x40001234) & 0xFFFFFFFF, inverse)
        found.append(upper << 32 | lower)
    numbers = np.array(found, np.uint64).view(np.float64)
    return numbers[np.isfinite(numbers)]


def folded():
    """Python's own hashes of these are different; the halves of each come to the same."""
    return [(place + 1) << 32 | ((place + 1) ^ 12345) for place in PLACES.tolist()]


def texts(lengths=False):
    """Texts in which ``BB`` stands for ``Aa``: 31 times the first letter, plus the second."""
    found = ["".join(pair) for pair in product(("Aa", "BB", "C#"), repeat=9)]
    return [f"{text}\0{place}" for place, text in enumerate(found)] if lengths else found


def texts_without_sign():
    """Texts that have one hash only where C's ``char`` has no sign, as on ARM."""
    return ["".join(pair) for pair in product(("dg?~", "a\x80!"), repeat=13)]


def halves():
    return PLACES + PLACES * 1j


ALIKE = {
    "int64": lambda: pd.Index(colliding_ints()),
    "uint64": lambda: pd.Index(colliding_ints().astype(np.uint64)),
    "other byte order": lambda: pd.Index(colliding_ints().astype(">i8")),
    "float64": lambda: pd.Index(colliding_floats()),
    "complex128": lambda: pd.Index(halves()),
    "complex64": lambda: pd.Index(halves().astype(np.complex64)),
    "nullable ints": lambda: pd.Index(pd.array(colliding_ints(), dtype="Int64")),
    "nullable floats": lambda: pd.Index(pd.array(colliding_floats(), dtype="Float64")),
    "moments": lambda: pd.DatetimeIndex(colliding_ints().view("M8[ns]")),
    "spans": lambda: pd.TimedeltaIndex(colliding_ints().view("m8[ns]")),
    "periods": lambda: pd.PeriodIndex.from_ordinals(colliding_ints(), freq="D"),
    "intervals": lambda: pd.IntervalIndex.from_arrays(colliding_ints() - 1, colliding_ints()),
    "objects": lambda: pd.Index(folded(), dtype=object),
    "texts": lambda: pd.Index(texts()),
    "a column of texts": lambda: pd.Series(texts()),
    "a column of objects": lambda: pd.DataFrame({"a": [*texts(), 7]}, dtype=object),
    "longer texts": lambda: pd.Series([text + 500 * "x" for text in texts()[:3000]]),
    "texts that begin so": lambda: pd.Series(texts(lengths=True)),
    "texts on ARM": lambda: pd.Index(texts_without_sign()),
    "no UTF-8": lambda: pd.Series([f"\ud800{text}" for text in texts()], dtype=object),
    "categories of texts": lambda: pd.Categorical(texts()[:1000]),
    "a column of numbers": lambda: pd.Series(colliding_ints()),
    "a column of a table": lambda: pd.DataFrame({"a": colliding_floats()}).assign(b="x"),
    "a block of numbers": lambda: pd.DataFrame({"a": np.arange(COUNT), "b": colliding_ints()}),
    "a long column": lambda: pd.Series(np.append(colliding_ints(), np.arange(300_000))),
    "float objects": lambda: pd.Index([*map(float, folded())], dtype=object),
}


def plain(payload):
    return Payload(payload.header, payload.arrays)


@pytest.mark.parametrize("kind", ALIKE)
def test_labels_of_one_hash_are_refused(kind):
    payload = encode(ALIKE[kind]())
    started = time.monotonic()
    with pytest.raises(PayloadError, match="all the same hash"):
        decode(plain(payload))
    assert time.monotonic() - started < LONG


NUMBERS = [wire.BULK, 0, None]
HOLDERS = {
    "categories": [
        wire.CATEGORICAL,
        [wire.ARRAY, "|i1", [1], False, b"\0"],
        [wire.INDEX, NUMBERS, None, None],
        False,
    ],
    "levels": [
        wire.MULTI_INDEX,
        [[wire.INDEX, NUMBERS, None, None]],
        [[wire.ARRAY, "|i1", [1], False, b"\0"]],
        [None],
    ],
    "rows": [wire.SERIES, NUMBERS, [wire.INDEX, [wire.BULK, 1, None], None, None], None],
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_whatever_has_such_labels_is_refused(holder):
    numbers = colliding_ints()
    arrays = (np.zeros(COUNT), numbers) if holder == "rows" else (numbers,)
    with pytest.raises(PayloadError, match="all the same hash"):
        decode(forged(HOLDERS[holder], arrays))


HONEST = {
    "a long column": pd.Series(np.arange(300_000) / 7),
    "rare ones in a long column": pd.Series(np.append(colliding_ints()[:100], np.zeros(300_000))),
    "texts": pd.Series([f"patient {place}" for place in range(50_000)]),
    "words": pd.Series([*"abc", None, "Aa", "BB"] * 5000),
    "one long text": pd.Series(["x" * 100_000, *map(str, range(5000))]),
    "one object": pd.Series([7] * 5000, dtype=object),
    "few objects": pd.Series([7, 2.5, None, "x"] * 5000, dtype=object),
    "one moment": pd.DatetimeIndex(["2026-01-01"] * 5000),
    "few numbers": pd.Index([1, 2, 2**40] * 5000),
    "zeros": pd.Index([0.0, -0.0, np.nan] * 5000),
    "days": pd.DatetimeIndex(np.arange(50_000).astype("M8[D]").astype("M8[ns]")),
    "multiples": pd.Index(np.arange(50_000) * 2**32),
    "pairs": pd.Index([a * 2**32 + b for a in range(200) for b in range(200)]),
    "floats": pd.Index(np.arange(50_000) / 4),
    "grid": pd.Index([complex(a, b) for a in range(200) for b in range(200, 400)]),
    "short": pd.Index(colliding_ints()[:60]),
    "intervals": pd.interval_range(0, 5000),
    "equal intervals": pd.IntervalIndex.from_arrays([0, 0, 1] * 3000, [2, 3, 3] * 3000),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_labels_pass(name):
    back = decode(plain(encode(HONEST[name])))
    assert type(back) is type(HONEST[name])
    assert back.equals(HONEST[name])
