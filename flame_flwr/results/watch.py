"""What may look on while a run goes: a progress bar, a writer of events. Hooks do nothing here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["Watcher", "shielded", "tell", "watching"]


class Watcher:
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
def watching(record: RunRecord, *watchers: Watcher) -> Iterator[None]:
    """Have watchers look on within the block, and close them at its end."""
    record.watchers.extend(watchers)
    try:
        yield
    finally:
        for watcher in watchers:
            with shielded(type(watcher).__name__):
                watcher.close()
            if watcher in record.watchers:
                record.watchers.remove(watcher)


def tell(record: RunRecord, hook: str, *said: Any) -> None:
    """Call a hook of everything that looks on; what cannot look on is left out from then on.

    Parameters
    ----------
    record : RunRecord
        With the watchers.
    hook : str
        Which method of theirs.
    *said
        What it is told.
    """
    for watcher in list(record.watchers):
        went_well = False
        with shielded(type(watcher).__name__):
            getattr(watcher, hook)(*said)
            went_well = True
        if not went_well:
            record.watchers.remove(watcher)
            with shielded(type(watcher).__name__):
                watcher.close()


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
