"""Settings in words, for a reader who writes no Python: values, names, objects of settings.

What is made here is bounded, on one line, and holds no address, brace or quote of Python's. A
class of settings says itself how it reads, with a text that has its parameters in braces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from flame_flwr.text.shown_text import one_line

__all__ = ["arguments_in_words", "counted", "form_in_words", "member_in_words", "name_in_words"]
__all__ += ["settings_in_words", "value_in_words", "with_article"]

_LONGEST = 300
_MOST = 20
_DEEPEST = 4
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
# `(?<!\w)`: tried at every letter of a long word, one that a stranger sends would take minutes.
_SHAPE = re.compile(r"(?<!\w)(\w+)((?: [a-z][\w\[\]]*)?) [(]((?:\d+(?:, ?|(?=[)])))*)[)]")
_OPENED = re.compile(r"(?<!\w)(\w+)[(]")
_KINDS = {"int": "whole number", "float": "number", "str": "text", "bool": "yes or no"}
_KINDS |= {"NoneType": "nothing", "ndarray": "array", "DataFrame": "table", "Series": "column"}
_KINDS |= {"dict": "named values", "tuple": "list", "frozenset": "set", "complex": "complex number"}
_KIND = re.compile(rf"(?<!\w)({'|'.join(_KINDS)})(?!\w)")
_ELEMENTS = {"float": "numbers", "int": "whole numbers", "uint": "whole numbers", "str": "texts"}
_ELEMENTS |= {"bool": "yes or no", "complex": "complex numbers", "datetime": "times"}
_CLASS = re.compile(r"\b[A-Z][a-z]\w*|\b[a-z]+_\w+")
_NEVER_SAID = ("seed", "secret")
"""Who knows them takes the noise off."""


def counted(number: int, what: str) -> str:
    """Return a number with what it counts.

    Examples
    --------
    >>> counted(1, "node"), counted(12000, "round")
    ('1 node', '12,000 rounds')
    """
    return f"{number:,} {what}{'s'[number == 1 :]}"


def name_in_words(name: str) -> str:
    """Return a name of Python's as words.

    Examples
    --------
    >>> name_in_words("max_rounds"), name_in_words("WeightedMean")
    ('max rounds', 'weighted mean')
    """
    return _BORDER.sub(" ", name).strip().lower()


def member_in_words(name: str, value: object = None) -> str:
    """Return a member of an enum: its value where that is a text, else its name.

    Examples
    --------
    >>> member_in_words("LOW_DOSE", 1), member_in_words("RED", "the red one")
    ('LOW DOSE', 'the red one')
    """
    return one_line(value if isinstance(value, str) and value else name.replace("_", " "), _LONGEST)


def value_in_words(value: Any, depth: int = _DEEPEST) -> str:
    """Return a value in words: of one that is not plain, its kind.

    Examples
    --------
    >>> value_in_words([True, None, 0.25, "sex"])
    'yes, none, 0.25, sex'
    >>> value_in_words({"layers": (8, 4), "eta": 0.1})
    'layers: 8, 4; eta: 0.1'
    >>> value_in_words(lambda row: row)
    'a function'
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, Enum):  # before texts and numbers, which some enums are, too
        # No flag at all has no name.
        return member_in_words(value.name or str(value.value), value.value)
    if isinstance(value, str):
        return one_line(value, _LONGEST) or "empty"
    if isinstance(value, int | float):
        return one_line(f"{value:.6g}" if isinstance(value, float) else value, _LONGEST)
    if isinstance(value, type) or callable(value):
        name = str(getattr(value, "__name__", type(value).__name__))
        return "a function" if "<" in name else one_line(name_in_words(name), _LONGEST)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return (
            f"{with_article(type(value).__name__)} of {_sizes(shape)}"
            if shape
            else one_line(value, _LONGEST)
        )
    if isinstance(value, Mapping) and depth:
        return _joined(
            [f"{_plain(k)}: {value_in_words(v, depth - 1)}" for k, v in _few(value)], ";"
        )
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | range) and depth:
        found = list(value)[: _MOST + 1]  # one more than is shown, to tell that there are more
        nested = any(isinstance(each, Mapping | list | tuple) for each in found)
        return _joined([value_in_words(each, depth - 1) for each in found], ";" if nested else ",")
    if is_dataclass(value):
        return settings_in_words(value)
    return with_article(type(value).__name__)


