"""What the node and a message's process say to each other."""

import socket
import threading
import tracemalloc

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flame_flwr.node import wire


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.settimeout(20)
        yield ours, theirs


def sent(pair, header, bulk=()):
    ours, theirs = pair
    writer = threading.Thread(target=wire.send, args=(ours, header, bulk))
    writer.start()
    frame = wire.receive(theirs)
    writer.join()
    return frame


def test_a_frame_arrives_as_it_was(pair):
    header, bulk = {"a": [1, "ü", b"x", None, 2.5]}, [b"", bytes(3_000_000), b"end"]
    assert sent(pair, header, bulk) == (header, bulk)


@pytest.mark.parametrize("size", [2**63, 2**62])
def test_a_size_that_no_memory_holds_is_refused(pair, size):
    pair[0].sendall(wire._LENGTHS.pack(1, 1) + size.to_bytes(8, "big") + b"\x80")
    with pytest.raises(wire.WireError, match="no memory"):
        wire.receive(pair[1])


def test_records_arrive_with_every_bit(pair):
    content = RecordDict(
        {
            "weights": ArrayRecord([np.arange(6.0).reshape(2, 3), np.array(7, dtype=np.int8)]),
            "none": ArrayRecord(),
            "config": ConfigRecord({"t": "x", "b": b"\0", "i": -(2**62), "l": [1, 2], "y": True}),
            "metrics": MetricRecord({"loss": float("inf"), "n": 3, "all": [0.5]}),
        }
    )
    bulk = []
    header, bulk = sent(pair, {"records": wire.pack_records(content, bulk)}, bulk)
    assert wire.unpack_records(header["records"], bulk) == content


def test_a_large_part_is_held_once(pair):
    part = bytes(40_000_000)
    tracemalloc.start()
    try:
        sent(pair, {}, [part])
        assert tracemalloc.get_traced_memory()[1] < 1.2 * len(part)
    finally:
        tracemalloc.stop()


def test_a_closed_socket_gives_nothing(pair):
    pair[0].close()
    assert wire.receive(pair[1]) is None


def test_a_large_frame_is_refused_unread(pair):
    pair[0].sendall(wire._LENGTHS.pack(1, 1) + (2**60).to_bytes(8, "big"))
    with pytest.raises(wire.WireError, match="at most 1000 may be"):
        wire.receive(pair[1], most=1000)


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\0",
        wire._LENGTHS.pack(2**32 - 1, 0),
        wire._LENGTHS.pack(1, 2**32 - 1),
        wire._LENGTHS.pack(5, 0) + b"\xc1abcd",
        wire._LENGTHS.pack(1, 0) + b"\x01",
        wire._LENGTHS.pack(9, 0) + b"\x81",
    ],
    ids=["cut", "long header", "many parts", "no msgpack", "no mapping", "cut header"],
)
def test_what_is_no_frame_is_refused(pair, raw):
    pair[0].sendall(raw)
    pair[0].close()
    with pytest.raises(wire.WireError):
        wire.receive(pair[1])
