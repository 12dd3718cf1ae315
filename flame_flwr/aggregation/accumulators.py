"""Accumulators: each takes one round's values of one key and merges them.

The arithmetic of :mod:`flame_flwr.aggregation.reductions`. A node's value is read, not changed; its
arrays may be gone, or read-only, after ``add``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from flame_flwr.aggregation.pytree import (
    Leaf,
    TreeSpec,
    copy_arrays,
    flatten,
)
from flame_flwr.errors import AnswerError, DataError, ModelError
from flame_flwr.log import logger
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from typing import Self

    Forms = Mapping[tuple[Any, ...], Hashable]
    """What must be the same in all nodes' values, by place within the value."""

__all__ = [
    "TOO_LARGE",
    "Accumulator",
    "AllValues",
    "KeptForLater",
    "KeptNumbers",
    "SameForm",
    "TooLargeError",
    "Where",
    "check_choice",
    "common_type",
]

_LONGEST = 3000


class TooLargeError(DataError):
    """Numbers are too large together; `text` is the message without round and key."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


@dataclass(frozen=True, slots=True)
class Where:
    """The round and key that a reduction merges, for its arithmetic and its messages.

    Attributes
    ----------
    round : int
        The round, from 1.
    key : str
        The key's name, with dots between where it is nested.
    nodes : tuple of str
        All nodes, in participant order.
    last : Any
        What the last aggregate has there; ``None`` where it has nothing.
    fixed : bool
        Whether the strategy has declared it, so that no message advises to declare it otherwise.
    """

    round: int
    key: str
    nodes: tuple[str, ...]
    last: Any = None
    fixed: bool = False

    def advice(self, text: str) -> str:
        """Return what a message says of declaring it otherwise; nothing where nobody can."""
        return "" if self.fixed else text

    def error(self, text: str, *nodes: str, detail: str | None = None) -> DataError:
        """Return an error that names round, key and nodes."""
        at = f", {', '.join(nodes)}" if nodes else ""
        # keys and columns that it names may be a node's own
        said = one_line(f"round {self.round}, key {self.key}{at}: {text}", _LONGEST)
        return DataError(said, detail=None if detail is None else one_line(detail, _LONGEST))

    def too_large(self, text: str, *nodes: str) -> TooLargeError:
        """Return an error about numbers that are too large together."""
        return TooLargeError(self.error(text, *nodes).message, text)

    def refusal(
        self, text: str, node: str, *, detail: str | None = None, declared: bool = False
    ) -> AnswerError:
        """Return the error that refuses a whole answer; parameters as of :class:`AnswerError`."""
        message = self.error(text, node).message
        return AnswerError(message, detail=detail, declared=declared)

    def in_order(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by node, in participant order."""
        return {node: values[node] for node in self.nodes if node in values}

    def leave_out(self, text: str, nodes: Iterable[str]) -> None:
        """Say in the log who does not count."""
        names = ", ".join(nodes)
        logger.warning("round %d, key %s: without %s: %s", self.round, self.key, names, text)


class Accumulator(Protocol):
    """Takes one round's values of one key.

    It may also have ``check``, with the parameters of :meth:`add`: it raises a DataError for a
    value that :meth:`add` would not take whatever the other nodes send, and keeps nothing of it. It
    may return forms that must be the same in all nodes' values, such as a shape: a dict of them, by
    place within the value. The node that is odd there is left out of the whole round.

    ``merge``, with another accumulator of the same key, takes what that one has taken. Values for
    one without it are kept until it is known whose count.

    One whose numbers together can be too large has ``large_size(value, weight)``, a number for a
    value that could be, and ``check_fits``, which raises a TooLargeError where what was taken is.
    """

    def add(self, node: str, value: Any, weight: float) -> None:
        """Take one node's value; the weight is 1 where none is declared."""

    def result(self) -> Any:
        """Return the merged value; called once. Without any value it is ``None``."""


class AllValues:
    """Keeps the nodes' values, to be merged by a function of them when the round ends.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    merge : callable
        Gets a dict by node, in participant order.
    forms : callable, optional
        Gets node and value, and returns what :meth:`check` does; without it, any value is taken.
    """

    mend = 'Mend it on the nodes, or declare missing="skip" where only keys are missing'

    def __init__(
        self,
        place: Where,
        merge: Callable[[dict[str, Any]], Any],
        forms: Callable[[str, Any], Forms] | None = None,
    ) -> None:
        self._place = place
        self._merge = merge
        self._forms = forms
        self._values: dict[str, Any] = {}

    def check(self, node: str, value: Any, weight: float) -> Forms:
        """Return the forms that must be the same in all values."""
        return {} if self._forms is None else self._forms(node, value)

    def add(self, node: str, value: Any, weight: float) -> None:
        """Keep a copy of one node's value."""
        # its arrays may be views of a message, which is let go
        self._values[node] = copy_arrays(value)

    def merge(self, other: AllValues) -> None:
        """Take the values of another."""
        self._values |= other._values

    def result(self) -> Any:
        """Return all values merged; ``None`` where there are none."""
        values, self._values = self._place.in_order(self._values), {}
        return self._merge(values) if values else None


