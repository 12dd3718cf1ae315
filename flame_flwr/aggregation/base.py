"""What a strategy holds: an object that takes the nodes' values and makes the aggregate.

A strategy owns messages, waiting and failures; an aggregation owns the arithmetic. One
aggregation lives for one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "CONVERGED",
    "FINISHED",
    "SIMPLE",
    "Aggregation",
    "Finished",
    "Remembering",
    "Resumable",
    "unmeasured",
]

SIMPLE = "a simple analysis has one round"
CONVERGED = "has_converged returned True"
FINISHED = "the aggregator called node_finished"


class Finished(NamedTuple):
    """The end of a round.

    Attributes
    ----------
    aggregate : Any
        The aggregate.
    converged : bool
        Whether to stop.
    reason : str
        Why; empty where it goes on.
    change : float or None
        By how much the aggregate has changed, as the aggregation measures it: that is what
        ``history.csv`` and the report show. NaN where it measures none in this round; ``None``
        where it never does: then it is the norm of the change of all arrays of floats.
    """

    aggregate: Any
    converged: bool
    reason: str
    change: float | None = None


def unmeasured(reason: str) -> str:
    """Return a reason of an aggregation for a private run: one of a user's own may be exact."""
    known = reason in ("", SIMPLE, CONVERGED, FINISHED)
    return reason if known else "the aggregation said so"


class Aggregation(Protocol):
    """Takes values as they arrive, gives one aggregate a round."""

    def begin(self, number: int) -> None:
        """Start round `number`, counted from 1."""

    def add(self, node: str, value: Any) -> None:
        """Take one node's value. Nodes come in any order; the aggregate must not show it.

        Raises
        ------
        AnswerError
            The value cannot be merged and nothing of it was: a failure of that node.
        """

    def finish(self) -> Finished:
        """Make the aggregate of what was added since :meth:`begin`."""

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Turn the last aggregate into what is written; `evaluations` in participant order."""


@runtime_checkable
class Resumable(Protocol):
    """An aggregation that another run can go on with. Those that cannot keep no checkpoint."""

    def save(self) -> bytes:
        """Return everything that later rounds need; for :meth:`load` in another process."""

    def load(self, data: bytes) -> None:
        """Go on as the aggregation was that :meth:`save` was called on."""


@runtime_checkable
class Remembering(Protocol):
    """An aggregation that compares a round's aggregate with the last one."""

    def replace(self, aggregate: Any) -> None:
        """Take this as the last aggregate: an equal one, or a strategy's own in its place."""
