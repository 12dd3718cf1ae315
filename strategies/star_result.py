"""``StarResult``: what the caller of a strategy's ``start`` gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr.serverapp.strategy import Result

from flame_flwr.results.run_record import RunRecord

__all__ = ["StarResult"]


@dataclass
class StarResult(Result):
    """Flower's ``Result``, with the values.

    Attributes
    ----------
    record : RunRecord
        Nodes, history, last aggregate, evaluations and the final result.

    Examples
    --------
    A callback that a strategy's user passes on, or the code after ``start``, reads the record:

    >>> from flame_flwr.results.run_record import RoundRecord, RunRecord
    >>> rounds = [RoundRecord(1), RoundRecord(2, converged=True)]
    >>> result = StarResult(record=RunRecord(nodes=["ward-a"], history=rounds, result=41.5))
    >>> result.record.result, [entry.converged for entry in result.record.history]
    (41.5, [False, True])
    """

    record: RunRecord = field(default_factory=RunRecord)
