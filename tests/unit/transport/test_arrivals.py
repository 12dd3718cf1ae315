"""Replies over a SuperLink: each at its own pace, within its limit, and its own node's failure."""

import hashlib
import json
import time

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.run import Run
from superlink import RemoteGrid, SuperLink

from flame_flwr import flower_objects
from flame_flwr.flower import in_process, set_message_id
from flame_flwr.flower_objects import SMALL, TOO_LARGE, UNREADABLE
from flame_flwr.transport.arrivals import Arrivals
from flame_flwr.transport.wait_for_replies import NO_ANSWER, pull

MB = 2**20


@pytest.fixture
def link():
    with in_process(1, 0):
        yield SuperLink()


def grid_of(link):
    grid = RemoteGrid(link)
    grid.set_run(Run.create_empty(1))
    return grid


def ask(*nodes):
    sent = {}
    for node in nodes:
        message = Message(RecordDict(), node, "train")
        set_message_id(message, f"message-{node}")
        sent[f"message-{node}"] = message
    return sent


def answer(message, *arrays, **said):
    records = {"a": ArrayRecord(list(arrays)), "c": ConfigRecord(said)}
    return Message(RecordDict(records), reply_to=message)


def sha(content):
    return hashlib.sha256(content).hexdigest()


def replaced(link, reply, kind, change):
    """Push a reply of which the objects of one kind are others, with names to fit."""
    link.push(reply)
    envelope, tree = link.replies[reply.metadata.reply_to_message_id]
    new = {}

    def walk(node):
        for child in node.children:
            walk(child)
        content = link.objects[node.object_id]
        for old, name in new.items():
            content = content.replace(old.encode(), name.encode())
        if content.startswith(kind.encode() + b" "):
            content = change(content)
        new[node.object_id] = sha(content)
        node.object_id = new[node.object_id]
        link.objects[node.object_id] = content

    walk(tree)
    envelope.metadata.message_id = tree.object_id


def with_body(change):
    def changed(content):
        head, body = content.split(b"\0", 1)
        kind, children, _ = head.split(b" ")
        body = change(body)
        return b" ".join([kind, children, str(len(body)).encode()]) + b"\0" + body

    return changed


def about(**changes):
    return with_body(lambda body: json.dumps({**json.loads(body), **changes}).encode())


def taken(link, sent, most=64 * MB, timeout=0.5):
    grid = grid_of(link)
    replies = pull(grid, sent, timeout=timeout, what="round 1", arrivals=Arrivals(grid, most))
    return {int(reply.metadata.reply_to_message_id[8:]): reply for reply in replies}


def values(reply):
    return [array.numpy() for array in reply.content["a"].values()]


def test_a_whole_reply_arrives_as_it_was_sent(link):
    sent, array = ask(1), np.arange(300_000.0)
    link.push(answer(sent["message-1"], array, array[:5], n=3))
    found = taken(link, sent)[1]
    assert [each.tolist() for each in values(found)] == [array.tolist(), array[:5].tolist()]
    assert found.content["c"] == {"n": 3}
    assert len(link.confirmed) == 1


def test_a_begun_upload_delays_no_other_reply(link):
    sent = ask(1, 2, 3)
    link.held |= {link.push(answer(sent["message-1"], np.arange(2_000_000.0)))[0]}
    link.push(answer(sent["message-2"], np.arange(4.0)))
    link.push(answer(sent["message-3"], np.arange(5.0)))
    found = taken(link, sent, timeout=0.2)
    assert [values(found[node])[0].tolist() for node in (2, 3)] == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]
    assert found[1].error.code == NO_ANSWER
    assert "no answer within 0 s; " in found[1].error.reason
    assert " parts of it are there: raise `round-timeout`" in found[1].error.reason


