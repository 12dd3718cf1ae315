"""Bulk is not copied on the way in; what comes out shares memory with nothing."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from flame_flwr.payload import decode, encode

LARGE = np.arange(20_000.0)


def arrays_in(value):
    """Yield every numpy array that a decoded value is made of."""
    if isinstance(value, np.ma.MaskedArray):
        yield from (value.data, np.ma.getmask(value))
    elif isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from arrays_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from arrays_in(item)
    elif sp.issparse(value):
        yield from (value.data, value.indices, value.indptr)


VALUES = {
    "small": np.arange(5.0),
    "large": LARGE,
    "strided": LARGE[::2],
    "by columns": np.asfortranarray(LARGE.reshape(100, 200)),
    "read-only": np.broadcast_to(np.float64(3), (5000,)),
    "structured": np.zeros(4000, [("a", "f8"), ("b", "i2")]),
    "small structured": np.zeros(4, [("a", "f8"), ("b", "i2")]),
    "zero axes": np.array(3.0),
    "in a tuple": [(LARGE, np.arange(3))],
    "masked": np.ma.array(LARGE, mask=LARGE > 5),
    "sparse": sp.random_array((300, 300), density=0.2, format="csr", rng=1),
}


@pytest.mark.parametrize("name", [name for name in VALUES if name not in ("masked", "sparse")])
def test_arrays_that_are_decoded_own_their_memory(name, travel):
    value = {"value": VALUES[name]}
    for original, array in zip(arrays_in(value), arrays_in(travel(value)), strict=True):
        assert array.flags.owndata
        assert array.flags.writeable
        assert not np.shares_memory(original, array)


@pytest.mark.parametrize("name", VALUES)
def test_two_receivers_share_nothing(name):
    payload = encode(VALUES[name])
    first, second = decode(payload), decode(payload)

    for one, other in zip(arrays_in(first), arrays_in(second), strict=True):
        assert one.flags.writeable
        assert not np.shares_memory(one, other)


def test_large_arrays_are_encoded_without_a_copy():
    frame = pd.DataFrame(np.zeros((4000, 3)))
    value = [
        LARGE,
        LARGE[::2],
        np.asfortranarray(LARGE.reshape(100, 200)),
        np.zeros(4000, [("a", "f8"), ("b", "i2")]),
        frame,
    ]
    payload = encode(value)

    originals = [*value[:4], frame.to_numpy()]
    for original, array in zip(originals, payload.arrays, strict=True):
        assert np.shares_memory(original, array)


def test_coding_takes_no_memory_beyond_the_result():
    array = np.ones(2_500_000)
    tracemalloc.start()
    try:
        payload = encode({"array": array})
        encoding = tracemalloc.get_traced_memory()[1]
        decode(payload)
        decoding = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert encoding < 100_000
    assert decoding < array.nbytes + 100_000


def test_columns_can_be_written_and_are_unshared():
    frame = pd.DataFrame({"a": LARGE, "b": LARGE + 1, "c": np.arange(20_000), "d": "text"})
    payload = encode(frame)
    first, second = decode(payload), decode(payload)
    first.loc[0, ["a", "c"]] = 77

    assert second.loc[0, "a"] == frame.loc[0, "a"] == 0.0
    assert not np.shares_memory(frame["a"].to_numpy(), first["a"].to_numpy())


def test_lists_and_dicts_are_new(travel):
    value = {"list": [1, {"inner": []}]}
    result = travel(value)
    result["list"][1]["inner"].append(2)

    assert value == {"list": [1, {"inner": []}]}


def test_columns_that_were_not_selected_do_not_travel():
    table = np.zeros(3, [("age", "i4"), ("name", "S12")])
    table["name"] = b"Mrs Jones"

    for value in (table[["age"]], table[["age"]][0], np.repeat(table, 1000)[["age"]]):
        payload = encode(value)
        everything = payload.header + b"".join(array.tobytes() for array in payload.arrays)
        assert b"Jones" not in everything
        assert (decode(payload)["age"] == value["age"]).all()


def test_what_is_under_a_mask_does_not_travel():
    counts = np.ma.masked_less(np.array([3, 120, 4, 80]), 5)
    result = decode(encode(counts))

    assert result.data.tolist() == [0, 120, 0, 80]
    assert result.sum() == counts.sum()
    assert counts.data.tolist() == [3, 120, 4, 80]


def test_rows_that_were_sliced_away_do_not_travel(travel):
    base = np.arange(30_000.0)
    payload = encode(base[:3])

    assert payload.nbytes < 100
    assert encode(pd.Series(base)[:3]).nbytes < 200
