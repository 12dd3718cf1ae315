"""Waiting for calls in threads: order, errors, limits, Ctrl-C."""

import threading

import pytest

from flame_flwr.threads import call_each, interruptibly


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
