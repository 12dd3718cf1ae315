"""Doing the same for many items at a time, within a bound."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["each"]

_I = TypeVar("_I")
_V = TypeVar("_V")


def each(call: Callable[[_I], _V], items: Sequence[_I], workers: int) -> list[_V]:
    """Call for every item, in threads, and return the values in the items' order.

    Ctrl-C ends the wait, and no thread keeps the process alive: unlike those of
    ``concurrent.futures`` they end with it.

    Parameters
    ----------
    call : callable
        Called with one item; its own waits must be bounded.
    items : sequence
        What to call it with.
    workers : int
        How many at a time.

    Raises
    ------
    Exception
        The first that a call raised; no further item is begun then.
    """
    waiting = iter(range(len(items)))
    values: dict[int, _V] = {}
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
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:
        errors.append(error)
        raise
    if errors:
        raise errors[0]
    return [values[number] for number in range(len(items))]
