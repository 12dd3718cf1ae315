"""The texts in ``text-files/``, with their blanks, ``@LIKE_THIS@``, filled in."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files

__all__ = ["fill", "script", "text_file"]

_BLANK = re.compile(r"@([A-Z_]+)@")


def text_file(name: str) -> str:
    """Return a text as it is."""
    return (files("flame_flwr.deploy") / "text-files" / name).read_text("utf-8")


def fill(name: str, **values: str) -> str:
    """Return a text with its blanks filled in."""
    return _BLANK.sub(lambda found: values[found.group(1)], text_file(name))


def script(name: str, **values: str) -> str:
    """Return a shell script, in which every value means itself."""
    return fill(name, **{key: shlex.quote(value) for key, value in values.items()})
