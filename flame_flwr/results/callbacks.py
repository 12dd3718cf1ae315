"""Callbacks: a progress bar or a writer of events that follows a run.

Nothing that a callback does, or fails to do, changes the run.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["Callback", "notify", "shielded", "with_callbacks"]


class Callback:
    """The base of callbacks: the loop calls its methods, which do nothing here.

    Subclasses override the methods that they need. Callbacks are part of no checkpoint and of no
    result. Whatever they print or write is made of :attr:`RunRecord.public`: the record itself
    also holds what the study hides.

    Examples
    --------
    >>> from flame_flwr.results.run_record import RoundRecord, RunRecord
    >>> class Losses(Callback):
    ...     def finished(self, entry, record):
    ...         print(entry.round, record.public.round(entry).metrics["loss"])
    >>> record = RunRecord(nodes=["hospital-a"])
    >>> with with_callbacks(record, Losses()):
    ...     notify(record, "finished", RoundRecord(1, metrics={"loss": 0.5}), record)
    1 0.5
    """

    def opened(self, record: RunRecord) -> None:
        """Note that the run has begun; its nodes are not known yet."""

    def began(self, record: RunRecord, most: int | None) -> None:
        """Note that the first round is about to begin.

        Parameters
        ----------
        record : RunRecord
            With the nodes.
        most : int or None
            How many rounds there are at most, where that is declared.
        """

    def entered(self, number: int) -> None:
        """Note that a round begins."""

    def answered(self, node: str) -> None:
        """Note that a node's answer to the round was taken, or that the node failed."""

    def finished(self, entry: RoundRecord, record: RunRecord) -> None:
        """Note that a round is over."""

    def evaluated(self, record: RunRecord) -> None:
        """Note that the nodes have scored the last aggregate."""

    def close(self) -> None:
        """Release files and the like: the rounds are over, or one failed. May be called twice."""


@contextmanager
def with_callbacks(record: RunRecord, *callbacks: Callback) -> Iterator[None]:
    """Notify callbacks of a run within the block, and close them at its end."""
    record.callbacks.extend(callbacks)
    notify(record, "opened", record)
    try:
        yield
    finally:
        for callback in callbacks:
            _remove(record, callback)


def notify(record: RunRecord, hook: str, *arguments: Any) -> None:
    """Call a method of every callback; one that raises is left out from then on.

    Parameters
    ----------
    record : RunRecord
        With the callbacks.
    hook : str
        The method's name.
    *arguments
        What the method takes.
    """
    for callback in list(record.callbacks):  # a copy, as one that fails is taken out of it
        went_well = False
        with shielded(type(callback).__name__):
            getattr(callback, hook)(*arguments)
            went_well = True
        if not went_well:
            _remove(record, callback)


def _remove(record: RunRecord, callback: Callback) -> None:
    with shielded(type(callback).__name__):
        callback.close()
    if callback in record.callbacks:  # one that failed has been removed before
        record.callbacks.remove(callback)


class shielded:  # noqa: N801 - reads as a statement, as the standard library's do
    """Log an error in the block and go on: what only shows a run must not end it.

    A class, as a generator takes several times as long, for every node in every round.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        said = self._what, type(error).__name__, error
        logger.error("%s failed (%s: %s); it only shows the run, which goes on", *said)
        return True
