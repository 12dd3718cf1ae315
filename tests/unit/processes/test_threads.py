"""Waiting for calls in threads: order, errors, limits, Ctrl-C."""

import threading
import time
from contextlib import suppress

import pytest

from flame_flwr.processes import threads
from flame_flwr.processes.threads import call_each, interruptibly, within


def test_values_come_in_the_items_order():
    assert call_each(lambda number: number**2, range(20), workers=4) == [n**2 for n in range(20)]
    assert call_each(len, [], workers=4) == []


def test_the_first_error_is_raised_and_ends_it():
    begun = []

    def call(number):
        begun.append(number)
        raise KeyError(number)

    with pytest.raises(KeyError):
        call_each(call, range(100), workers=1)
    assert begun == [0]


def test_an_endless_call_has_a_limit():
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        interruptibly(ended.wait, seconds=0.01)
    ended.set()


def test_ctrl_c_ends_the_wait_and_the_work(monkeypatch):
    go_on, begun = threading.Event(), []

    def call(number):
        begun.append(number)
        go_on.wait(10)

    def stopped(thread, timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", stopped)
        with pytest.raises(KeyboardInterrupt):
            call_each(call, range(100), workers=2)
    go_on.set()
    assert len(begun) <= 2


def test_without_threads_no_further_item_begins(monkeypatch):
    go_on, begun, start = threading.Event(), [], threading.Thread.start

    def call(number):
        begun.append(number)
        go_on.wait(10)

    def started(thread):
        if begun:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", started)
    with pytest.raises(RuntimeError):
        call_each(call, range(100), workers=100)
    go_on.set()
    time.sleep(0.05)
    assert len(begun) <= 2


def test_a_call_within_its_time_is_not_disturbed():
    assert within(lambda: 42, 10) == within(lambda: 42, None) == 42
    with pytest.raises(KeyError):
        within(lambda: {}["x"], 10)
    assert within(lambda: time.sleep(0.001), 1e12) is None


@pytest.mark.parametrize("where", [lambda call: call(), lambda call: interruptibly(call)])
def test_a_call_over_its_time_is_broken_off(where):
    def endless():
        while True:
            with suppress(Exception):
                sorted(range(100))

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        where(lambda: within(endless, 0.02))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("takes", [0.0005, 0.001, 0.0011, 0.003])
def test_what_comes_after_is_not_broken_off(monkeypatch, takes):
    """Also where a call ends at the very moment at which its time is over."""
    monkeypatch.setattr(threads, "_AGAIN", 0.0001)
    for _ in range(300):
        with suppress(TimeoutError):
            within(lambda: time.sleep(takes), 0.001)
        for _ in range(100):
            sum(range(10))
