"""Has a node's ledger count an answer, once, before it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.privacy.answer_cost import Cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.clients.reply_way import NodesLedger

__all__ = ["AnswerCount"]


class AnswerCount:
    """The count of one answer.

    Parameters
    ----------
    ledger : NodesLedger or None
        ``None`` where nothing counts answers.
    """

    def __init__(self, ledger: NodesLedger | None) -> None:
        self._ledger = ledger
        self._is_done = False

    def check(self) -> None:
        """See, before the analysis runs, that its answer may leave; raise an error if not."""
        if self._ledger is not None:
            self._ledger.check()

    def add(self, cost: Callable[[], Cost]) -> None:
        """Count the answer, once all is decided that is in it; raise an error if it may not be."""
        if self._ledger is not None:
            self._is_done = True
            self._ledger.charge(cost())

    def settle(self, kind: str | None) -> None:
        """Count an answer that is a failure of the analysis: that it failed says something, too."""
        if not self._is_done and kind in ("round", "evaluation"):
            self.add(Cost)
