"""Everything that a node can send, as changes of an honest answer."""

import json
import sys

import msgpack
import numpy as np
import pandas as pd
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from hypothesis import strategies as st
from msgpack import ExtType, Packer

from flame_flwr.flower import message_like
from flame_flwr.payload import decode, encode, from_record, to_record
from flame_flwr.payload.table import BY_CODE
from flame_flwr.statistics import Histogram, Moments, RowCount, Total

from .forged_estimators import FILES

MODULUS = sys.hash_info.modulus
EDGES = [0, 1, -1, 2**31, 2**62, 2**63 - 1, -(2**63)]
DIGITS = "9" * 5000

numbers = st.one_of(
    st.sampled_from([*EDGES, 0.0, 1e300, -1e-300, float("nan"), float("inf"), 1e-9]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
)
texts = st.one_of(
    st.sampled_from(["", DIGITS, "a" * 30_000, "\x1b[2J", "=1+1", "round 7: all is well\n"]),
    st.text(max_size=20),
)


def nested(depth, kind):
    """Return JSON that is so deep."""
    return '{"filter": ' * depth + "1" + "}" * depth if kind else "[" * depth + "]" * depth


parsed = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
mechanisms = st.fixed_dictionaries(
    {
        "filter": st.sampled_from(["GaussianNoise", "Clip"]),
        "applied": st.one_of(st.booleans(), numbers),
        "answers": numbers,
        "mechanism": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["gaussian", "pure", "none"]),
                "value": numbers,
                "delta": numbers,
            }
        ),
    }
)
reports = st.one_of(
    st.builds(nested, st.sampled_from([800, 3, 100_000]), st.booleans()),
    parsed.map(json.dumps),
    st.lists(mechanisms, max_size=3).map(json.dumps),
    st.sampled_from([DIGITS, f"[{DIGITS}]", '{"flwr": "' + DIGITS + '"}', "[[]]", "NaN"]),
    texts,
)
said = st.one_of(
    numbers,
    texts,
    reports,
    st.booleans(),
    st.binary(max_size=30),
    reports.map(lambda text: text.encode("utf-8", "replace")),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.lists(st.text(max_size=3), max_size=4),
)

# ---- headers -------------------------------------------------------------------------------------


MARKERS = [ExtType(code, b"") for code in BY_CODE] + [ExtType(77, b""), ExtType(1, b"x")]


def mark(code, *parts):
    return [ExtType(code, b""), *parts]


PARTS = [
    *(None, "<f8", "|O", "nan", "D", "W-MON", b"\0" * 8, 2**62, -1, 0, True, [], {}, "csr_array"),
    mark(18, 0, 10**12, 1),
    mark(54, mark(18, 0, 10**9, 1), None),
    mark(54, mark(18, 0, 2**24, 1), None),
    mark(30, "<i8", [1], False, b"\0" * 8),
    mark(30, "|i1", [2], False, b"\0\1"),
    mark(30, "<f8", [2**40], False, b""),
    mark(53, mark(30, "<i8", [1], False, b"\0" * 8), None, None),
    mark(32, "<M8[ns]", b"\0" * 8),
    mark(2, *(mark(7, (7 + n * MODULUS).to_bytes(12, "little")) for n in range(300))),
    mark(31, 0, None),
    mark(31, 1, "<i4"),
]
documents = st.recursive(
    st.one_of(st.sampled_from(PARTS), st.integers(-(2**63), 2**64 - 1), st.text(max_size=3)),
    lambda parts: st.one_of(
        st.builds(lambda mark, rest: [mark, *rest], st.sampled_from(MARKERS), st.lists(parts)),
        st.builds(lambda key, value: {"coef": value, "n": key}, parts, parts),
        st.lists(parts, max_size=3),
    ),
    max_leaves=10,
)


def header(document):
    return Packer(strict_types=True, default=list).pack(["flame", 1, document])


