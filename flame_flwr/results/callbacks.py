"""What may look on while a run goes: a progress bar, a writer of events. Hooks do nothing here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["Callback", "notify", "shielded", "with_callbacks"]


class Callback:
    """Is told by the one loop how a run goes; what it is told of has happened already.

    Subclasses override what they need. They are part of no checkpoint, and of no result.
    """

    def began(self, record: RunRecord, most: int | None) -> None:
        """Learn which nodes there are.

        Parameters
        ----------
        record : RunRecord
            With the nodes.
        most : int or None
            How many rounds there are at most, where that is declared.
        """

    def entered(self, number: int) -> None:
        """Learn that a round begins."""

    def answered(self, node: str) -> None:
        """Learn that a node's answer to the round was taken, or that it failed."""

    def finished(self, entry: RoundRecord, record: RunRecord) -> None:
        """Learn that a round is over."""

    def evaluated(self, record: RunRecord) -> None:
        """Learn that the last aggregate was scored on the nodes."""

    def close(self) -> None:
        """Learn that the rounds are over, or that one failed. May be called twice."""


@contextmanager
def with_callbacks(record: RunRecord, *callbacks: Callback) -> Iterator[None]:
    """Have callbacks look on within the block, and close them at its end."""
    record.callbacks.extend(callbacks)
    try:
        yield
    finally:
        for callback in callbacks:
            with shielded(type(callback).__name__):
                callback.close()
            if callback in record.callbacks:
                record.callbacks.remove(callback)


def notify(record: RunRecord, hook: str, *said: Any) -> None:
    """Call a hook of everything that looks on; what cannot look on is left out from then on.

    Parameters
    ----------
    record : RunRecord
        With the callbacks.
    hook : str
        Which method of theirs.
    *said
        What it is told.
    """
    for callback in list(record.callbacks):
        went_well = False
        with shielded(type(callback).__name__):
            getattr(callback, hook)(*said)
            went_well = True
        if not went_well:
            record.callbacks.remove(callback)
            with shielded(type(callback).__name__):
                callback.close()


@contextmanager
def shielded(what: str) -> Iterator[None]:
    """Go on where something that only shows a run fails: showing ends no run."""
    try:
        yield
    except Exception as error:
        logger.error(
            "%s failed (%s: %s); it only shows the run, which goes on",
            what,
            type(error).__name__,
            error,
        )
