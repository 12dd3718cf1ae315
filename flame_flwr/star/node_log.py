"""A participant's log: levels of FLAME's log types, heads, lines that are held back."""

from __future__ import annotations

import logging

from flame_flwr.log import logger

__all__ = ["NodeLog"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "normal": logging.INFO,
    "notice": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "alert": logging.ERROR,
    "error": logging.ERROR,
    "emerg": logging.CRITICAL,
    "emergency": logging.CRITICAL,
    "crit": logging.CRITICAL,
    "critical-error": logging.CRITICAL,
}


class NodeLog:
    """Writes a participant's lines to the framework's log, with node and round in front.

    Parameters
    ----------
    node : str
        The participant's id.
    """

    def __init__(self, node: str) -> None:
        self.held_back = ""
        self._node = node
        self._round = 0

    def write(
        self, text: str, log_type: str, *, suppress_head: bool, append: bool, hold_back: bool
    ) -> None:
        """Log a text, or hold it back for the next one; see ``FlameHandle.flame_log``."""
        if hold_back:
            self.flush()  # one text is held at a time
            self.held_back = text
            return
        if append:
            text, self.held_back = self.held_back + text, ""
        else:
            self.flush()
        self._emit(_LEVELS.get(log_type, logging.INFO), text, suppress_head)

    def enter_round(self, number: int) -> None:
        """Set the round that the next lines carry."""
        self.flush()
        self._round = number

    def flush(self) -> None:
        """Log what is held back."""
        if self.held_back:
            text, self.held_back = self.held_back, ""
            self._emit(logging.INFO, text, suppress_head=False)

    def _emit(self, level: int, text: str, suppress_head: bool) -> None:
        if logger.isEnabledFor(level):  # a quiet tester's analyzers may log in every step
            head = "" if suppress_head else f"[{self._node}, round {self._round}] "
            logger.log(level, "%s%s", head, text.removesuffix("\n"))