def deep(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES = [
    None,
    range(10**30),
    deep(900),
    {"coef": deep(900), "n": 3},
    {"coef": np.array([np.nan, np.inf, 0.0]), "n": 10},
    {"coef": np.zeros(5), "n": 10},
    {"coef": np.zeros(3, "c16"), "n": 10},
    {"coef": np.array(["a", "b", "c"]), "n": 2},
    {"coef": np.zeros((3, 0)), "n": 2},
    {"coef": np.zeros(3), "n": -1},
    {"coef": np.zeros(3), "n": 10**400},
    {"coef": np.zeros(3), "n": float("nan")},
    {"coef": np.full(3, 1e308), "n": 10**300},
    {"coef": "text", "n": "text"},
    {"coef": {"a": 1.0}, "n": {1, 2}},
    {"n": 3},
    [1, 2, 3],
    {"coef": pd.DataFrame({"a": [1.0]}), "n": 1, "age": RowCount(3)},
    {"coef": np.zeros(3), "n": 1, "age": np.zeros(3)},
    {"coef": np.zeros(3), "n": 1, "age": Moments.from_data([1.0, 2.0])},
    {"coef": np.zeros(3), "n": 1, "age": Histogram.from_data([1.0, 2.0], edges=[0, 1, 5])},
    pd.DataFrame(index=pd.RangeIndex(10**6)),
    pd.MultiIndex.from_product([[1, 2], ["a"]]),
    {(1, 2): {"n": 2**70}, "coef": 2j},
]


def header_array(data):
    return next(iter(ArrayRecord([np.frombuffer(data, np.uint8)]).values()))


RECORDS = [to_record(encode(value)) for value in VALUES]
RECORDS += [ArrayRecord({"0": header_array(header(mark(90, file)))}) for file in FILES]


def damaged(data, places):
    found = bytearray(data)
    for place, byte in places:
        found[place % len(found)] = byte
    return bytes(found)


places = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)


def with_data(array, data):
    return Array(dtype=array.dtype, shape=array.shape, stype=array.stype, data=data)


def npy(text, body=b""):
    text = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


NPY = [
    b"",
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }"),
    npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
    npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 7),
    npy("{'descr': '|V0', 'fortran_order': False, 'shape': (999999999999,), }"),
]


@st.composite
def arrays(draw, record):
    """Change the arrays of an answer: bytes, headers, names, how many there are."""
    found = dict(record)
    key = draw(st.sampled_from(list(found)))
    which = draw(st.integers(0, 7))
    if which == 0:
        found[key] = with_data(found[key], damaged(found[key].data, draw(places)))
    elif which == 1:
        found[key] = with_data(found[key], found[key].data[: draw(st.integers(0, 200))])
    elif which == 2:
        found[key] = with_data(found[key], draw(st.sampled_from(NPY)))
    elif which == 3:
        found.pop(key)
    elif which == 4:
        found[draw(st.sampled_from(["1", "2", "9", "x", "_empty", "-1"]))] = found[key]
    elif which == 5:
        bulk = {str(place): each for place, each in enumerate(list(found.values())[1:], 1)}
        return ArrayRecord({"0": header_array(header(draw(documents))), **bulk})
    elif which == 6:
        place = found["0"].data.index(b"\x93\xa5flame")
        data = found["0"].data
        changed = damaged(data[place + 7 :], draw(places)) if len(data) > place + 7 else b"\0"
        found["0"] = with_data(found["0"], data[: place + 7] + changed)
    else:
        return draw(st.sampled_from(RECORDS))
    return ArrayRecord(found)


@st.composite
def properties(draw, record, more=()):
    """Change what an answer says in words and numbers."""
    found = dict(record)
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.one_of(st.sampled_from([*found, *more]), st.text(max_size=8)))
        if draw(st.integers(0, 5)) == 0:
            found.pop(key, None)
        else:
            found[key] = draw(said)
    return ConfigRecord(found)


BESIDE = ("filters", "disclosure", "failure", "seconds", "size", "loss")
HELLO = ("name", "failure", "wire", "framework", "versions", "states", "findings", "partitions")
HELLO += ("evaluates", "keeps-state", "packs", "clock", "gated", "approval")

