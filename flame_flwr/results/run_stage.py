"""What a run does at this moment: set by the loop and by what asks the nodes, read by watchers.

Setting it costs next to nothing, also for a hundred nodes in a round of a millisecond: the answers
so far are those of the round's own record, and nothing is called.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.results.run_record import RoundRecord

__all__ = ["RunStage"]


@dataclass(slots=True)
class RunStage:
    """A run at this moment. Another thread may read it while the run goes on.

    Attributes
    ----------
    doing : {'starting', 'hello', 'round', 'evaluation', 'finishing'}
        Hello is waiting for the nodes; finishing is making and writing the result.
    round : int
        The number of the round under way, or of the last one; 0 before the first.
    since : float
        When this began, in seconds since 1970.
    most : int or None
        How many rounds there are at most, where that is declared.
    expected : int
        How many nodes are waited for at hello.
    here : tuple of str
        The nodes that have said hello.
    missing : tuple of str
        Those expected by name that have not.
    entry : RoundRecord or None
        The record of the round under way: who has answered so far, and who has failed.
    scores : mapping or None
        Of an evaluation under way, the nodes that have answered.
    failed : mapping or None
        Of an evaluation under way, the nodes that have failed.
    asked : mapping or None
        Its values are the nodes that have been asked; ``None`` where one is asked after the other.
    gone : dict of str to str
        Nodes that do not answer any more, and what is known of that.
    silent : tuple of str
        Nodes that should give signs of life, and have not for some seconds.
    signs : dict of str to float
        When a sign of a node was last seen, in seconds since 1970, where it gives any.
    masked : bool
        Whether answers are masked: then nodes say nothing of their time.
    closed : int
        The last round whose record is complete.
    checkpoint : int
        The last round that has been kept; 0 without one.

    Examples
    --------
    >>> stage = RunStage()
    >>> stage.enter("round", 1)
    >>> stage.doing, stage.round
    ('round', 1)
    """

    doing: str = "starting"
    round: int = 0
    since: float = field(default_factory=time.time)
    most: int | None = None
    expected: int = 0
    here: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    entry: RoundRecord | None = None
    scores: Mapping[str, object] | None = None
    failed: Mapping[str, str] | None = None
    asked: Mapping[str, str] | None = None
    gone: dict[str, str] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    signs: dict[str, float] = field(default_factory=dict)
    masked: bool = False
    closed: int = 0
    checkpoint: int = 0

    def enter(self, doing: str, number: int | None = None) -> None:
        """Note that something else begins."""
        # `doing` comes last: whoever looks on between two of these lines must not see the old
        # round's answers as those of what begins.
        self.entry = self.scores = self.failed = None
        self.gone = {}
        self.silent = ()
        self.since = time.time()
        if number is not None:
            self.round = number
        self.doing = doing

    def answers(self) -> dict[str, float | None]:
        """Return who has answered what is under way, with the seconds that it took, where known."""
        # Each attribute is read once, and copied in one step of the interpreter: the loop, in its
        # own thread, may replace it or add to it at any time.
        entry, scores = self.entry, self.scores
        if scores is not None:
            return dict.fromkeys(list(scores))
        if entry is None:
            return {}
        seconds = dict(entry.node_seconds)
        return dict.fromkeys(seconds) if self.masked else dict(seconds)

    def failures(self) -> dict[str, str]:
        """Return who has failed in what is under way, and why in a few words."""
        entry, failed = self.entry, self.failed
        if failed is not None:
            return dict(failed)
        return {} if entry is None else dict(entry.failed)
