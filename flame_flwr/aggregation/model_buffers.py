"""Buffers among the numbers and arrays of a model that is merged: which, and of which types.

A buffer of whole numbers, such as BatchNorm's ``num_batches_tracked``, stays one when the mean is
taken, so that what was merged fits the model it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.pytree import Leaf, TreeSpec, names_of
from flame_flwr.aggregation.sums import Totals
from flame_flwr.buffer_names import is_buffer, names_in

if TYPE_CHECKING:
    from typing import Self

    from flame_flwr.aggregation.accumulators import Forms, Where

__all__ = ["Buffers", "ModelMean", "ModelValue", "rounded_as", "with_buffer_names"]


class ModelValue(NamedTuple):
    """A node's value, and the names that it gives to the buffers in it."""

    value: Any
    buffers: Sequence[str]


def with_buffer_names(values: list[Any], declared: str | Sequence[str]) -> ModelValue:
    """Return the last value, and which of it are buffers as the nearest around it says that does.

    Parameters
    ----------
    values : list
        As for :meth:`~flame_flwr.aggregation.Reduction.taken`.
    declared : str or sequence of str
        The key under which nodes name buffers, or the names themselves.
    """
    names: Sequence[str] = ()
    if isinstance(declared, str):
        found = (names_in(around, declared) for around in reversed(values[:-1]))
        names = next(filter(None, found), ())
    return ModelValue(values[-1], names)


class Buffers:
    """Which numbers and arrays of a model are buffers, and of which types nodes sent them.

    Parameters
    ----------
    declared : str or sequence of str
        As for :func:`with_buffer_names`.
    """

    def __init__(self, declared: str | Sequence[str]) -> None:
        self._by_name = isinstance(declared, str)
        self._names: set[str] = set() if self._by_name else set(declared)
        self._types: dict[tuple[TreeSpec, str], set[Any]] = {}

    def name(self, names: Sequence[str]) -> None:
        """Take a node's names."""
        self._names.update(names)

    def note(self, spec: TreeSpec, leaves: list[Any]) -> None:
        """Note the types in which a node sent its numbers and arrays."""
        for name, leaf in zip(names_of(spec), leaves, strict=True):
            kinds = self._types.setdefault((spec, name), set())
            kinds.add(getattr(leaf, "dtype", type(leaf)))

    def merge(self, other: Buffers) -> None:
        """Take what another has noted."""
        self._names |= other._names
        for place, kinds in other._types.items():
            self._types.setdefault(place, set()).update(kinds)

    def others(self, spec: TreeSpec) -> list[int]:
        """Return the places of what is trained."""
        return [i for i, name in enumerate(names_of(spec)) if not self._is(name)]

    def rounded(self, spec: TreeSpec, leaves: list[Any]) -> list[Any]:
        """Return what was merged, with buffers of whole numbers rounded in their type."""
        return [
            self._rounded(leaf, self._types.get((spec, name), set())) if self._is(name) else leaf
            for name, leaf in zip(names_of(spec), leaves, strict=True)
        ]

    def _rounded(self, leaf: Any, types: set[Any]) -> Any:
        if types == {int}:
            return round(leaf)  # of Python's: nodes sent numbers and no arrays
        # whole numbers at some nodes and floats at others are a mean like any other
        if not types or not all(
            isinstance(kind, np.dtype) and kind.kind in "biu" for kind in types
        ):
            return leaf
        return rounded_as(leaf, np.result_type(*types))

    def _is(self, name: str) -> bool:
        return is_buffer(name, self._names, known=self._by_name)


def rounded_as(leaf: Any, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return numbers rounded in a type; what is above its largest number becomes that."""
    rounded = np.asarray(np.rint(leaf))
    if kind.kind not in "iu":
        return rounded.astype(kind)
    # As a float it is one more, which a cast would wrap to the smallest.
    most = np.iinfo(kind).max
    with np.errstate(invalid="ignore"):
        whole = rounded.astype(kind)
    whole[rounded >= most] = most
    return whole


class ModelMean(Totals):
    """The mean of a model, in which buffers of whole numbers are rounded in their type.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    differing : {'error', 'skip'}
        As for :class:`Totals`.
    buffers : str or sequence of str
        As for :func:`with_buffer_names`.
    weighted, none_of_zero : bool
        As for :class:`Totals`.
    """

    def __init__(
        self,
        place: Where,
        differing: str,
        buffers: str | Sequence[str],
        *,
        weighted: bool = False,
        none_of_zero: bool = False,
    ) -> None:
        super().__init__(place, differing, mean=True, weighted=weighted, none_of_zero=none_of_zero)
        self.buffers = Buffers(buffers)

    def check(self, node: str, value: ModelValue, weight: float) -> Forms:
        """See that the model is made of numbers."""
        return super().check(node, value.value, weight)

    def large_size(self, value: ModelValue, weight: float) -> float | None:
        """Return how large a value or its weight is if it could be too large with others'."""
        return super().large_size(value.value, weight)

    def add(self, node: str, value: ModelValue, weight: float) -> None:
        """Add one node's model; one of weight 0 is not looked at."""
        if weight:  # its names are a part of its value
            self.buffers.name(value.buffers)
        super().add(node, value.value, weight)

    def merge(self, other: Self) -> None:
        """Take what another has added up."""
        super().merge(other)
        self.buffers.merge(other.buffers)

    def _take(self, node: str, value: Any, *weight: float | None) -> tuple[TreeSpec, list[Leaf]]:
        spec, leaves = super()._take(node, value, *weight)
        self.buffers.note(spec, leaves)
        return spec, leaves

    def _finished(self, spec: TreeSpec, leaves: list[Any]) -> list[Any]:
        return self.buffers.rounded(spec, leaves)
