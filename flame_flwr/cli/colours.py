"""Colours in what others print: kept on a terminal, taken out everywhere else."""

from __future__ import annotations

import os
import re

from flame_flwr.log import is_terminal

__all__ = ["has_colours", "without_colours"]

_ESCAPES = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # colours, and moves of the cursor
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # links and titles
    r"|[@-Z\\-_])"
)


def has_colours() -> bool:
    """Tell whether standard output shows colours: a terminal, and ``NO_COLOR`` is not set."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def without_colours(text: str) -> str:
    r"""Return a text without what a terminal would obey rather than show.

    Examples
    --------
    >>> without_colours("\x1b[92mINFO \x1b[0m: done")
    'INFO : done'
    """
    return _ESCAPES.sub("", text)
