"""Which node's value has another form than the others', where code of a user's own has raised.

Whether that, or a mistake in the code, is the reason cannot be told: it is only said.
"""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from flame_flwr.aggregation.misfits import PartPath, find_odd
from flame_flwr.text.shown_text import one_line

__all__ = ["other_forms"]

_DEEPEST, _MOST, _LONGEST = 8, 1000, 200
"""Levels and parts of a value that are looked at, and characters of what is said of a part."""


def other_forms(values: Mapping[str, Any]) -> str:
    """Say whose values have other types, keys or shapes than those of most nodes.

    Parameters
    ----------
    values : dict of str to Any
        By node, in participant order.

    Returns
    -------
    str
        Empty where there are none, or where no form is that of most.

    Examples
    --------
    >>> other_forms({"a": {"n": 3}, "b": {"n": "many"}, "c": {"n": 4}})
    'b sent a str as `n`, and a, c a number'
    """
    with suppress(Exception):  # it is about values of any kind, and another error counts
        forms = {node: dict(islice(_forms(each, ()), _MOST)) for node, each in values.items()}
        places = dict.fromkeys(path for each in forms.values() for path in each)
        said = (_said({n: each[p] for n, each in forms.items() if p in each}, p) for p in places)
        return "; ".join(islice(filter(None, said), 3))
    return ""


def _said(forms: dict[str, str], path: tuple[Any, ...]) -> str:
    """Say who is odd at one place, if most are not."""
    found = find_odd(list(forms), {n: {((), path): form} for n, form in forms.items()}, _never)
    if not found or 2 * len(found) >= len(forms):  # of as many as others nobody is odd
        return ""
    where = f" as `{one_line('.'.join(map(str, path)), _LONGEST)}`" if path else ""
    odd = ", ".join(f"{node} sent {forms[node]}{where}" for node in found)
    most = [node for node in forms if node not in found]
    return f"{odd}, and {', '.join(most)} {forms[most[0]]}"


def _never(place: PartPath, form: Hashable) -> bool:
    return False


def _forms(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield the forms of a value and its parts; lists may be of any length."""
    if isinstance(value, Mapping):
        yield path, f"a dict with {one_line(', '.join(sorted(map(str, value))), _LONGEST)}"
    else:
        yield path, _form(value)
    if len(path) < _DEEPEST and isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _forms(value[key], (*path, key))
    elif len(path) < _DEEPEST and isinstance(value, tuple):
        for number, part in enumerate(value):
            yield from _forms(part, (*path, number))


def _form(value: Any) -> str:
    if isinstance(value, numbers.Real):
        return "a number"
    if isinstance(value, np.ndarray):
        kind = "numbers" if value.dtype.kind in "biuf" else str(value.dtype)
        return f"an array of {kind} of shape {value.shape}"
    if hasattr(value, "columns"):
        return f"a table with {one_line(', '.join(map(str, value.columns)), _LONGEST)}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"
