"""The law, for numpy: dtypes, byte order, layout and bits survive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flame_flwr.payload import INLINE_LIMIT, decode, encode, from_record, to_record

PADDED = np.dtype([("a", "i1"), ("b", "<f8"), ("c", ">i2", (2, 3))], align=True)
NESTED = np.dtype([("x", PADDED), (("the title", "y"), "M8[us]"), ("z", "S3"), ("u", "U2")])
OVERLAPPING = np.dtype(
    {"names": ["low", "all"], "formats": ["<u2", "<u4"], "offsets": [0, 0], "itemsize": 6}
)
DTYPES = [
    *"?bBhHiIlLqQefdgFDG",
    ">i2",
    ">f8",
    ">c16",
    "S5",
    "U3",
    ">U3",
    "V7",
    "M8[ns]",
    "M8[25s]",
    ">M8[D]",
    "m8[us]",
    "m8",
    "M8",
    PADDED,
    NESTED,
    OVERLAPPING,
    np.dtype((np.record, [("r", "f4")])),
]


def filled(dtype: object, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(5)
    if dtype.kind == "U":
        return rng.integers(0, 1000, shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    array = np.zeros(shape, dtype)
    if dtype.names is None and dtype.kind != "g" and array.nbytes:
        raw = rng.integers(0, 256, array.nbytes, np.uint8)
        return np.frombuffer(raw.tobytes(), dtype).reshape(shape).copy()
    return array


@pytest.mark.parametrize("size", [3, 3000], ids=["inline", "bulk"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_in_every_layout(dtype, size, same, travel):
    base = filled(dtype, (size, 4))
    layouts = {
        "C": base,
        "F": np.asfortranarray(base),
        "strided": base[::2, 1::2],
        "reversed": base[::-1],
        "transposed": base.T,
        "one axis": base[:, 0],
        "three axes": base.reshape(size, 2, 2).transpose(1, 0, 2),
        "read-only": np.broadcast_to(base[0], (size, 4)),
        "scalar array": base[0, 0, ...],
    }
    result = travel(layouts)

    assert [name for name in layouts if not same(layouts[name], result[name])] == []


@settings(max_examples=40, deadline=None)
@given(
    value=st.one_of(
        npst.arrays(
            st.one_of(
                npst.scalar_dtypes(),
                npst.nested_dtypes(
                    st.one_of(npst.scalar_dtypes(), npst.byte_string_dtypes(max_len=4)),
                    max_leaves=4,
                ),
            ),
            npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        ),
        npst.scalar_dtypes().flatmap(npst.from_dtype),
    )
)
def test_what_is_decoded_is_what_was_encoded(value, same):
    payload = encode({"value": value})
    assert same({"value": value}, decode(payload))
    assert same({"value": value}, decode(from_record(to_record(payload))))


@pytest.mark.parametrize(
    "value",
    [
        *(np.array(5.0), np.array(5), np.empty((0, 7)), np.empty((3, 0, 2), "f4")),
        *(np.zeros(3, dtype=[]), np.zeros(4, "S0"), np.array(["", "abc", "ä"])),
        *(np.array(["a\0b"], "U5"), np.array([np.nan, -0.0, np.inf])),
        np.array([np.datetime64("NaT"), np.datetime64("2020-01-01T00:00")]),
        *(np.zeros((1,) * 32), np.zeros((), "V40000")),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_odd_arrays(value, same, travel):
    assert same(value, travel(value))


@pytest.mark.parametrize(
    "value",
    [
        *(np.bool_(True), np.int8(-3), np.uint64(2**64 - 1), np.longlong(7), np.ulonglong(7)),
        *(np.float16(1.5), np.float32("nan"), np.float64(-0.0), np.longdouble("1.1")),
        *(np.complex64(1 - 2j), np.clongdouble(1 + 3j), np.str_("text\0"), np.str_("")),
        *(np.bytes_(b"raw\0"), np.datetime64("2020-05-01", "D")),
        *(np.datetime64("2020-05-01T03:00:00.123456789"), np.datetime64("NaT")),
        *(np.timedelta64(7, "25s"), np.timedelta64(7), np.void(b"abc"), filled(PADDED, (1,))[0]),
        filled(NESTED, (1,))[0],
    ],
    ids=lambda value: type(value).__name__,
)
def test_scalars(value, same, travel):
    assert same(value, travel(value))


@pytest.mark.parametrize(
    "value",
    [
        *(np.ma.array([1, 2, 3], mask=[0, 1, 0], fill_value=-9), np.ma.array([1.5, 2.5])),
        np.ma.array([1.5, 2.5], mask=False, hard_mask=True),
        np.ma.array(np.arange(6).reshape(2, 3).T, mask=np.eye(3, 2)),
        np.ma.array(np.arange(5000.0), mask=np.arange(5000) % 7 == 0),
        np.ma.array(["a", "bb"], mask=[True, False], fill_value="?"),
        np.ma.array([(1, 2.0)], mask=[(True, False)], dtype=[("a", "i4"), ("b", "f8")]),
        *(np.ma.masked, np.ma.array(3.0, mask=True)),
    ],
    ids=lambda value: f"{type(value).__name__}-{value.dtype}-{value.shape}",
)
def test_masked_arrays(value, same, travel):
    assert same(value, travel(value))


def test_a_memory_map_becomes_an_array(tmp_path, same, travel):
    mapped = np.memmap(tmp_path / "array", "f8", "w+", shape=(50, 60))
    mapped[:] = 3.0
    result = travel([mapped, mapped[:2, :2]])

    assert same([np.full((50, 60), 3.0), np.full((2, 2), 3.0)], result)


def test_where_arrays_go():
    small, large = np.zeros(INLINE_LIMIT, "u1"), np.zeros(INLINE_LIMIT + 1, "u1")

    assert encode(small).arrays == ()
    assert [array.nbytes for array in encode([small, large]).arrays] == [INLINE_LIMIT + 1]
    assert encode([small, large]).nbytes > 2 * INLINE_LIMIT
