"""Note on exceptions of user code on which node and in which round they were raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.errors import NodeFailedError
from flame_flwr.failure.notes import LocationNote, add_hint
from flame_flwr.failure.tracebacks import place_of

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["noting_node"]


class noting_node:  # noqa: N801 - reads as a statement, as the standard library's do
    """Add node and round to exceptions that are raised in the block.

    It is a class because a generator takes three times as long, and it runs for every node in
    every round.

    Raises
    ------
    NodeFailedError
        In place of ``sys.exit``, which would end the program with a code of its own.
    """

    __slots__ = ("_node", "_what")

    def __init__(self, node: str, what: str) -> None:
        self._node, self._what = node, what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, SystemExit):
            raise NodeFailedError(
                f"{self._node}, {self._what}: user code called sys.exit at "
                f"{place_of(traceback)}; return a value or raise an error instead"
            ) from error
        if isinstance(error, Exception | KeyboardInterrupt):
            add_hint(error, LocationNote(f"in {self._node}, {self._what}"))
