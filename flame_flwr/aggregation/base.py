"""The base of aggregations: objects that take the nodes' values and make the aggregate.

A strategy owns messages, waiting and failures; an aggregation owns the arithmetic. One
aggregation lives for one run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.errors import AnswerError

__all__ = [
    "CONVERGED",
    "FINISHED",
    "SIMPLE",
    "Aggregation",
    "Finished",
    "as_aggregation",
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

    Examples
    --------
    >>> Finished(12, converged=True, reason="one round is enough").aggregate
    12
    """

    aggregate: Any
    converged: bool
    reason: str
    change: float | None = None


def unmeasured(reason: str) -> str:
    """Return why an aggregation stops, for a private run: a user's own text may be exact."""
    # only texts of ours hold no figure for certain
    known = reason in ("", SIMPLE, CONVERGED, FINISHED)
    return reason if known else "the aggregation said so"


class Aggregation(ABC):
    """Takes the nodes' values as they arrive and gives one aggregate a round; subclass it.

    :meth:`begin`, :meth:`add` and :meth:`finish` must be written. The rest is optional: what is
    not overridden does nothing, or says that it cannot be done.

    Attributes
    ----------
    reads_only : bool
        Whether values may be read-only views of what arrived. Then nothing of a value may be
        changed, or kept without a copy.

    Examples
    --------
    A strategy's ``make_aggregation`` returns one. This one keeps the largest value and stops after
    two rounds:

    >>> class Largest(Aggregation):
    ...     def begin(self, number):
    ...         self.number, self.largest = number, 0
    ...
    ...     def add(self, node, value):
    ...         self.largest = max(self.largest, value)
    ...
    ...     def finish(self):
    ...         done = self.number == 2
    ...         return Finished(self.largest, done, "two rounds are done" if done else "")
    >>> aggregation = Largest()
    >>> aggregation.begin(1)
    >>> for node, value in {"node-0": 3, "node-1": 8}.items():
    ...     aggregation.add(node, value)
    >>> aggregation.finish()
    Finished(aggregate=8, converged=False, reason='', change=None)
    """

    reads_only: bool = False

    @abstractmethod
    def begin(self, number: int) -> None:
        """Start round `number`, counted from 1."""

    @abstractmethod
    def add(self, node: str, value: Any) -> None:
        """Take one node's value. Nodes come in any order; the aggregate must not show it.

        Raises
        ------
        AnswerError
            The value cannot be merged and nothing of it was: a failure of that node.
        """

    def odd_answers(self) -> dict[str, AnswerError]:
        """Return whose values cannot be merged with the others', and why, by node.

        It is asked once, when all values are there. :meth:`finish` then leaves them out, or
        ``on-failure`` ends the run. By default there are none.
        """
        return {}

    @abstractmethod
    def finish(self) -> Finished:
        """Make the aggregate of what was added since :meth:`begin`."""

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Turn the last aggregate into what is written; `evaluations` in participant order."""
        return aggregate

    def replace(self, aggregate: Any) -> None:  # noqa: B027  (optional)
        """Take this as the last aggregate, where :meth:`finish` compares with that.

        It is an equal one, or a strategy's own in its place. By default nothing is done.
        """

    def save(self) -> bytes | None:
        """Return everything that later rounds need; for :meth:`load` in another process.

        ``None``, as by default: it cannot be saved, and there is no checkpoint of its analysis.
        """
        return None

    def load(self, data: bytes) -> None:  # noqa: B027  (optional)
        """Continue from the state that :meth:`save` returned."""


def as_aggregation(made: Any) -> Aggregation:
    """Return what a strategy made, with the optional methods that it lacks.

    A class of a user's own need not subclass :class:`Aggregation`.
    """
    return made if isinstance(made, Aggregation) else _Completed(made)


class _Completed(Aggregation):
    """An object of a user's own with the required methods, and whichever optional ones it has."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.aggregator = getattr(made, "aggregator", made)
        for name in ("reads_only", "odd_answers", "final", "replace", "save", "load"):
            if hasattr(made, name):
                setattr(self, name, getattr(made, name))

    def begin(self, number: int) -> None:
        self.made.begin(number)

    def add(self, node: str, value: Any) -> None:
        self.made.add(node, value)

    def finish(self) -> Finished:
        return Finished(*self.made.finish())  # a user's own may return a plain tuple
