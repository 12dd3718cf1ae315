"""Disclosure rules as text, in a node's config: ``MinCount(5), MaxBins(50), Strict()``.

It reads like Python and is not run: names of rules, and in them numbers and texts.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.privacy import rules
from flame_flwr.privacy.disclosure import DisclosureRule

__all__ = ["NAMES", "read_rules"]

NAMES = ("MaxBins", "MinCount", "NoisyMinMax", "Strict")
_LONGEST = 5000


def read_rules(text: str, what: str) -> tuple[DisclosureRule, ...]:
    """Return the rules that a text names.

    Parameters
    ----------
    text : str
        Rules with commas between; or the absolute path of a file that holds them, and comments
        after ``#``.
    what : str
        What the text is, for errors.

    Raises
    ------
    ConfigError
        It is no such text, a rule cannot be as it is written, or the file cannot be read.
    """
    if os.path.isabs(text.strip()):
        text = _content(text.strip(), what)
    try:
        if len(text) > _LONGEST:
            raise ValueError("the text is too long")
        tree = ast.parse(f"[{text}\n]", mode="eval").body
        calls = tree.elts if isinstance(tree, ast.List) else [tree]
        found = tuple(_rule(call) for call in calls)
    except ModelError as error:
        raise ConfigError(f"{what}: {error.message}", detail=text) from error
    except (SyntaxError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{what} reads like MinCount(5), MaxBins(50), Strict(), or is the absolute path of a "
            f"file that does; the rules are {', '.join(NAMES)}",
            detail=text,
        ) from error
    if not found:
        raise ConfigError(f"{what} names no rule: leave it out, or name one", detail=text)
    return found


def _content(path: str, what: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{what} is the path of a file that cannot be read ({type(error).__name__}), and "
            "without its rules nothing leaves this node",
            detail=path,
        ) from error


def _rule(call: ast.expr) -> DisclosureRule:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("no rule")
    if call.func.id not in NAMES or any(word.arg is None for word in call.keywords):
        raise ValueError("no rule of that name")
    words: dict[str, Any] = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    made: DisclosureRule = getattr(rules, call.func.id)(*map(ast.literal_eval, call.args), **words)
    return made
