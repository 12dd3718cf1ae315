"""Ending in order: what Ctrl-C does, for a closed terminal and a ``kill`` too."""

from __future__ import annotations

import os
import signal
import threading
from typing import NoReturn

__all__ = ["interrupt_on_signals"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP raise ``KeyboardInterrupt``, so that what was started is ended.

    In this process only: what user code forks, such as a pool's workers, ends as usual.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_as_usual)


_held = threading.local()


def _hold() -> None:
    """Keep signals back while a process forks: one that came before `_as_usual` would be lost.

    A pool that ends its workers at once would wait for such a worker for ever.
    """
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _as_usual() -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)
    _release()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