def arguments_in_words(arguments: Mapping[str, Any]) -> str:
    """Return keyword arguments in words.

    Examples
    --------
    >>> arguments_in_words({"eta": 0.1, "layers": [8, 4], "warm_start": True})
    'eta: 0.1; layers: 8, 4; warm start: yes'
    """
    return _joined([f"{name_in_words(k)}: {value_in_words(v)}" for k, v in _few(arguments)], ";")


def settings_in_words(owner: Any, words: str = "") -> str:
    """Return what an object of settings says of itself.

    Parameters
    ----------
    owner : Any
        An object; of a dataclass its parameters that are not as by default are said, too.
    words : str
        A text of its class, with names of its attributes in braces; without one its class's name.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class OnlyLarge:
    ...     least: int
    ...     seed: int = 0
    >>> settings_in_words(OnlyLarge(100)), settings_in_words(OnlyLarge(100), "{least} or more")
    ('only large (least: 100)', '100 or more')
    """
    if words:
        return re.sub(r"\{(\w+)\}", lambda name: _attribute(owner, name[1]), words)
    name = name_in_words(type(owner).__name__.strip("_"))
    given = {
        each.name: getattr(owner, each.name)
        for each in (fields(owner) if is_dataclass(owner) else ())
        # What a class keeps out of its repr is nothing for a report, either.
        if each.repr and each.name not in _NEVER_SAID and not _is_default(each, owner)
    }
    return f"{name} ({arguments_in_words(given)})" if given else name


def form_in_words(outline: str) -> str:
    """Return the form of a value, as :func:`flame_flwr.payload.outline.outline` has it, in words.

    Examples
    --------
    >>> form_in_words("dict(int, ndarray float64 (1, 30), list(2 x float))")
    'named values (whole number, array of 1 x 30 numbers, list (2 x number))'
    >>> form_in_words("DataFrame (10, 3)"), form_in_words("dict(2 x RowCount)")
    ('table of 10 x 3', 'named values (2 x row count)')
    """
    sized = _SHAPE.sub(_sized, outline)
    kinds = _KIND.sub(lambda found: _KINDS[found[1]], _OPENED.sub(r"\1 (", sized))
    return _CLASS.sub(lambda found: name_in_words(found[0]), kinds)


def _attribute(owner: Any, name: str) -> str:
    return value_in_words(getattr(owner, name, "")) if name not in _NEVER_SAID else ""


def _is_default(each: Any, owner: Any) -> bool:
    default = each.default if each.default_factory is MISSING else each.default_factory()
    try:
        return bool(getattr(owner, each.name) == default)
    except Exception:  # arrays, and what else has no plain answer
        return False


def _few(arguments: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return list(arguments.items())[: _MOST + 1]


def _joined(parts: list[str], sign: str) -> str:
    shown = [*parts[:_MOST], "and more"] if len(parts) > _MOST else parts
    return one_line(f"{sign} ".join(shown), 4 * _LONGEST) or "empty"


def _plain(key: Any) -> str:
    return (
        value_in_words(key)
        if isinstance(key, str | int | float)
        else with_article(type(key).__name__)
    )


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _sized(found: re.Match[str]) -> str:
    """Return what has a shape, with it and what its elements are."""
    sizes = _sizes(tuple(map(int, re.findall(r"\d+", found[3]))))
    kind = re.match(" ([a-z]+)", found[2])
    elements = f" {_ELEMENTS.get(kind[1], 'values')}" if kind else ""
    return f"{found[1]} of {sizes}{elements}" if sizes else f"{found[1]} of one value,{elements}"


def with_article(name: str) -> str:
    """Return the name of a class as one of its kind.

    Examples
    --------
    >>> with_article("LogRank"), with_article("ndarray")
    ('a log rank', 'an array')
    """
    shown = _KINDS.get(name) or name_in_words(name)
    return f"{'an' if shown[:1].lower() in 'aeiou' else 'a'} {shown}"
