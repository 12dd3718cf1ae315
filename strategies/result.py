"""What ``StarStrategy.start`` returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from flwr.serverapp.strategy import Result

from flame_flwr.results.record import RunRecord

__all__ = ["StarResult"]


@dataclass
class StarResult(Result):
    """Flower's ``Result``, with the values.

    Attributes
    ----------
    record : RunRecord
        Nodes, history, last aggregate, evaluations and the final result.
    """

    record: RunRecord = field(default_factory=RunRecord)
