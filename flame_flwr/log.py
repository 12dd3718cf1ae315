"""The framework's logger, and the handler that shows it where nobody configured one.

Everything is logged to ``logging.getLogger("flame_flwr")``. A program that configures
logging itself keeps full control; elsewhere :func:`show` prints to standard output,
which Flower's runtimes stream to the analyst or keep in the node's own log.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["handlers", "is_terminal", "logger", "printed", "show", "silent"]

logger = logging.getLogger("flame_flwr")


class _StdoutHandler(logging.Handler):
    """Write to whatever ``sys.stdout`` is at the moment of the record, as ``print`` does."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            # A letter that the terminal does not have must not cost the line.
            text = self.format(record).encode(encoding, "backslashreplace").decode(encoding)
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """Leave plain information unadorned and put the level before everything else."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname}: {text}"


def is_terminal() -> bool:
    """Tell whether standard output is a terminal that shows colours and can be drawn on."""
    try:
        there = sys.stdout.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False
    return there and os.environ.get("TERM") != "dumb"


def show(level: int = logging.INFO) -> None:
    """Print the framework's log to standard output unless logging is configured already.

    Parameters
    ----------
    level : int
        The least level shown, one of :mod:`logging`'s.
    """
    if not logger.hasHandlers():
        logger.addHandler(_new_handler())
        logger.propagate = False  # a handler that the root gets later would print all of it twice
    if logger.level == logging.NOTSET:
        logger.setLevel(level)


@contextmanager
def printed() -> Iterator[None]:
    """Print the framework's log within the ``with`` block, also where logging is configured.

    Somebody has asked for it. Where a handler prints it already, nothing is printed twice.
    """
    before, handler = logger.level, None
    if not logger.isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.DEBUG)
    if not any(map(_prints, handlers())):
        handler = _new_handler()
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        if handler is not None:
            logger.removeHandler(handler)


@contextmanager
def silent() -> Iterator[None]:
    """Hold back everything below a warning within the ``with`` block."""
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


def _new_handler() -> logging.Handler:
    handler = _StdoutHandler()
    handler.setFormatter(_Formatter("%(message)s"))
    return handler


def handlers() -> Iterator[logging.Handler]:
    """Give the handlers that get the framework's log."""
    at: logging.Logger | None = logger
    while at is not None:
        yield from at.handlers
        at = at.parent if at.propagate else None


def _prints(handler: logging.Handler) -> bool:
    """Tell whether a handler shows information to whoever sits at the terminal."""
    if handler.level > logging.INFO:
        return False
    if isinstance(handler, logging.StreamHandler):
        return handler.stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, _StdoutHandler) or hasattr(handler, "console")  # Rich's
