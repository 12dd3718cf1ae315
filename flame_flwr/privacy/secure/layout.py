"""An answer laid out as words that can be summed: at a node, or at a server that sees values.

Nothing here masks. What is laid out is added up as it is, or masked and then added up, and both
give the same bits.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flame_flwr.aggregation.counts import count_key, whole_count
from flame_flwr.aggregation.grid import OffGridError
from flame_flwr.aggregation.model_buffers import with_buffer_names
from flame_flwr.aggregation.pytree import flatten, names_of
from flame_flwr.aggregation.weights import nearest
from flame_flwr.buffer_names import is_buffer
from flame_flwr.errors import DataError, FlameError, ModelError, PayloadError
from flame_flwr.payload.opaque import Opaque
from flame_flwr.privacy.secure.fields import difference, fields_of, size_of, views_of
from flame_flwr.privacy.secure.forms import (
    BUFFER,
    Form,
    form_of,
    shapes_of,
    sorted_keys,
    spec_of,
    type_of,
)
from flame_flwr.privacy.secure.products import product, weight_of
from flame_flwr.statistics.additive import split, split_form
from flame_flwr.statistics.base import Statistic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flame_flwr.aggregation.grid import Grid, Words
    from flame_flwr.aggregation.pytree import Leaf, TreeSpec
    from flame_flwr.privacy.secure.declaration import SecureDeclaration, SecureLeaf

__all__ = ["Answer", "lay_out"]


class Answer(NamedTuple):
    """An answer as words that can be summed, and the forms of what they are.

    Attributes
    ----------
    forms : list
        For each declared leaf the form of its value, which travels in clear.
    words : ndarray of uint64
        All its words in their order, the first a 1.
    """

    forms: list[Any]
    words: NDArray[np.uint64]

    def to_bytes(self) -> bytes:
        """Return it as the bytes that a node keeps, and sends."""
        text = json.dumps(self.forms).encode()
        text += b" " * (-len(text) % _SIZE)  # so that the words lie as memory has them
        words = self.words.astype("<u8", copy=False)
        return b"".join([len(text).to_bytes(_SIZE, "big"), text, words.data])

    @classmethod
    def from_bytes(cls, data: Any) -> Answer:
        """Read what another party has sent; the words are a view of it.

        Raises
        ------
        PayloadError
            It is no such answer.
        """
        try:
            start = _SIZE + int.from_bytes(data[:_SIZE], "big")
            forms = json.loads(bytes(data[_SIZE:start]))
            return cls(
                forms, np.frombuffer(data, "<u8", offset=start).astype(np.uint64, copy=False)
            )
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError("what arrived is no masked answer", detail=str(error)) from error


class _Weighted(NamedTuple):
    """An array that is yet to be multiplied by its weight: block by block, to save a copy."""

    array: NDArray[Any]
    weight: int | float


_BLOCK = 1 << 16
"""Numbers of an array that are put on their grid at a time."""

_SIZE = 8
"""Bytes that say how long the forms are, as JSON; the words follow, the lowest byte first."""


def lay_out(
    declared: SecureDeclaration,
    value: Any,
    parties: int,
    known: Sequence[Any] | None = None,
    own: Mapping[str, Any] | None = None,
) -> Answer:
    """Lay out what a node returned as words that can be summed.

    Parameters
    ----------
    declared : SecureDeclaration
        What is summed.
    value : Any
        What the node returned.
    parties : int
        How many nodes take part.
    known : sequence, optional
        The forms that answers have had before: this one must have the same.
    own : mapping, optional
        How statistics add up of classes that are not here; see
        :func:`flame_flwr.statistics.additive.own_sums`.

    Raises
    ------
    DataError
        It has not what is declared; the message names the key.
    OffGridError
        A value has no place on its grid.
    """
    forms, numbers = [], []
    for place, leaf in enumerate(declared.leaves):
        try:
            form, found = _laid_out(leaf, value, None if known is None else known[place], own or {})
        except FlameError as error:
            raise DataError(f"key {leaf.name}: {error.message}", detail=error.detail) from error
        except OffGridError as error:
            raise OffGridError(f"key {leaf.name}: {error}") from error
        forms.append(form)
        numbers += found
    fields = fields_of(declared, forms)
    # It could not be added to the others': refused here, its own hospital can see why.
    if known is not None and (odd := difference(declared, forms, known)):
        raise DataError(f"{odd} than in the answers before it")
    words = np.empty(size_of(fields), np.uint64)
    for field, view, found in zip(fields, views_of(fields, words), [1, *numbers], strict=True):
        try:
            _fill(view, field.grid, found, parties)
        except OffGridError as error:
            raise OffGridError(f"key {field.key}: {error}") from error
    return Answer(forms, words)


def _fill(view: Words, grid: Grid, found: Any, parties: int) -> None:
    """Write the words of a field, by blocks: a large model is not held once more."""
    if found is None:  # of weight 0: the value may be NaN, which 0 times it would be, too
        view[...] = 0
        return
    weight = found.weight if isinstance(found, _Weighted) else None
    flat = np.ravel(found.array if isinstance(found, _Weighted) else found)
    for start in range(0, len(view), _BLOCK):
        part = flat[start : start + _BLOCK]
        part = part if weight is None else product(part, weight)
        view[start : start + _BLOCK] = grid.to_words(part, parties)


# ---- values ----------------------------------------------------------------------------------


def _laid_out(
    leaf: SecureLeaf, value: Any, known: Any, own: Mapping[str, Any]
) -> tuple[Any, list[Any]]:
    """Return the form of the value at a leaf, and the numbers of each of its fields."""
    values = _on_the_way(leaf, value)
    is_here = len(values) > len(leaf.path)
    if leaf.kind == "weighted":
        return _weighted(leaf, values if is_here else [*values, None], known)
    if not is_here:
        raise DataError("what it sent has not this key")
    found = values[-1]
    if leaf.kind == "counts":
        return None, [_counted(leaf, found)]
    if leaf.kind == "statistics":
        numbers: list[Any] = []
        return _form_of_statistics(found, numbers, own), numbers
    spec, leaves, types = _numbers(leaf, values)
    return form_of(spec, types), leaves


def _on_the_way(leaf: SecureLeaf, value: Any) -> list[Any]:
    """Return the answer, and what is at each key on the way to a leaf, as far as it has them."""
    values = [value]
    for part in leaf.path:
        try:
            values.append(values[-1][part])
        except (LookupError, TypeError):  # TypeError: a number has no keys
            break
    return values


def _numbers(leaf: SecureLeaf, values: list[Any]) -> tuple[TreeSpec, list[Leaf], list[str]]:
    """Return a value's structure, its numbers, and in which types they are summed."""
    try:
        spec, leaves = flatten(values[-1])
    except TypeError as error:
        raise DataError(f"what it sent {error}, which cannot be summed: send numbers") from None
    _, names = with_buffer_names(values, leaf.buffers)
    by_name = isinstance(leaf.buffers, str)
    listed = (*names, *(() if by_name else leaf.buffers))
    types = [
        _type(leaf, each, is_buffer(name, listed, known=by_name) and leaf.kind != "sum")
        for name, each in zip(names_of(spec), leaves, strict=True)
    ]
    return spec, leaves, types


