"""Lets a closed terminal and a ``kill`` end the command in order, as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from functools import cache
from typing import NoReturn

__all__ = ["interrupt_on_signals"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def interrupt_on_signals() -> None:
    """Make SIGTERM and SIGHUP raise ``KeyboardInterrupt``, so that what was started is ended.

    In this process only: what user code forks, such as a pool's workers, ends as usual.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    _hold_signals_at_forks()


@cache
def _hold_signals_at_forks() -> None:
    """Do so once: a second time would save the mask of the first, and block them for good."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_block_signals,
            after_in_parent=_unblock_signals,
            after_in_child=_restore_in_child,
        )


_before_fork = threading.local()


def _block_signals() -> None:
    """Keep signals back while a process forks: one before `_restore_in_child` would be lost.

    A pool that ends its workers at once would wait for such a worker for ever.
    """
    _before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _before_fork.mask)


def _restore_in_child() -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)
    _unblock_signals()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
