"""The fields of an answer: what is summed of it, each with its key, shape, type and grid.

They follow from the declaration and from the forms of an answer, and are the same at every node.
Their list is hashed into the masks, so two nodes that sum different things do not cancel.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.aggregation.grid import COUNTS, MODELS, STATISTICS, Grid
from flame_flwr.aggregation.pytree import names_of
from flame_flwr.errors import DataError, PayloadError
from flame_flwr.privacy.secure.forms import (
    is_whole,
    shapes_of,
    sorted_keys,
    spec_of,
    structure_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from flame_flwr.privacy.secure.declaration import SecureDeclaration, SecureLeaf

__all__ = ["ONE", "Field", "difference", "fields_of", "runs_of", "size_of", "views_of"]


class Field(NamedTuple):
    """One sum of an answer.

    Attributes
    ----------
    key : str
        Its place in the answer.
    shape : tuple of int
        The shape of its numbers.
    type : str
        The type of its numbers, and the key of their weight.
    grid : Grid
        The grid that they are summed on.
    """

    key: str
    shape: tuple[int, ...]
    type: str
    grid: Grid

    @property
    def words(self) -> int:
        """How many 64-bit words it takes."""
        return math.prod(self.shape) * self.grid.words_each


_MOST_OF_A_STATISTIC = 2**24
"""Numbers of one statistic. A form that says more is forged."""

_MOST_WORDS = 2**32
"""Words of an answer: 32 GiB."""

_TWO_PLACES = (
    "is two places of what is summed, as with the keys {'a.b': ..., 'a': {'b': ...}} or "
    "{1: ..., '1': ...}: nodes could be asked for different ones. Rename one of them"
)

ONE = Field("", (), "int", COUNTS)
"""The first of every answer, a 1: where masks cancel, the sum of these is the number of answers."""


def fields_of(declared: SecureDeclaration, forms: Sequence[Any]) -> tuple[Field, ...]:
    """Return all sums of answers of these forms, in their order.

    Raises
    ------
    PayloadError
        They are no forms of this declaration.
    """
    if not isinstance(forms, list) or len(forms) != len(declared.leaves):
        raise PayloadError("the forms of a secure sum are not those of its declaration")
    fields = [ONE]
    for leaf, form in zip(declared.leaves, forms, strict=True):
        try:
            fields += _fields(leaf, form)
        except (TypeError, ValueError, LookupError, RecursionError, DataError) as error:
            raise PayloadError(
                f"key {leaf.name}: this is not the form of a secure sum", detail=str(error)
            ) from error
    # Only the key of a field is hashed. Of two places with one key a server could ask one node for
    # its numbers, and the others for some that everybody knows.
    keys = Counter(field.key for field in fields[1:])
    if twice := next((key for key, times in keys.items() if times > 1), None):
        raise PayloadError(f"key {twice} {_TWO_PLACES}")
    if size_of(fields) > _MOST_WORDS:
        raise PayloadError("a secure sum has at most 2**32 words")
    return tuple(fields)


def difference(declared: SecureDeclaration, forms: Sequence[Any], others: Sequence[Any]) -> str:
    """Return the first thing in which an answer differs from others, in words; empty if nothing.

    Raises
    ------
    PayloadError
        As of :func:`fields_of`.
    """
    for a, b in zip_longest(fields_of(declared, forms), fields_of(declared, others)):
        if a != b:
            return f"{_said(a)}, and not {_said(b)},"
    # two keys of one path, such as `a.b` and `b` of `a`, are alike in the fields
    for leaf, form, other in zip(declared.leaves, forms, others, strict=True):
        if _structure(leaf, form) != _structure(leaf, other):
            return f"key {leaf.name}: other keys, lists or tuples, and not the same,"
    return ""


def size_of(fields: Sequence[Field]) -> int:
    """Return how many words fields take together."""
    return sum(field.words for field in fields)


def views_of(fields: Sequence[Field], words: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """Return each field's words, of shape ``(numbers, words each)``: views, not copies."""
    views, start = [], 0
    for field in fields:
        views.append(words[start : start + field.words].reshape(-1, field.grid.words_each))
        start += field.words
    return views


def runs_of(fields: Sequence[Field], words: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """Return views as :func:`views_of` does, one for each run of fields of equally wide numbers.

    A model of a hundred arrays is masked and added up at once, not a hundred times.
    """
    runs, start = [], 0
    for wide, group in groupby(fields, key=lambda field: field.grid.words_each):
        size = sum(field.words for field in group)
        runs.append(words[start : start + size].reshape(-1, wide))
        start += size
    return runs


def _said(field: Field | None) -> str:
    if field is None:
        return "nothing more"
    return f"key {field.key}, {field.type} of shape {field.shape} on {field.grid}"


def _structure(leaf: SecureLeaf, form: Any) -> str:
    if leaf.kind == "weighted":
        form = form[1]  # the type of the weight is a field's
    return "" if form is None else json.dumps(structure_of(form), sort_keys=True)


def _fields(leaf: SecureLeaf, form: Any) -> Iterator[Field]:
    if leaf.kind == "counts":
        labels = json.dumps(leaf.labels)
        yield Field(leaf.name, (len(leaf.labels),), f"counts of {labels}", COUNTS)
    elif leaf.kind == "statistics":
        yield from _fields_of_statistics(leaf.name, form)
    elif leaf.kind == "weighted":
        weight, inner = form
        if weight not in ("int", "float"):
            raise ValueError("an unknown type of weight")
        # The weights' own sum, before that of the products: the mean is one divided by the other.
        yield Field(leaf.name + leaf.by_text, (), weight, COUNTS if weight == "int" else STATISTICS)
        yield from _fields_of_numbers(leaf, inner, weight)
    else:
        yield from _fields_of_numbers(leaf, form)


def _fields_of_numbers(leaf: SecureLeaf, form: Any, weight: str = "") -> Iterator[Field]:
    spec, types = spec_of(form)
    by = leaf.by_text if weight else ""
    for name, kind, shape in zip(names_of(spec), types, shapes_of(spec), strict=True):
        key = ".".join(filter(None, (leaf.key, name)))
        yield Field(key, shape or (), kind + by, _grid(leaf, kind, shape is None, weight))


def _grid(leaf: SecureLeaf, kind: str, is_number: bool, weight: str) -> Grid:
    """Return the grid of numbers of a type; arrays of a model get the small one."""
    if leaf.grid is not None:
        return leaf.grid
    if is_whole(kind) and weight != "float":
        return COUNTS
    return STATISTICS if is_number or leaf.kind == "sum" else MODELS


def _fields_of_statistics(key: str, form: Any) -> Iterator[Field]:
    kind, *rest = form
    if kind == "statistic":
        clear, sums = rest
        if not isinstance(clear, dict):
            raise ValueError("no statistic")
        # all that is in clear of it is part of what the nodes must have alike
        text = json.dumps(clear, sort_keys=True)
        for place, (bits, exponent, count) in enumerate(sums):
            if not all(type(each) is int for each in (bits, exponent, count)):
                raise ValueError("no whole numbers")
            if not 0 < count <= _MOST_OF_A_STATISTIC:
                raise ValueError("no count")
            grid = Grid(bits, exponent)
            yield Field(f"{key}[{place}]", (count,), "" if place else text, grid)
        return
    steps = sorted_keys(rest[0]) if kind == "dict" else range(len(rest[-1]))
    for step, part in zip(steps, rest[-1], strict=True):
        yield from _fields_of_statistics(f"{key}.{step}", part)
