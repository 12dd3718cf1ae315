"""A small message between a server and our node: one object each way, pushed and pulled once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import PushObjectResponse
from flwr.proto.runtime_pb2 import PushAppMessagesResponse
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.superlink.grid import http_grid
from hanging import HANGS
from superlink import RemoteGrid, SuperLink

from flame_flwr import flower_single_record
from flame_flwr.flower import Run, in_process
from flame_flwr.flower_node import _loop, _prompt
from flame_flwr.flower_node_state import AnsweringState, NodeAnswer
from flame_flwr.flower_objects import UNREADABLE
from flame_flwr.flower_single_record import SINGLE, _push_less, leaving_out_known
from flame_flwr.transport.arrivals import Arrivals
from flame_flwr.transport.packing import PACKED, pack, packed_as
from flame_flwr.transport.wait_for_replies import push


class Link(SuperLink):
    """A SuperLink for both ends, which notes what is pushed and what is pulled."""

    def __init__(self):
        super().__init__()
        self.asked, self.pushed, self.taken = {}, [], []
        self.delays = 0

    def PushMessages(self, request):  # noqa: N802
        trees = request.message_object_trees
        for envelope, tree in zip(request.messages_list, trees, strict=True):
            self.asked[tree.object_id] = envelope, tree
        wanted = [part.object_id for tree in trees for part in iterate_object_tree(tree)]
        return PushAppMessagesResponse(
            message_ids=[tree.object_id for tree in trees], objects_to_push=set(wanted)
        )

    def PushObject(self, request):  # noqa: N802
        self.put(request.object_id, request.object_content)
        return PushObjectResponse(stored=True)

    def put(self, key, content):
        self.pushed.append(key)
        self.objects[key] = content

    def PullObject(self, request):  # noqa: N802
        return self.get(request.object_id) and super().PullObject(request)

    def get(self, key):
        if self.delays:
            self.delays -= 1
            raise ObjectUnavailableError(key)
        self.taken.append(key)
        return self.objects[key]

    @contextmanager
    def connection(self):
        """What Flower's SuperNode asks a server with."""
        run = Run.create_empty(1)
        run.fab_hash = ""
        get_run, get_fab = lambda run_id: run, lambda fab_hash, run_id: Fab("", b"app", {})
        get, put = lambda run_id, key: self.get(key), lambda run_id, session, *each: self.put(*each)
        yield 7, self.next_message, self.send, get_run, get_fab, get, put, lambda run_id, key: None

    def next_message(self):
        envelope, tree = self.asked.popitem()[1]
        return message_from_proto(envelope), tree

    def send(self, message, tree, seconds):
        super().push(message, tree, objects={})
        return {part.object_id for part in iterate_object_tree(tree)}, ""


@pytest.fixture
def link():
    with in_process(1, 0):
        yield Link()


def answered(link, name, change=lambda reply: reply):
    """Ask a node of ours a packed message; return what the server gets."""
    grid = RemoteGrid(link)
    grid.set_run(Run.create_empty(1))
    seen, singles, store = [], {}, ObjectStoreFactory().store()

    def answer(asked):
        seen.append(packed_as(asked.message))
        content = RecordDict({"answer": ConfigRecord({"n": 1})})
        return NodeAnswer(change(pack(Message(content, reply_to=asked.message), name)), None)

    state = AnsweringState(store, answer, lambda context: None, singles)
    state.set_node_id(7)
    run = Run.create_empty(1)
    run.fab_hash = state.store_fab(Fab("", b"app", {}))
    state.store_run(run)
    state.set_run_series_context(run.series_id, Context(1, 7, {}, RecordDict(), {}))
    sent, _ = push(
        grid, [Message(RecordDict({"a": ConfigRecord({"x": 2})}), 7, "train")], "round", {7: name}
    )
    connected = _prompt(link.connection, singles, threading.Event())
    with connected() as (_, receive, send, get_run, get_fab, pull, put, ok):
        taken = _loop._pull_and_store_message(
            state, store, {}, receive, get_run, get_fab, pull, ok, None
        )
        assert taken == 1
        _loop._push_messages(state, store, send, put)
    assert seen == [name]
    assert not any(vars(store)["store"].values())
    [reply] = Arrivals(grid, 2**20).take(list(sent))
    return reply


@pytest.mark.parametrize(("name", "objects"), [(SINGLE, 2), (PACKED, 6)])
def test_of_a_single_record_one_object_travels(link, name, objects):
    reply = answered(link, name)
    assert reply.content["answer"] == {"n": 1}
    assert len(link.pushed) == len(link.taken) == objects
    assert len(link.confirmed) == 1


@pytest.mark.parametrize("name", [SINGLE, PACKED])
def test_a_late_object_is_asked_for_soon(link, name):
    """A message is seen before its sender has pushed all of it; Flower waits a second, then two."""
    link.delays, began = 8, time.monotonic()
    assert answered(link, name).content["answer"] == {"n": 1}
    assert link.delays == 0
    assert time.monotonic() - began < 3


def test_a_single_record_of_another_kind_is_unreadable(link):
    def change(reply):
        reply.content[SINGLE] = ConfigRecord({"records": 3})
        return reply

    reply = answered(link, SINGLE, change)
    assert reply.error.code == UNREADABLE


def test_a_record_beside_others_travels_as_any(link):

    def change(reply):
        reply.content["more"] = ConfigRecord({})
        return reply

    assert answered(link, SINGLE, change).content[SINGLE]
    assert len(link.taken) == 1 + 4


def test_two_runs_pushing_leave_nothing_behind(monkeypatch, link):
    pushed = []
    monkeypatch.setattr(http_grid, "push_objects", lambda objects: pushed.append(set(objects)))
    monkeypatch.setattr(flower_single_record, "_push_less", cache(_push_less.__wrapped__))
    message = Message(RecordDict({SINGLE: ConfigRecord({"x": b"1"})}), 1, "train")
    leaves = [threading.Event(), threading.Event()]
    with ThreadPoolExecutor() as pool:
        ends = []
        for leave in leaves:
            entered = threading.Event()
            ends.append(pool.submit(stay, message, entered, leave))
            assert entered.wait(HANGS)
        for leave, end in zip(leaves, ends, strict=True):  # the first to begin ends first
            leave.set()
            end.result(HANGS)
    objects = get_all_nested_objects(message)
    http_grid.push_objects(dict(objects))
    with leaving_out_known([message]):
        http_grid.push_objects(dict(objects))
    assert [len(keys) for keys in pushed] == [3, 1]


def stay(message, entered, leave):
    with leaving_out_known([message]):
        entered.set()
        assert leave.wait(HANGS)