def _type(leaf: SecureLeaf, found: Leaf, buffer: bool) -> str:
    kind = type_of(found)
    if isinstance(found, np.ndarray) or buffer:
        return kind + BUFFER if buffer else kind
    if leaf.kind != "sum":
        return "float"  # so that 1 at one node and 1.5 at another are of one type
    if leaf.grid is not None:  # then nodes may send whole numbers and others
        return "float" if leaf.grid.exponent else "int"
    return kind


def _weighted(leaf: SecureLeaf, values: list[Any], known: Any) -> tuple[Any, list[Any]]:
    weight = weight_of(nearest(values, leaf.by), leaf.by)
    kind = "int" if isinstance(weight, int) else "float"
    if not weight:
        form = _form_of_nothing(leaf, values, known)
        return [kind, form], [weight, *[None] * len(spec_of(form)[1])]
    if values[-1] is None:
        raise DataError(_NO_VALUE)
    spec, leaves, types = _numbers(leaf, values)
    products = [
        _Weighted(each, weight) if isinstance(each, np.ndarray) else product(each, weight)
        for each in leaves
    ]
    return [kind, form_of(spec, types)], [weight, *products]


def _form_of_nothing(leaf: SecureLeaf, values: list[Any], known: Any) -> Form:
    """Return the form of a value of weight 0, of which nothing else is looked at.

    It is its own, where there is one. A server may lie about the form that is known: nodes of
    weight 0 would take it, all others refuse it, and so show their weights.
    """
    if values[-1] is not None:
        spec, _, types = _numbers(leaf, values)
        return form_of(spec, types)
    if known is not None:
        form: Form = known[1]
        return form
    if leaf.like is None:
        raise DataError(_NO_VALUE)
    spec, types = spec_of(leaf.like)
    numbers = [*shapes_of(spec)]
    floats = [
        "float" if shape is None else kind for kind, shape in zip(types, numbers, strict=True)
    ]
    return form_of(spec, floats)


_NO_VALUE = (
    "it has no value. Send one; where the weight is 0, send zeros, or declare like=, such as "
    "WeightedMean(by=..., like=0.0)"
)
"""The same text whatever the weight: the server hears it, and would learn whether that is 0."""


def _counted(leaf: SecureLeaf, found: Any) -> NDArray[Any]:
    items = getattr(found, "items", None)
    if items is None:
        raise DataError(f"counts must be a dict or a Series, not {type(found).__name__}")
    counts = {count_key(label): 0 for label in leaf.labels}  # in declared order, as all nodes
    for name, count in items():
        key = count_key(name)
        if key not in counts:
            raise OffGridError(f"it counts {name!r}, which is not declared")
        try:
            counts[key] += whole_count(count)
        except ValueError as error:
            raise OffGridError(str(error)) from error
    return np.array(list(counts.values()), dtype=object)


def _form_of_statistics(found: Any, numbers: list[Any], own: Mapping[str, Any]) -> Form:
    is_foreign = isinstance(found, Opaque) and found.name in own
    if is_foreign or isinstance(found, Statistic):
        try:
            clear, sums = (
                split_form(found.name, found.plain, own[found.name]) if is_foreign else split(found)
            )
        except ModelError as error:
            raise DataError(error.message) from error
        runs = []
        for grid, run in groupby(sums, key=lambda each: each[0]):
            # as objects: beside a negative one NumPy makes floats of large whole numbers
            numbers.append(np.array([number for _, number in run], dtype=object))
            runs.append([grid.bits, grid.exponent, len(numbers[-1])])
        return ["statistic", clear, runs]
    if isinstance(found, list | tuple):
        kind = "list" if isinstance(found, list) else "tuple"
        return [kind, [_form_of_statistics(part, numbers, own) for part in found]]
    if not isinstance(found, dict):
        what = found if isinstance(found, Opaque) else type(found).__name__
        raise DataError(f"it sent a {what} where a statistic that adds up is expected")
    parts = [_form_of_statistics(found[key], numbers, own) for key in sorted_keys(found)]
    return ["dict", list(found), parts]