def test_a_slow_reply_is_taken_whole(link, monkeypatch):
    monkeypatch.setattr("flame_flwr.flower_objects._HELD", 1000)
    sent, array = ask(1), np.random.default_rng(1).normal(size=4_000_000)
    keys = link.push(answer(sent["message-1"], array))
    link.held = set(keys)
    grid = grid_of(link)
    arrivals = Arrivals(grid, 64 * MB)
    polls = 0
    while not (found := list(arrivals.take(["message-1"]))):
        polls += 1
        if not arrivals.moving:
            link.held.discard(keys[len(link.held) - 1])
    np.testing.assert_array_equal(values(found[0])[0], array)
    assert polls > 4
    assert link.pulled < 2 * array.nbytes + 10_000  # once more at most


def test_the_servers_own_work_costs_no_answer(link):
    sent = ask(1, 2, 3)
    for node in (1, 2):
        link.push(answer(sent[f"message-{node}"], np.arange(4.0)))
    replies = pull(
        grid_of(link), sent, timeout=0.1, what="round 1", arrivals=Arrivals(grid_of(link))
    )
    next(replies)
    time.sleep(0.2)  # the server works on the first one, and meanwhile the third comes
    link.push(answer(sent["message-3"], np.arange(5.0)))
    assert [reply.has_error() for reply in replies] == [False, False]


def test_what_is_there_at_the_limit_is_taken(link):
    sent, array = ask(1), np.random.default_rng(1).normal(size=5 * MB)
    link.push(answer(sent["message-1"], array))
    np.testing.assert_array_equal(values(taken(link, sent, timeout=0.0)[1])[0], array)


def error_of(link, sent, **more):
    reply = taken(link, sent, **more)[1]
    assert reply.has_error()
    return reply.error


