"""Notes on exceptions: hints of the framework's own, which may travel, and others."""

from __future__ import annotations

from contextlib import suppress

from flame_flwr.log import logger

__all__ = ["Hint", "LocationNote", "NodeOnlyNote", "add_hint", "log_error", "notes_of"]


class Hint(str):
    """A note that the framework adds to an exception. It holds no data, so it may always travel."""


class LocationNote(Hint):
    """A hint that only names the node and the round."""


class NodeOnlyNote(str):
    """A note that may hold names of the node's data: it stays in this process and its log."""


def add_hint(error: BaseException, text: str) -> None:
    """Add a hint to an exception, if the exception accepts notes."""
    with suppress(Exception):
        error.add_note(text if isinstance(text, Hint) else Hint(text))


def notes_of(error: BaseException) -> list[str]:
    """Return an exception's notes, even if user code has replaced them by something odd."""
    with suppress(Exception):
        return [note for note in error.__notes__ if isinstance(note, str)]
    return []


def log_error(error: BaseException, what: str, *values: object) -> None:
    """Log an exception with its traceback, or briefly if Python cannot print that."""
    try:
        logger.error(what, *values, exc_info=error)
    except Exception:
        logger.error(f"{what}: %s", *values, type(error).__name__)