odd_records = st.one_of(
    st.just(ConfigRecord({})),
    st.just(MetricRecord({"n": 1})),
    st.just(ArrayRecord([np.zeros(2)])),
    st.dictionaries(st.text(max_size=5), said, max_size=3).map(ConfigRecord),
)
packed = st.one_of(
    st.binary(max_size=60),
    parsed.map(lambda value: msgpack.packb([value, [b"x"]], default=str)),
    st.just(b"\x91" * 5000),
)
errors = st.builds(
    Error, st.sampled_from([0, 1, 2, 5, 8, 9001, 9002, 9003, 12345, -1]), st.one_of(texts, reports)
)


@st.composite
def answers(draw, reply):
    """Return another answer to the same message."""
    content, which = dict(reply.content), draw(st.integers(0, 9))
    names = list(content)
    config = next(name for name in names if isinstance(content[name], ConfigRecord))
    of_arrays = [name for name in names if isinstance(content[name], ArrayRecord)]
    if which == 0:
        return message_like(reply, error=draw(errors))
    if which == 1:
        content.pop(draw(st.sampled_from(names)))
    elif which == 2:
        content[draw(st.sampled_from([*names, "more"]))] = draw(odd_records)
    elif which == 3:
        content = {"flame_flwr.packed": ConfigRecord({"records": draw(packed)})}
    elif which >= 6 and of_arrays:
        content[of_arrays[0]] = draw(arrays(content[of_arrays[0]]))
    else:
        keys = HELLO if "properties" in config else BESIDE
        content[config] = draw(properties(content[config], keys))
    return message_like(reply, RecordDict(content))


def size_of(reply):
    """Return about how many bytes an answer has."""
    if reply.has_error():
        return len(str(reply.error.reason))
    total = 0
    for record in reply.content.values():
        for key, value in record.items():
            total += len(key) + len(value.data if isinstance(value, Array) else str(value))
    return total


# ---- answers that can be read, of another form -------------------------------------------------

leaves = st.one_of(
    st.sampled_from([0, 1.5, True, 2**62, 10**400, 1e308, "text", None, b"x", 2j, DIGITS]),
    st.sampled_from(
        ["<f8", "<f4", "<f2", "<i8", "|u1", "<u8", "<c16", "<c8", "|b1", "<M8[s]"]
    ).flatmap(
        lambda kind: st.sampled_from([(), (0,), (3,), (4,), (3, 1), (3000,)]).map(
            lambda shape: np.ones(shape, kind)
        )
    ),
    st.sampled_from([np.full(3, 1.7e308), np.full(3, 6e4, "f2"), np.full(3, 2**63 - 1)]),
    st.sampled_from([np.full(3000, -1.7e308), np.full(3, 2**64 - 1, "u8"), np.array(["a"])]),
    st.sampled_from([pd.Series([1.0, 2.0]), pd.DataFrame({"a": [1.0], "b": [2j]})]),
    st.sampled_from(
        [
            Total.from_data([1.0]),
            Moments.from_data([1.0, 2.0]),
            Histogram.from_data([1.0], edges=[0, 1, 5]),
            Histogram.from_data([1.0], edges=[0, 2, 5]),
        ]
    ),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["a", "t", 0, 1.0]), inner, max_size=3),
    ),
    max_leaves=4,
)


@st.composite
def other_forms(draw, reply):
    """Return an answer with keys that are missing, or of another form."""
    content = dict(reply.content)
    [name] = [name for name in content if isinstance(content[name], ArrayRecord)]
    found = decode(from_record(content[name]))
    for key in draw(st.lists(st.sampled_from(list(found)), min_size=1, max_size=3)):
        if draw(st.integers(0, 7)) == 0:
            found.pop(key, None)
        else:
            found[key] = draw(values)
    content[name] = to_record(encode(found))
    return message_like(reply, RecordDict(content))


__all__ = ["Message", "answers", "other_forms", "size_of"]