def test_a_chunk_named_often_is_too_large(link):
    sent = ask(1)
    reply = answer(sent["message-1"], np.ones(MB // 8))
    replaced(link, reply, "Array", about(arraychunk_ids=[0] * 1500))
    error = error_of(link, sent)
    assert error.code == TOO_LARGE
    assert "more than 64 MB" in error.reason
    assert "raise `max-answer-mb` in the run config" in error.reason
    assert link.pulled < 2 * MB


def test_a_large_reply_is_not_pulled_whole(link):
    sent = ask(1)
    link.push(answer(sent["message-1"], np.random.default_rng(1).normal(size=4 * MB)))
    assert error_of(link, sent, most=8 * MB).code == TOO_LARGE
    assert link.pulled <= 16 * MB


def test_a_large_object_is_refused_unread(link):
    sent = ask(1)
    link.push(answer(sent["message-1"], text="x" * 6 * MB))
    assert error_of(link, sent, most=2 * MB).code == TOO_LARGE
    assert link.pulled < MB


def test_many_small_objects_are_too_many(link):
    sent = ask(1)
    link.push(answer(sent["message-1"], *[np.array([n]) for n in range(300)]))
    assert error_of(link, sent, most=MB).code == TOO_LARGE
    assert link.pulled == 0


def with_ids(link, node, ids):
    """Have a reply name these objects, too."""
    tree = link.replies[f"message-{node}"][1]
    for key in ids:
        tree.children.add().object_id = key


@pytest.mark.parametrize("kind", ["different", "equal"])
def test_a_long_object_list_is_cut(link, kind, monkeypatch):
    looked_at = []
    walk = flower_objects.iterate_object_tree

    def counted(tree):
        for part in walk(tree):
            looked_at.append(part.object_id)
            yield part

    monkeypatch.setattr(flower_objects, "iterate_object_tree", counted)
    sent = ask(1, 2)
    link.push(answer(sent["message-1"], np.arange(4.0)))
    known = link.push(answer(sent["message-2"], np.arange(5.0)))
    ids = (sha(str(n if kind == "different" else 0).encode()) for n in range(100_000))
    with_ids(link, 1, ids)
    found = taken(link, sent, most=MB)
    assert found[1].error.code == TOO_LARGE
    assert values(found[2])[0].tolist() == [0, 1, 2, 3, 4]
    assert len(looked_at) - len(known) <= 4 * (128 + 100) + 1
    assert link.pulled < 10_000


def test_equal_arrays_of_a_reply_arrive(link):
    sent = ask(1)
    link.push(answer(sent["message-1"], *[np.ones(3)] * 200))
    assert len(values(taken(link, sent, most=MB)[1])) == 200


@pytest.mark.parametrize("stalled", [pytest.param((1,), marks=pytest.mark.exhaustive), (1, 2, 3)])
def test_of_many_replies_little_is_held_together(link, monkeypatch, stalled):
    most = 30 * MB
    monkeypatch.setattr("flame_flwr.flower_objects._AT_A_TIME", 1)
    monkeypatch.setattr("flame_flwr.transport.arrivals._HELD_TOGETHER", most)
    sent = ask(1, 2, 3, 4)
    made = {node: np.random.default_rng(node).random(3 * MB) for node in (1, 2, 3, 4)}
    last = {node: link.push(answer(sent[f"message-{node}"], made[node]))[0] for node in made}
    link.held = {last[node] for node in stalled}
    arrivals, found, peak = Arrivals(grid_of(link), most), {}, 0
    for turn in range(100):
        for reply in arrivals.take([key for key in sent if key not in found]):
            found[reply.metadata.reply_to_message_id] = values(reply)[0]
        peak = max(peak, sum(reply.held for reply in arrivals._arriving.values()))
        if turn == 50:
            assert len(found) == 4 - len(stalled)
            link.held.clear()
    assert peak <= most + 25 * MB  # one that goes on beside the others
    for node, array in made.items():
        np.testing.assert_array_equal(found[f"message-{node}"], array)


def test_what_is_beside_arrays_is_small(link):
    sent = ask(1)
    link.push(answer(sent["message-1"], text="x" * (SMALL + 1)))
    assert error_of(link, sent).code == TOO_LARGE


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Array", about(arraychunk_ids=[9])),
        ("Array", about(arraychunk_ids=["0"])),
        ("Array", about(arraychunk_ids=None)),
        ("Array", about(shape=7)),
        ("Array", with_body(lambda body: b"[" * 100_000)),
        ("Array", with_body(lambda body: body.replace(b"[0]", b"[" + b"9" * 5000 + b"]"))),
        ("Array", with_body(lambda body: b"\xff")),
        ("ArrayRecord", with_body(lambda body: b"[]")),
        ("ConfigRecord", with_body(lambda body: b"\xff\xff")),
        ("RecordDict", with_body(lambda body: b'{"a": 1}')),
        ("RecordDict", lambda content: content.replace(b"RecordDict", b"MetricRecord")),
        ("RecordDict", lambda content: b"Nothing" + content),
        ("ArrayChunk", lambda content: b"\0" + content),
        ("Message", with_body(lambda body: b"\x01")),
    ],
)
def test_forged_objects_are_their_nodes_failure(link, kind, change):
    sent = ask(1, 2)
    replaced(link, answer(sent["message-1"], np.ones(3), n=1), kind, change)
    link.push(answer(sent["message-2"], np.arange(4.0)))
    found = taken(link, sent)
    assert found[1].error.code == UNREADABLE
    assert "its answer cannot be put together (" in found[1].error.reason
    assert values(found[2])[0].tolist() == [0, 1, 2, 3]


def test_an_answer_names_no_other_node(link):
    sent = ask(1, 2)
    forged = answer(sent["message-2"], np.ones(3))
    link.push(forged)
    envelope, tree = link.replies.pop("message-2")
    envelope.metadata.reply_to_message_id = "message-1"  # as the SuperLink has checked it
    link.replies["message-1"] = envelope, tree
    found = taken(link, sent, timeout=0.1)
    assert values(found[1])[0].tolist() == [1, 1, 1]
    assert found[2].error.code == NO_ANSWER


def test_a_vanished_object_is_a_lost_answer(link):
    sent = ask(1)
    keys = link.push(answer(sent["message-1"], np.ones(3)))
    del link.objects[keys[0]]
    assert error_of(link, sent).reason == "its answer has not come whole"


def test_arrays_of_equal_chunks_arrive(link):
    sent, arrays = ask(1), [np.zeros(4_000_000), np.zeros(2_000_000)]
    link.push(answer(sent["message-1"], *arrays))
    for found, array in zip(values(taken(link, sent)[1]), arrays, strict=True):
        np.testing.assert_array_equal(found, array)
    assert link.pulled < 24 * MB
