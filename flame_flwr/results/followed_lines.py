"""The lines of the log by which a run elsewhere is followed: one class writes and reads each.

The log is all that a SuperLink sends an analyst of a run. ``live.json`` says more, and is on the
server's host, or in a store that this machine may have no key for. So ``submit`` and ``--simulate``
take their progress bar, and what they say of a run that was stopped, from these lines. The law:
``parse_line(str(line)) == line``, but for a metric whose name looks like a number and a reason
(``"at 3: loss"``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import ClassVar, Self

__all__ = ["ApprovalLine", "FolderLine", "ParticipantsLine", "ResultsLine", "RoundLine"]
__all__ += ["parse_line"]

_COLOUR = r"(?:\x1b\[[0-9;]*m)*"
_LEVEL = re.compile(rf"{_COLOUR}(?:INFO *{_COLOUR}:(?:flame_flwr:)? *)?")
"""Flower's, or that of :func:`logging.basicConfig`; mostly there is none. What user code says has
its node and round there, so that it is never taken for one of these lines."""

_PLACE = r"(?P<place>(?:/|\w+://).*)"
_TABLE = r"(?: \(with a table of (?P<table>[^)]*)\))?"
_METRICS = r"(?:, (?P<metrics>.*?(?: [-+.e\d]+|\)|nan|inf|more)))?"
"""They end with a number, a range or ``and 2 more``: a name may hold ``": "``, as a reason may."""
_REASON = r"(?:: (?P<reason>.*))?"


class _Line:
    """A line with a pattern that has a group for each of its fields."""

    PATTERN: ClassVar[re.Pattern[str]]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what a line without its level says; ``None`` where it is of another kind."""
        found = cls.PATTERN.fullmatch(text)
        if found is None:
            return None
        kinds = {field.name: _KINDS[str(field.type)] for field in fields(cls)}  # type: ignore[arg-type]
        # A group that had no part in the match is None.
        return cls(**{name: kind(found[name] or "") for name, kind in kinds.items()})


# With `from __future__ import annotations` a field's type is its text.
_KINDS = {"int": int, "float": float, "str": str}


@dataclass(frozen=True, slots=True)
class FolderLine(_Line):
    """Log line with the folder of the run's files; written before the first round."""

    PATTERN = re.compile(rf"the run's files go into {_PLACE}")
    place: str

    def __str__(self) -> str:
        return f"the run's files go into {self.place}"


@dataclass(frozen=True, slots=True)
class ParticipantsLine(_Line):
    """How many nodes there are, and which; said when the first round begins."""

    PATTERN = re.compile(r"(?P<count>\d+) nodes? takes? part: (?P<names>.*)")
    count: int
    names: str

    def __str__(self) -> str:
        who = "1 node takes" if self.count == 1 else f"{self.count} nodes take"
        return f"{who} part: {self.names}"


@dataclass(frozen=True, slots=True)
class ApprovalLine(_Line):
    """Whether a node may run the app; said where the nodes are only asked for that.

    Attributes
    ----------
    state : str
        ``given``, or in one word why not.
    node : str
        Its name.
    """

    PATTERN = re.compile(r"approval (?P<state>[a-z]+): (?P<node>.+)")
    state: str
    node: str

    def __str__(self) -> str:
        return f"approval {self.state}: {self.node}"


@dataclass(frozen=True, slots=True)
class RoundLine(_Line):
    """A finished round.

    Attributes
    ----------
    round : int
        From 1.
    answered, nodes : int
        How many nodes answered, of how many.
    seconds : float
        How long the round took, to the hundredth.
    received : str
        The size of all answers.
    table : str
        The size of a table that left a node; empty without one.
    metrics : str
        What :func:`~flame_flwr.results.metric_means.summary` says; empty without any.
    reason : str
        Why the run stopped here; empty where it went on.
    """

    PATTERN = re.compile(
        r"round (?P<round>\d+): (?P<answered>\d+) of (?P<nodes>\d+) nodes, "
        r"(?P<seconds>[0-9.]+) s, (?P<received>[\w .]+) received"
        rf"{_TABLE}{_METRICS}{_REASON}"
    )
    round: int
    answered: int
    nodes: int
    seconds: float
    received: str
    table: str = ""
    metrics: str = ""
    reason: str = ""

    def __str__(self) -> str:
        counts = f"round {self.round}: {self.answered} of {self.nodes} nodes"
        table = f" (with a table of {self.table})" if self.table else ""
        metrics = f", {self.metrics}" if self.metrics else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{counts}, {self.seconds:.2f} s, {self.received} received{table}{metrics}{reason}"


@dataclass(frozen=True, slots=True)
class ResultsLine(_Line):
    """Log line with the place of the results; written when the run is over."""

    PATTERN = re.compile(rf"results in {_PLACE}")
    place: str

    def __str__(self) -> str:
        return f"results in {self.place}"


FollowedLine = ApprovalLine | FolderLine | ParticipantsLine | RoundLine | ResultsLine


def parse_line(text: str) -> FollowedLine | None:
    """Return what a line of the log says of the run; ``None`` where it is another line.

    Examples
    --------
    >>> parse_line("INFO :      2 nodes take part: a, b")
    ParticipantsLine(count=2, names='a, b')
    >>> parse_line("[node-0, round 1] 2 nodes take part: a, b")
    """
    own = _LEVEL.sub("", text, count=1).rstrip()
    line: FollowedLine | None
    # The most frequent one first.
    for kind in (RoundLine, ParticipantsLine, FolderLine, ResultsLine, ApprovalLine):
        if line := kind.parse(own):
            return line
    return None
