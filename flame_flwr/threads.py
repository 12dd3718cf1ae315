"""Waiting for other threads: the one place where the framework starts any.

Ctrl-C ends the wait, also for calls into libraries that do not notice it. No thread keeps the
process alive: unlike those of ``concurrent.futures``, these end with it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["call_each", "interruptibly"]

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
    for thread in threads:
        thread.start()
    try:
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


def interruptibly(call: Callable[[], _Value], seconds: float | None = None) -> _Value:
    """Wait for one call so that Ctrl-C ends the wait; see :func:`call_each`."""
    return call_each(lambda _: call(), [None], 1, seconds)[0]
