"""Waiting for other threads: the one place where the framework starts any.

Ctrl-C ends the wait, also for calls into libraries that do not notice it. No thread keeps the
process alive: unlike those of ``concurrent.futures``, these end with it.
"""

from __future__ import annotations

import ctypes
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["call_beside", "call_each", "call_later", "interruptibly", "within"]

_AGAIN = 1.0
"""Seconds until a call that goes on is broken off once more: it may have been in a destructor."""

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


def call_each(
    call: Callable[[_Item], _Value],
    items: Sequence[_Item],
    workers: int,
    seconds: float | None = None,
) -> list[_Value]:
    """Call for every item, several at a time, and return the values in the items' order.

    Parameters
    ----------
    call : callable
        Called with one item, in another thread. Its own waits should be bounded.
    items : sequence
        What to call it with.
    workers : int
        How many at a time.
    seconds : float, optional
        How long to wait for all of them, where the calls' own waits are not bounded.

    Raises
    ------
    TimeoutError
        They have not ended.
    BaseException
        The first that a call raised; no further item is begun then.

    Examples
    --------
    >>> call_each(len, ["a", "bc", "def"], workers=2)
    [1, 2, 3]
    """
    waiting = iter(range(len(items)))
    values: dict[int, _Value] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = None if errors else next(waiting, None)
            if number is None:
                return
            try:
                values[number] = call(items[number])
            except BaseException as error:  # raised again below, in the thread that waits
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(items)))]
    until = None if seconds is None else time.monotonic() + seconds
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError
    except BaseException as error:
        errors.append(error)  # so that no further item is begun
        raise
    if errors:
        raise errors[0]
    return [values[number] for number in range(len(items))]


def call_beside(call: Callable[[], None], name: str) -> threading.Thread:
    """Call something in another thread, which ends with the process.

    Parameters
    ----------
    call : callable
        What to call.
    name : str
        The thread's, for who looks at a process.

    Examples
    --------
    >>> called = threading.Event()
    >>> call_beside(called.set, "an example").join(10)
    >>> called.is_set()
    True
    """
    thread = threading.Thread(target=call, name=name, daemon=True)
    thread.start()
    return thread


def call_later(call: Callable[[], None], seconds: float) -> threading.Timer:
    """Call something in another thread after a time, unless the timer is cancelled before.

    Examples
    --------
    >>> called = threading.Event()
    >>> _ = call_later(called.set, 0.01)
    >>> called.wait(10)
    True
    """
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


def interruptibly(call: Callable[[], _Value], seconds: float | None = None) -> _Value:
    """Wait for one call so that Ctrl-C ends the wait; see :func:`call_each`."""
    return call_each(lambda _: call(), [None], 1, seconds)[0]


def within(call: Callable[[], _Value], seconds: float | None) -> _Value:
    """Call, in this thread, and break the call off where it takes longer.

    For Python code that cannot be asked to stop. A single call into C is waited for.

    Parameters
    ----------
    call : callable
        It must not take a ``BaseException`` for its own.
    seconds : float or None
        How long it may take; ``None`` for as long as it likes.

    Raises
    ------
    TimeoutError
        It has not ended.

    Examples
    --------
    >>> within(lambda: 42, 10)
    42
    """
    if seconds is None:
        return call()
    clock = _Clock(threading.get_ident())
    over: BaseException | None = None
    failed: BaseException | None = None
    # The error may come whenever a function is called or a loop goes on, so that is in a `try` all
    # the way. Once the call is known to have ended there are two at most: one that is on its way,
    # and one that has just been decided on.
    try:
        threading.Thread(target=clock.run, args=(seconds,), daemon=True).start()
        value = call()
        clock.has_ended = True
    except _OverTimeError as error:
        clock.has_ended, over = True, error
    except BaseException as error:
        clock.has_ended, failed = True, error
    try:  # noqa: SIM105  (`suppress` is a call outside)
        clock.take_back()
    except _OverTimeError:
        pass
    try:  # noqa: SIM105
        clock.take_back()
    except _OverTimeError:
        pass
    clock.stopped.set()
    if failed is not None:
        raise failed
    if over is not None:
        raise TimeoutError("the time of a call is over") from over
    return value


class _Clock:
    """Breaks a thread's call off when its time is over, and nothing that the thread does later."""

    def __init__(self, thread: int) -> None:
        self.has_ended = False
        self.stopped = threading.Event()
        self._thread = thread
        self._lock = threading.Lock()

    def run(self, seconds: float) -> None:
        """Wait, and raise the error in the thread until its call has ended."""
        while not self.stopped.wait(min(seconds, threading.TIMEOUT_MAX)):
            with self._lock:
                if not self.has_ended:
                    _raise_in(self._thread, _OverTimeError)
            seconds = _AGAIN

    def take_back(self) -> None:
        """Take back an error that is still on its way; none is decided on meanwhile."""
        with self._lock:
            _raise_in(self._thread, None)


class _OverTimeError(BaseException):
    """Raised in a thread whose time is over; no ``except Exception`` takes it."""


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have an error raised in another thread; ``None`` takes back one that has not been yet."""
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
