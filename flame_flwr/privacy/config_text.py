"""Disclosure rules and filters as text in a node's config: ``MinCount(5), MaxBins(50)``.

It reads like Python and is not run: names of rules or filters, in them numbers, texts and lists.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.files import reason_of
from flame_flwr.textfiles import read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.privacy.disclosure_rule import DisclosureRule
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["FILTERS", "RULES", "read_filters", "read_rules"]

RULES = ("MaxBins", "MaxRows", "MinCount", "NoisyMinMax", "Strict")
"""The disclosure rules that a text may name."""

FILTERS = ("Clip", "GaussianNoise", "SparseVector", "TopFraction")
"""The filters that a text may name."""

_LONGEST = 5000


def read_rules(text: str, what: str) -> tuple[DisclosureRule, ...]:
    """Return the disclosure rules that a text names.

    Parameters
    ----------
    text : str
        Rules with commas between; or the absolute path of a file that holds them, and comments
        after ``#``. A name that is not in quotes stands for itself.
    what : str
        What the text is, for errors.

    Raises
    ------
    ConfigError
        It is no such text, a rule cannot be as it is written, or the file cannot be read.
    """
    return tuple(_read(text, what, "rule", RULES, "MinCount(5), MaxBins(50), Strict()"))


def read_filters(text: str, what: str) -> tuple[UpdateFilter, ...]:
    """Return the filters that a text names, as :func:`read_rules` does for rules.

    Lists may be of names, too: ``keys=[model.coef, model.intercept]``.
    """
    return tuple(_read(text, what, "filter", FILTERS, "Clip(1.0, keys=coef), TopFraction(0.25)"))


def _read(text: str, what: str, kind: str, names: Sequence[str], example: str) -> list[Any]:
    if os.path.isabs(text.strip()):
        text = _content(text.strip(), what, kind)
    try:
        if len(text) > _LONGEST:
            raise ValueError("the text is too long")
        tree = ast.parse(f"[{text}\n]", mode="eval").body
        calls = tree.elts if isinstance(tree, ast.List) else [tree]
        found = [_made(call, names) for call in calls]
    except ModelError as error:
        raise ConfigError(f"{what}: {error.message}", detail=text) from error
    except (SyntaxError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{what} reads like {example}, or is the absolute path of a file that does; the "
            f"{kind}s are {', '.join(names)}",
            detail=text,
        ) from error
    if not found:
        raise ConfigError(f"{what} names no {kind}: leave it out, or name one", detail=text)
    return found


def _content(path: str, what: str, kind: str) -> str:
    try:
        return read_text(Path(path))
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else error
        raise ConfigError(
            f"{reason}: {what} is the path of a file that cannot be read "
            f"({type(error).__name__}), and "
            f"without its {kind}s nothing leaves this node",
            detail=path,
        ) from error


def _made(call: ast.expr, names: Sequence[str]) -> Any:
    from flame_flwr import privacy

    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("no call")
    if call.func.id not in names or any(word.arg is None for word in call.keywords):
        raise ValueError("nothing of that name")
    words = {str(word.arg): _value(word.value) for word in call.keywords}
    return getattr(privacy, call.func.id)(*map(_value, call.args), **words)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)
