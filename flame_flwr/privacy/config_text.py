"""Disclosure rules and filters as text: ``MinCount(5), MaxBins(50)``.

It reads like Python and is not run: names of rules or filters, in them numbers, texts and lists. A
node's config has such text, and those that an analysis declares travel to the node's gate as such.
"""

from __future__ import annotations

import ast
import numbers
import os
import warnings
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.files import reason_of
from flame_flwr.text.suggestions import did_you_mean
from flame_flwr.text.textfiles import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.privacy.disclosure_rule import DisclosureRule
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = [
    "FILTERS",
    "RULES",
    "is_built_in",
    "read_declared_filters",
    "read_declared_rules",
    "read_filters",
    "read_rules",
    "write_text",
]

RULES = ("MaxBins", "MaxRows", "MinCount", "NoisyMinMax", "RowsPerParameter", "Strict")
"""The disclosure rules that a text may name."""

FILTERS = ("Clip", "GaussianNoise", "SparseVector", "TopFraction")
"""The filters that a text may name."""

_UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError)
_LONGEST = 5000
_LONGEST_DECLARED = 200_000
"""A filter may name each of the arrays of a large model."""


class _UnknownError(ValueError):
    """Nothing has this name, which is another party's text."""

    def __init__(self, asked: str) -> None:
        super().__init__("nothing of that name")
        self.asked = asked


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


def is_built_in(each: DisclosureRule | UpdateFilter) -> bool:
    """Tell whether a rule or filter is one that a text may name, and no class of a user's own."""
    from flame_flwr import privacy

    return any(type(each) is getattr(privacy, name) for name in (*RULES, *FILTERS))


def write_text(declared: Iterable[DisclosureRule | UpdateFilter]) -> str:
    """Return the text that is read as these rules or filters, secrets and seeds included.

    Parameters
    ----------
    declared : iterable of DisclosureRule or UpdateFilter
        Built-in ones.

    Examples
    --------
    >>> from flame_flwr.privacy import Clip, GaussianNoise
    >>> write_text([Clip(0.1, keys="coef"), GaussianNoise(1, 2.5, seed=7)])
    "Clip(keys='coef', norm=0.1), GaussianNoise(norm=1, noise_multiplier=2.5, seed=7)"
    """
    return ", ".join(map(_written, declared))


def read_declared_rules(text: str) -> tuple[DisclosureRule, ...]:
    """Return the rules that an analysis declares, from what :func:`write_text` wrote.

    Unlike in a node's config the text is another party's: it is no path, and no error repeats it.

    Raises
    ------
    ConfigError
        It is no such text.
    """
    found: tuple[DisclosureRule, ...] = _declared(text, RULES)
    return found


def read_declared_filters(text: str) -> tuple[UpdateFilter, ...]:
    """Return the filters that an analysis declares, as :func:`read_declared_rules` does rules."""
    found: tuple[UpdateFilter, ...] = _declared(text, FILTERS)
    return found


@lru_cache(maxsize=16)  # every message of a study brings the same text
def _declared(text: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python's, with the text in it
            return tuple(_parsed(text, names, _LONGEST_DECLARED))
    except (ModelError, MemoryError, *_UNREADABLE) as error:
        raise ConfigError(
            "the rules or filters that the analysis declares cannot be read at this node's gate: "
            "both sides must run the same version of flame-flwr",
            detail=f"{type(error).__name__}: {text[:500]}",
        ) from error


def _written(each: DisclosureRule | UpdateFilter) -> str:
    words = []
    for parameter in fields(each):
        value = getattr(each, parameter.name)
        if value != parameter.default:
            words.append(f"{parameter.name}={_plain(value)!r}")
    return f"{type(each).__name__}({', '.join(words)})"


def _plain(value: Any) -> Any:
    """Return a parameter as Python writes it: a number of NumPy's as one of Python's."""
    if isinstance(value, numbers.Integral):
        return value if isinstance(value, bool) else int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return value if value is None or isinstance(value, str) else [str(item) for item in value]


def _read(text: str, what: str, kind: str, names: Sequence[str], example: str) -> list[Any]:
    if os.path.isabs(text.strip()):
        text = _content(text.strip(), what, kind)
    try:
        found = _parsed(text, names, _LONGEST)
    except ModelError as error:
        raise ConfigError(f"{what}: {error.message}", detail=text) from error
    except _UNREADABLE as error:
        meant = did_you_mean(names, error.asked) if isinstance(error, _UnknownError) else ""
        raise ConfigError(
            f"{what} reads like {example}, or is the absolute path of a file that does; the "
            f"{kind}s are {', '.join(names)}{meant and f': {meant}'}",
            detail=text,
        ) from error
    if not found:
        raise ConfigError(f"{what} names no {kind}: leave it out, or name one", detail=text)
    return found


def _parsed(text: str, names: Sequence[str], longest: int) -> list[Any]:
    if len(text) > longest:
        raise ValueError("the text is too long")
    # A line of its own for the bracket: the text may end with a comment.
    tree = ast.parse(f"[{text}\n]", mode="eval").body
    calls = tree.elts if isinstance(tree, ast.List) else [tree]
    return [_made(call, names) for call in calls]


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
    if call.func.id not in names:
        raise _UnknownError(call.func.id)
    if any(word.arg is None for word in call.keywords):  # **{...}
        raise ValueError("a parameter without a name")
    words = {str(word.arg): _value(word.value) for word in call.keywords}
    return getattr(privacy, call.func.id)(*map(_value, call.args), **words)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name | ast.Attribute):
        return ast.unparse(node)
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    return ast.literal_eval(node)
