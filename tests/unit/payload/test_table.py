"""The one table of the wire format."""

import hashlib
import uuid
from collections import Counter, OrderedDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from operator import attrgetter
from zoneinfo import ZoneInfo

import numpy as np

from flame_flwr.payload import encode
from flame_flwr.payload.table import BY_CODE, ROWS

from .forging import CODES

SAMPLE = [
    {"plain": [None, True, -5, 2.5, "text", b"raw", bytearray(b"own")], (1, "k"): {2}},
    *(frozenset({3}), OrderedDict(a=1), Counter("abb"), defaultdict(list, x=[1])),
    *(2**100, 1 - 2j, Decimal("1.50"), uuid.UUID(int=7), range(0, 9, 2), timedelta(1, 2, 3)),
    datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    *(date(2020, 1, 2), time(3, 4, tzinfo=UTC), np.float32(1.5), np.str_("a"), np.ma.masked),
    np.arange(6, dtype="<i4").reshape(2, 3).T,
    np.ma.array([1, 2], "<i8", mask=[0, 1]),
    np.zeros(2, np.dtype([("a", "i1"), ("b", "<f8", (2,))], align=True)),
    np.zeros(3000),
]


def test_its_bytes_are_those_of_version_1():
    digest = hashlib.sha256(encode(SAMPLE).header).hexdigest()
    assert digest == "6d305dd525022fbdfd5d0849a0dc4658554bc2283eea1a6bb55bed804ae21d06"


def test_a_code_keeps_its_meaning():
    assert sorted(BY_CODE) == sorted(CODES.values())
    assert sum(hasattr(row, "code") for row in ROWS) == len(BY_CODE)


def test_every_type_has_one_row_and_exists():
    types = [each for row in ROWS for each in row.types]
    assert len(types) == len(set(types))
    for name in types:
        if isinstance(name, str):
            module, _, attribute = name.partition(":")
            assert isinstance(attrgetter(attribute)(import_module(module)), type)
