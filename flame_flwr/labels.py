"""Which labels are one: the rule of everything that counts groups or checks codes.

Two labels are *the same* where they have the same `label_key`: numbers by their value, ``1`` and
``1.0``; a text that is how Python writes a number or a bool is that one, ``"0"`` and ``0``,
``"True"`` and ``True``; other texts letter by letter. A yes is no number: ``True`` is not ``1``.

A value that is none of the *declared* labels counts as the one that it is *like*: with other case
or spaces around, ``" F"`` as ``"f"``, or as another spelling of the number, ``"01"`` as ``1``.
Where it is like two of them, as ``"f "`` where both ``"f"`` and ``"F"`` are declared, it is none.

No pandas here: it is imported by what only declares labels.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

__all__ = ["DeclaredLabels", "Label", "LabelKey", "as_python", "is_missing", "label_key"]
__all__ += ["shared_keys"]

Label = str | int | float | bool
LabelKey = tuple[int, Label]

_LONGEST = 300
"""Longer digits are no code, and reading them takes long."""
_WRITTEN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class DeclaredLabels:
    """Labels that were declared, and which of them a value is.

    Parameters
    ----------
    labels : iterable of labels
        If two are the same, the first counts.

    Examples
    --------
    >>> sexes = DeclaredLabels(["f", "m", 0])
    >>> [sexes.find(value) for value in ("f", "M ", "0", 0.0, "x", False)]
    [0, 1, 2, 2, None, None]
    """

    def __init__(self, labels: Iterable[Label]) -> None:
        self._same: dict[LabelKey, int] = {}
        self._like: dict[LabelKey, int | None] = {}
        for place, label in enumerate(labels):
            if self._same.setdefault(label_key(label), place) == place:
                like = _like(label)
                self._like[like] = None if like in self._like else place

    def find(self, value: Any) -> int | None:
        """Return the place of the label that a value is; ``None`` where it fits none."""
        label: Any = as_python(value)
        if type(label) not in (str, int, float, bool):
            return None
        place = self._same.get(label_key(label))
        return self._like.get(_like(label)) if place is None else place


def label_key(label: Label | None) -> LabelKey:
    """Return the key by which labels are compared and sorted; missing values come first.

    Examples
    --------
    >>> label_key(1) == label_key(1.0) == label_key("1"), label_key(1) == label_key(True)
    (True, False)
    """
    if label is None:
        return 0, 0
    if isinstance(label, bool):
        return 1, label
    if not isinstance(label, str):
        return 2, label
    if label in ("True", "False"):
        return 1, label == "True"
    number = _written(label)
    return (3, label) if number is None else (2, number)


def shared_keys(labels: Sequence[Label]) -> list[LabelKey]:
    """Return keys by which labels that are alike are found in two statistics, no two the same.

    Examples
    --------
    >>> shared_keys(["F", "m"]) == shared_keys(["f", "M"])
    True
    """
    alike = [_like(label) for label in labels]
    often = Counter(alike)
    return [
        label_key(label) if often[like] > 1 else like
        for label, like in zip(labels, alike, strict=True)
    ]


def as_python(value: Any) -> Hashable:
    """Return a value as Python's own string, int, float or bool, where it is one; else itself.

    A missing value is ``None``. A float without a fraction becomes an int: pandas makes floats of
    integers where some are missing, so they would differ from node to node.
    """
    if is_missing(value):
        return None
    # by what it has, so that nobody imports NumPy for it
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():  # NumPy's
        value = value.item()
    if type(value) is float and math.isfinite(value) and value.is_integer():
        return int(value)
    return value  # type: ignore[no-any-return]


def is_missing(value: Any) -> bool:
    """Tell whether a value is ``None``, NaN, ``pandas.NA`` or ``NaT``."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return bool(isinstance(value, float) and value != value)


def _written(text: str) -> int | float | None:
    """Return the number in a text; ``None`` where Python would write that number otherwise."""
    match = _WRITTEN.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    if not match[2]:
        return int(text)
    number = float(text)
    if repr(number) != text:
        return None
    return int(number) if number.is_integer() else number


def _like(label: Label) -> LabelKey:
    """Return the key by which labels are alike, whatever their case, outer spaces and spelling."""
    if not isinstance(label, str):
        return label_key(label)
    text = unicodedata.normalize("NFC", label).strip()
    if len(text) <= _LONGEST and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        # digits as an int: as floats, two codes of 17 digits could be one
        digits = text.lstrip("+-")
        number = int(text) if digits.isdigit() else float(text)
        return 2, int(number) if number == int(number) else number
    # anew, as folding may take letters apart: "\u0130" becomes "i" and a dot (Unicode, D145)
    folded = unicodedata.normalize("NFC", text.casefold())
    return (1, folded == "true") if folded in ("true", "false") else (3, folded)