class KeptForLater(AllValues):
    """Keeps the values for an accumulator without ``merge``, until it is known whose count.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    accumulator : Accumulator
        Gets them in participant order.
    """

    def __init__(self, place: Where, accumulator: Accumulator) -> None:
        super().__init__(place, self._handed_over)
        self._accumulator = accumulator

    def add(self, node: str, value: Any, weight: float) -> None:
        """Keep a copy of one node's value."""
        self._values[node] = copy_arrays(value), weight

    def _handed_over(self, kept: dict[str, tuple[Any, float]]) -> Any:
        for node, (value, weight) in kept.items():
            self._accumulator.add(node, value, weight)
        return self._accumulator.result()


class KeptNumbers:
    """The base of what merges single numbers, at one place of values of one form. It keeps them.

    What takes arrays has the same methods: ``add``, ``blank``, ``merge`` and ``result``.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    """

    def __init__(self, place: Where) -> None:
        self._place = place
        self._values: dict[str, Any] = {}

    def add(self, node: str, leaf: Any, *weight: float | None) -> None:
        """Keep one node's number."""
        self._values[node] = leaf

    def blank(self) -> Self:
        """Return one like this that has taken nothing."""
        other = copy.copy(self)
        other._values = {}
        return other

    def merge(self, other: Self) -> None:
        """Take the numbers of another."""
        self._values |= other._values


class SameForm:
    """The base of accumulators that merge only values of one form: the same keys and shapes.

    If the nodes' forms differ, the one that most nodes sent counts. That is known only when all
    values are there, so until then each form is merged separately. Unless others are to be left
    out here only, `check` tells the form, and the odd node's whole answer is left out.
    """

    what = "merged"
    mend = 'Mend it on the nodes, or declare differing="skip" to leave the fewer out'

    def __init__(self, place: Where, differing: str) -> None:
        self._place = place
        self._differing = differing
        self._specs: dict[TreeSpec, list[str]] = {}
        self._shown: dict[TreeSpec, tuple[int, TreeSpec]] = {}
        self._leaves: dict[TreeSpec, list[Any]] = {}

    def check(self, node: str, value: Any, weight: float) -> Forms:
        """See that it is made of numbers; return its form if all must have it."""
        return self._forms(self._flat(node, value)[0])

    def merge(self, other: Self) -> None:
        """Take what another has taken."""
        for spec, nodes in other._specs.items():
            self._specs.setdefault(spec, []).extend(nodes)
            shown = other._shown[spec]
            self._shown[spec] = min(shown, self._shown.get(spec, shown), key=lambda one: one[0])
        for spec, leaves in other._leaves.items():
            own = self._leaves.setdefault(spec, [theirs.blank() for theirs in leaves])
            for leaf, theirs in zip(own, leaves, strict=True):
                leaf.merge(theirs)

    def _leaf(self, found: Leaf) -> Any:
        """Return what takes numbers or arrays like this one."""
        raise NotImplementedError

    def _forms(self, spec: TreeSpec) -> Forms:
        return {(): spec} if self._differing == "error" else {}

    def _flat(self, node: str, value: Any) -> tuple[TreeSpec, list[Leaf]]:
        try:
            return flatten(value)
        except TypeError as error:
            raise self._place.error(
                f"what it sent {error}, which cannot be {self.what}: send numbers or arrays, or "
                "declare PerNode(), Concat() or a function of the list for it in a ReduceStrategy",
                node,
            ) from None

    def _take(self, node: str, value: Any, *weight: float | None) -> tuple[TreeSpec, list[Leaf]]:
        """Have each number and array of a value taken; return its form and them."""
        spec, leaves = self._flat(node, value)
        self._specs.setdefault(spec, []).append(node)
        order = self._place.nodes.index(node)
        # Specs that differ in the order of keys only are equal. The first node's is given back,
        # whoever answers first.
        first = self._shown.get(spec)
        if first is None or order < first[0]:
            self._shown[spec] = order, spec
        if spec not in self._leaves:
            self._leaves[spec] = list(map(self._leaf, leaves))
        for takes, leaf in zip(self._leaves[spec], leaves, strict=True):
            takes.add(node, leaf, *weight)
        return spec, leaves

    def _chosen(self) -> tuple[TreeSpec, TreeSpec] | None:
        """Return the form that counts, and the same with the first node's order of keys."""
        if not self._specs:
            return None
        # what most sent; of as many, what the first node in participant order did
        ranked = sorted(self._specs, key=lambda f: (-len(self._specs[f]), self._shown[f][0]))
        if len(ranked) > 1:
            nodes = self._place.nodes
            others = sorted((n for f in ranked[1:] for n in self._specs[f]), key=nodes.index)
            self._place.leave_out("differs from the others", others)
        return ranked[0], self._shown[ranked[0]][1]


TOO_LARGE = "a whole number it sent is too large for a float: send it in a larger unit"


def common_type(types: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the type that holds values of all, of this machine's byte order."""
    # sorted, as a set has no order, and the type must not depend on one
    return np.result_type(*sorted({kind.newbyteorder("=") for kind in types}, key=str))


def check_choice(owner: object, name: str, *allowed: str | None) -> None:
    """Check one of a declaration's words.

    Raises
    ------
    ModelError
        It is none of those allowed.
    """
    value = getattr(owner, name)
    if value not in allowed:
        raise ModelError(
            f"{type(owner).__name__}: {name} must be one of {', '.join(map(repr, allowed))}, "
            f"not {value!r}"
        )
