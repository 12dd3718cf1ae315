"""Large arrays arrive in one buffer, and a reply that was taken is let go at once."""

import gc
import weakref

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import (
    inflatable_class_registry,
    inflate_object_from_contents,
)

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.flower import in_process, message_like
from flame_flwr.flower_arrays import lean_arrays
from flame_flwr.processes.memory import return_freed_memory
from flame_flwr.star import StarAnalyzer
from flame_flwr.strategies import WeightedFedAvg

RNG = np.random.default_rng(5)
ARRAYS = [
    RNG.normal(size=1_500_000),
    np.zeros(2_000_000),  # all chunks but the last are one object
    np.concatenate([np.zeros(1_310_704), RNG.normal(size=5), np.zeros(1_310_704)]),
    np.arange(3),
    np.zeros((0, 4)),
    np.array(2.5, np.float32),
]


def deflated(array):
    record = ArrayRecord({"a": Array(array)})
    contents = {key: part.deflate() for key, part in get_all_nested_objects(record).items()}
    return record.object_id, contents


@pytest.mark.parametrize("number", range(len(ARRAYS)))
def test_an_array_arrives_as_flower_has_it(number):
    top, contents = deflated(ARRAYS[number])
    theirs = inflate_object_from_contents(top, dict(contents))["a"]
    with lean_arrays():
        ours = inflate_object_from_contents(top, dict(contents))["a"]
    assert type(ours.data) is bytes
    assert ours.data == theirs.data
    assert (ours.dtype, ours.shape, ours.stype) == (theirs.dtype, theirs.shape, theirs.stype)
    np.testing.assert_array_equal(ours.numpy(), ARRAYS[number])
    assert inflatable_class_registry["Array"] is Array


def test_arrays_that_share_a_chunk_arrive_whole():
    """Flower has equal chunks of different arrays as one object."""
    record = ArrayRecord([np.zeros(1_400_000), np.zeros(2_000_000), np.ones(2)])
    contents = {key: part.deflate() for key, part in get_all_nested_objects(record).items()}
    with lean_arrays():
        ours = inflate_object_from_contents(record.object_id, contents)
    for found, sent in zip(ours.values(), record.values(), strict=True):
        assert found.data == sent.data


def test_an_array_of_other_chunks_is_refused():
    _, contents = deflated(ARRAYS[0])
    array_id = next(key for key in contents if contents[key].startswith(b"Array "))
    with lean_arrays(), pytest.raises(ValueError, match="not the chunks"):
        inflatable_class_registry["Array"].inflate(contents[array_id], {})


class Pull(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"model": np.full(2000, data), "local_n_samples": 3}


class Watching(LocalGrid):
    """Knows which of its replies are still held by somebody."""

    seen: list = []
    held: list = []

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        if self.messages[ids[0]].metadata.message_type != "train":
            return super().pull_messages(ids)
        self.held.append(sum(reply() is not None for reply in self.seen))
        replies = [  # apart from what the nodes, in this process, may still hold
            message_like(reply, RecordDict(dict(reply.content)))
            for reply in super().pull_messages(ids)
        ]
        self.seen += [weakref.ref(reply.content) for reply in replies]
        return replies


def test_one_reply_is_held_at_a_time(monkeypatch):
    monkeypatch.setattr(
        "flame_flwr.transport.arrivals._PULLED_AT_ONCE", 1
    )  # so that every reply is large
    grid_class = type("Own", (Watching,), {"seen": [], "held": []})
    gc.collect()
    gc.disable()
    try:
        with grid_class(NodePlan(Pull, data_type="s3"), [1.0, 2.0, 3.0, 4.0]) as grid:
            WeightedFedAvg().start(grid)
    finally:
        gc.enable()
    assert grid.held == [0, 0, 0, 0]


def test_glibc_is_told():
    assert return_freed_memory() in (True, False)
    assert return_freed_memory() is return_freed_memory()


def test_a_message_put_together_is_a_message():
    with in_process(1, 0):
        message = Message(RecordDict({"a": ArrayRecord([ARRAYS[0]])}), 1, "train")
        message.metadata.__dict__["_message_id"] = message.object_id
        parts = {key: part.deflate() for key, part in get_all_nested_objects(message).items()}
        with lean_arrays():
            again = inflate_object_from_contents(message.object_id, parts)
    np.testing.assert_array_equal(again.content["a"]["0"].numpy(), ARRAYS[0])
