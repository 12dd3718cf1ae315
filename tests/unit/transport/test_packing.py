"""Small messages as one record: nobody but the two ends sees them so."""

import tracemalloc

import msgpack
import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from flame_flwr.clients import NodePlan
from flame_flwr.clients.app import make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import NodeFailedError, PayloadError
from flame_flwr.flower import in_process, message_like
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy
from flame_flwr.transport.packing import (
    PACKED,
    SINGLE,
    WireError,
    is_packed,
    pack,
    packed_as,
    unpack,
    unpack_records,
)

CONTENT = {
    "weights": ArrayRecord([np.arange(6.0).reshape(2, 3), np.array(7, dtype=np.int8)]),
    "none": ArrayRecord(),
    "config": ConfigRecord({"t": "x", "b": b"\0", "i": -(2**62), "l": [1, 2], "y": True}),
    "metrics": MetricRecord({"loss": float("inf"), "n": 3, "all": [0.5]}),
}


def message(**records):
    with in_process(1, 0):
        return Message(RecordDict(records), 7, "train")


@pytest.mark.parametrize("name", [PACKED, SINGLE])
def test_a_packed_message_is_one_record(name):
    sent = message(**CONTENT)
    packed = pack(sent, name)
    assert packed_as(packed) == name
    assert len(packed.content) == 1
    assert packed.metadata is sent.metadata
    assert unpack(packed).content == RecordDict(CONTENT)


@pytest.mark.parametrize(
    "records",
    [
        {"a": ArrayRecord([np.zeros(2**20, np.uint8)])},
        {"a": ConfigRecord({"text": "x" * 2**20})},
        {"a": ConfigRecord({"more than a number of Flower's": 2**70})},
    ],
    ids=["arrays", "text", "number"],
)
def test_what_is_large_is_not_packed(records):
    sent = message(**records)
    assert pack(sent) is sent
    assert unpack(sent) is sent


def forged(**config):
    return message(**{"flame_flwr.packed": ConfigRecord(config)})


@pytest.mark.parametrize(
    "sent",
    [
        forged(),
        forged(records="text"),
        forged(records=bytes(2**20 + 1)),
        forged(records=b"\xc1"),
        forged(records=b"\xdd\xff\xff\xff\xff"),
        forged(records=b"\x91" * 100_000),
        forged(records=b"\xdd\x00\x0f\xff\xff" * 200),
        forged(records=msgpack.packb([[[]] * 1_000_000, []])),
        forged(records=msgpack.packb([{}, []])),
        forged(records=msgpack.packb([[["a", "config", [["k", {}]]]], []])),
        forged(records=msgpack.packb([msgpack.ExtType(1, b""), []])),
        forged(records=msgpack.packb([1, 2])),
        forged(records=msgpack.packb([[["a", "arrays", [["0", "u1", [1], "x", 0]]]], []])),
    ],
    ids=[
        "empty",
        "text",
        "long",
        "no msgpack",
        "cut",
        "deep",
        "long lists",
        "many lists",
        "map",
        "map within",
        "extension",
        "no records",
        "no bytes",
    ],
)
def test_a_forged_message_is_refused(sent):
    with pytest.raises(PayloadError, match="cannot be unpacked"):
        unpack(sent)


@pytest.mark.parametrize("empty", [[], {}])
def test_many_small_parts_take_little_memory(empty):
    sent = forged(records=msgpack.packb([[empty] * 300_000, []]))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="cannot be unpacked"):
            unpack(sent)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


def test_many_small_entries_are_unpacked():
    entries = {f"{n:x}": 1 for n in range(40_000)} | {f"x{n:x}": [] for n in range(5000)}
    sent = message(a=ConfigRecord(entries), b=ArrayRecord([np.array(0, np.int8)] * 1000))
    packed = pack(sent)
    assert is_packed(packed)
    assert unpack(packed).content == sent.content


@pytest.mark.parametrize(
    "described",
    [
        7,
        [["a", "arrays", [["0", "float64", [1], "numpy.ndarray", 5]]]],
        [["a", "pickles", []]],
        [["a", "config", [["k", {"no": "value"}]]]],
        [["a", "metrics", [["k", "text"]]]],
        [[1, "config", []]],
    ],
)
def test_forged_records_are_refused(described):
    with pytest.raises(WireError):
        unpack_records(described, [b"x"])


VALUES = {"node-0": 1.0, "node-1": 10.0}


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return VALUES[self.id] + (aggregator_results or 0)

    def evaluation_method(self, data, aggregator_results):
        return {"score": VALUES[self.id]}


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations == 2


class WatchedGrid(LocalGrid):
    """Notes which messages and replies are packed; the nodes in `old` say nothing of packing."""

    def __init__(self, old=(), damaged=(), **said):
        plan = NodePlan(Analyzer)
        super().__init__(plan, [None, None])
        self.apps = dict.fromkeys(self.apps, make_client_app(plan))
        self.old, self.damaged, self.said = old, damaged, said
        self.seen, self.names = [], set()

    def answer(self, sent):
        node, kind = sent.metadata.dst_node_id, sent.metadata.message_type
        reply = super().answer(sent)
        if kind == "get_properties":
            said = {"packs": node not in self.old, **self.said}
            reply.content["getpropertiesres.properties"].update(said)
        else:
            self.seen.append((node, is_packed(sent), is_packed(reply)))
            self.names.add(packed_as(sent))
        if kind == "train" and node in self.damaged:
            return message_like(reply, forged(records=b"\xc1").content)
        return reply


def run(grid, **config):
    with grid:
        result = StarStrategy(Aggregator, simple_analysis=False).start(
            grid, settings=RunSettings.from_config(config)
        )
    return result.record


def total():
    """What three rounds come to."""
    last = 0
    for _ in range(3):
        last = sum(value + last for value in VALUES.values())
    return last


@pytest.mark.parametrize("old", [(), (2,), (1, 2)])
def test_only_who_says_so_is_sent_packed_messages(old):
    grid = WatchedGrid(old)
    record = run(grid)
    assert record.result == total()
    assert record.evaluations == {node: {"score": value} for node, value in VALUES.items()}
    assert set(grid.seen) == {(node, node not in old, node not in old) for node in (1, 2)}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"gated": True}, SINGLE),
        ({"gated": False}, PACKED),
        ({"gated": True, "versions": '{"flwr": "1.0"}'}, PACKED),
    ],
    ids=["ours", "Flower's", "another Flower"],
)
def test_one_object_travels_between_gated_nodes_alone(said, name):
    grid = WatchedGrid(**said)
    assert run(grid).result == total()
    assert grid.names == {name}


def test_a_damaged_answer_costs_its_sender():
    with pytest.raises(NodeFailedError, match=r"(?s)node-1.*cannot be unpacked"):
        run(WatchedGrid(damaged=(2,)))
    record = run(WatchedGrid(damaged=(2,)), **{"on-failure": "skip", "min-nodes": 1})
    assert list(record.history[0].node_seconds) == ["node-0"]
