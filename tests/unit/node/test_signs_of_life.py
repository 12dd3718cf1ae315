"""The signs of life that a node gives to the server: often while it answers a message."""

import threading
import time
from itertools import pairwise

import pytest

from flame_flwr import flower_node
from flame_flwr.flower_node import _prompt, _SignsOfLife

EVERY = 0.02


@pytest.fixture
def signs(monkeypatch):
    """Return what starts a node's signs, and gives the list that they are noted in."""
    monkeypatch.setattr(flower_node, "SIGN_EVERY", EVERY)
    started = []

    def start(busy, fails=()):
        given = []

        def sign():
            given.append(time.monotonic())
            if len(given) in fails:
                raise RuntimeError("the server takes none")
            return True

        started.append(_SignsOfLife(sign, busy))
        started[-1].start()
        return given

    yield start
    for each in started:
        each.stop()


def until(given, count):
    deadline = time.monotonic() + 300
    while len(given) < count:
        assert time.monotonic() < deadline, given
        time.sleep(EVERY)


def test_signs_are_frequent_only_while_busy(signs):
    busy = threading.Event()
    given = signs(busy)
    until(given, 1)
    time.sleep(10 * EVERY)
    assert len(given) == 1  # the next one would be in twenty seconds, as Flower has it
    busy.set()
    until(given, 8)
    busy.clear()
    time.sleep(3 * EVERY)
    before = len(given)
    time.sleep(10 * EVERY)
    assert len(given) == before


def test_a_refused_sign_is_not_the_last(signs, caplog, monkeypatch):
    monkeypatch.setattr(flower_node.constant, "HEARTBEAT_DEFAULT_INTERVAL", 5 + 10 * EVERY)
    busy = threading.Event()
    busy.set()
    given = signs(busy, fails=(2, 3))
    until(given, 6)
    said = "a sign of life was not taken by the server: the server takes none"
    assert caplog.text.count(said) == 2
    # A server that knows the node no more has it warn at Flower's pace, and not every second.
    waits = [after - before for before, after in pairwise(given)]
    assert min(waits[1:3]) > 6 * EVERY


def test_a_node_is_busy_until_it_asks_again(monkeypatch):
    busy, seen, tree = threading.Event(), [], type("Tree", (), {"children": []})()
    messages = iter([None, ("first", tree), ("second", tree)])

    def receive():
        seen.append(busy.is_set())
        return next(messages)

    def connect():
        return flower_node.contextmanager(lambda: iter([(1, receive, *[None] * 6)]))()

    with _prompt(connect, {}, busy)() as (_, take, *_):
        assert [take()[0], busy.is_set(), take()[0]] == ["first", True, "second"]
    assert seen == [False, False, False]
