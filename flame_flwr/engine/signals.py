"""Ending in order: what Ctrl-C does, for a closed terminal and a ``kill`` too."""

from __future__ import annotations

import signal
from typing import NoReturn

__all__ = ["end_in_order"]


def end_in_order() -> None:
    """Make SIGTERM and SIGHUP raise ``KeyboardInterrupt``, so that what was started is ended."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
