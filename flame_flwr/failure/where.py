"""Note on exceptions of user code on which node and in which round they were raised."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.notes import LocationNote, add_hint
from flame_flwr.failure.tracebacks import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["where"]


@contextmanager
def where(node: str, what: str) -> Iterator[None]:
    """Add node and round to exceptions that are raised in the block.

    Raises
    ------
    NodeFailedError
        In place of ``sys.exit``, which would end the program with a code of its own.
    """
    try:
        yield
    except SystemExit as error:
        place = place_of(error.__traceback__)
        raise NodeFailedError(
            f"{node}, {what}: user code called sys.exit at {place}; "
            "return a value or raise an error instead"
        ) from error
    except (Exception, KeyboardInterrupt) as error:
        add_hint(error, LocationNote(f"in {node}, {what}"))
        raise
