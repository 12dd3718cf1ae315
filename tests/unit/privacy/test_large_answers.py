"""The gate reads a large answer in little time, and refuses one that is too large."""

from __future__ import annotations

import time

import msgpack
import pytest

from flame_flwr.errors import PayloadError
from flame_flwr.payload import Payload, decode, encode, opaque
from flame_flwr.payload.opaque import LIMITS, look_into
from flame_flwr.payload.table import PICKLE
from flame_flwr.privacy import (
    MaxBins,
    MaxRows,
    MinCount,
)
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study


def document(value):
    return Payload(msgpack.packb(["flame", 1, value]))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (lambda: document(bytes(2**26)), "67108864 bytes"),
        (
            lambda: Payload(b"\x93\xa5flame\x01\xdd\x00\x24\x9f\x00" + b"\x91\x00" * 0x249F00),
            "2000000 elements",
        ),
        (
            lambda: document([dict.fromkeys(range(200_000))] * 6),
            "takes more memory, or time, than 16 times",
        ),
    ],
)
def test_a_header_that_is_too_large_is_refused(payload, why):
    assert LIMITS.elements == 2_000_000
    large = payload()
    with pytest.raises(PayloadError, match=why):
        look_into(large)


@pytest.mark.parametrize(
    "value",
    [
        [[0] * 4_000] * 6,
        [0] * 20_001,
        dict.fromkeys(range(20_001)),
    ],
    ids=["lists in a list", "a list", "a dict"],
)
def test_all_elements_together_count(value, monkeypatch):
    monkeypatch.setattr(opaque, "LIMITS", LIMITS._replace(elements=20_000))
    with pytest.raises(PayloadError, match="20000 elements"):
        look_into(document(value))


def test_a_million_numbers_pass_every_rule():
    value = [0.5] * 1_000_000
    gate = Gate("a", (MinCount(5), MaxBins(20), MaxRows(5)))
    assert decode(gate.result(encode(value), Study(), 1).payload) == value


@pytest.mark.parametrize("rule", [MinCount(5), MaxBins(20), MaxRows(5)])
@pytest.mark.parametrize(
    "value",
    [
        {3_000_000 * "k": [[[[]]] for _ in range(10_000)]},
        {3_000_000 * "k": {str(n): {"x": {}} for n in range(10_000)}},
    ],
    ids=["lists below a long key", "dicts below a long key"],
)
def test_rules_take_little_time_per_element(rule, value):
    """Time that grows with the length of keys would be half a minute."""
    began = time.process_time()
    Gate("a", (rule,)).result(encode(value), Study(), 1)
    assert time.process_time() - began < 10


def test_of_too_much_nobody_says_what_it_is(monkeypatch):
    monkeypatch.setattr(opaque, "LIMITS", LIMITS._replace(header=2**16))
    marker = b"\xc7\0" + bytes([PICKLE.code])
    with pytest.raises(PayloadError, match="nobody can say whether a pickle is in it"):
        Gate("a").result(document(marker + bytes(2**16)), Study(), 1)
