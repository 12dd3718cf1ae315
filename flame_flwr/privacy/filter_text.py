"""Filters as text, in a node's config: ``Clip(1.0, keys=coef), TopFraction(0.25)``.

It reads like Python and is not run: names of filters, and in them numbers, texts and lists.
"""

from __future__ import annotations

import ast
from typing import Any

from flame_flwr import privacy
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.privacy.filters import UpdateFilter

__all__ = ["read_filters"]

_NAMES = ("Clip", "GaussianNoise", "SparseVector", "TopFraction")
_LONGEST = 5000


def read_filters(text: str, what: str) -> tuple[UpdateFilter, ...]:
    """Return the filters that a text names.

    Parameters
    ----------
    text : str
        Filters with commas between. A name that is not in quotes stands for itself:
        ``keys=[model.coef, model.intercept]``.
    what : str
        What the text is, for errors.

    Raises
    ------
    ConfigError
        It is no such text, or a filter cannot be as it is written.
    """
    example = f"{what} reads like Clip(1.0, keys=coef), TopFraction(0.25)"
    try:
        if len(text) > _LONGEST:
            raise ValueError("the text is too long")
        tree = ast.parse(f"[{text}]", mode="eval").body
        calls = tree.elts if isinstance(tree, ast.List) else [tree]
        return tuple(_filter(call) for call in calls)
    except ModelError as error:
        raise ConfigError(f"{what}: {error.message}", detail=text) from error
    except (SyntaxError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{example}; the filters are {', '.join(_NAMES)}", detail=text) from error


def _filter(call: ast.expr) -> UpdateFilter:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("no filter")
    if call.func.id not in _NAMES or any(word.arg is None for word in call.keywords):
        raise ValueError("no filter of that name")
    words = {str(word.arg): _value(word.value) for word in call.keywords}
    made: UpdateFilter = getattr(privacy, call.func.id)(*map(_value, call.args), **words)
    return made


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)
