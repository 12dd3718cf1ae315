"""Accumulators: each takes one round's values of one key and merges them.

The arithmetic of :mod:`flame_flwr.aggregation.reductions`. A node's value is read, not changed;
its arrays may be gone, or read-only, after ``add``.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "TOO_LARGE",
    "Accumulator",
    "AllValues",
    "SameForm",
    "Where",
    "check_choice",
    "common_type",
]


@dataclass(frozen=True, slots=True)
class Where:
    """Where values are merged.

    Attributes
    ----------
    round : int
        From 1.
    key : str
        The key's name, with dots between where it is nested.
    nodes : tuple of str
        All nodes, in participant order.
    last : Any
        What the last aggregate has there; ``None`` where it has nothing.
    """

    round: int
    key: str
    nodes: tuple[str, ...]
    last: Any = None

    def error(self, text: str, *nodes: str, detail: str | None = None) -> DataError:
        """Return an error that names round, key and nodes."""
        at = f", {', '.join(nodes)}" if nodes else ""
        return DataError(f"round {self.round}, key {self.key}{at}: {text}", detail=detail)

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
    """Takes one round's values of one key."""

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
    """

    def __init__(self, place: Where, merge: Callable[[dict[str, Any]], Any]) -> None:
        self._place = place
        self._merge = merge
        self._values: dict[str, Any] = {}

    def add(self, node: str, value: Any, weight: float) -> None:
        """Keep a copy."""
        self._values[node] = copy_arrays(value)

    def result(self) -> Any:
        """Merge."""
        values, self._values = self._place.in_order(self._values), {}
        return self._merge(values) if values else None


class SameForm:
    """The base of accumulators that merge only values of one form: the same keys and shapes.

    If the nodes' forms differ, the one that most nodes sent counts. That is known only when all
    values are there, so until then each form is merged separately.
    """

    what = "merged"

    def __init__(self, place: Where, differing: str) -> None:
        self._place = place
        self._differing = differing
        self._forms: dict[TreeSpec, list[str]] = {}
        self._shown: dict[TreeSpec, tuple[int, TreeSpec]] = {}

    def _enter(self, node: str, value: Any) -> tuple[TreeSpec, list[Leaf]]:
        try:
            form, leaves = flatten(value)
        except TypeError as error:
            raise self._place.error(
                f"what it sent {error}, which cannot be {self.what}: send numbers or arrays, or "
                "declare PerNode(), Concat() or a function of the list for it in a ReduceStrategy",
                node,
            ) from None
        self._forms.setdefault(form, []).append(node)
        order = self._place.nodes.index(node)
        # of forms that differ in the order of keys only, the first node's is given back
        first = self._shown.get(form)
        if first is None or order < first[0]:
            self._shown[form] = order, form
        return form, leaves

    def _chosen(self) -> tuple[TreeSpec, TreeSpec] | None:
        """Return the form that counts, and the same with the first node's order of keys.

        Raises
        ------
        DataError
            Nodes' forms differ.
        """
        if not self._forms:
            return None
        ranked = sorted(self._forms, key=lambda f: (-len(self._forms[f]), self._shown[f][0]))
        if len(ranked) > 1:
            nodes = self._place.nodes
            others = sorted((n for f in ranked[1:] for n in self._forms[f]), key=nodes.index)
            groups = "; ".join(
                f"{', '.join(sorted(self._forms[form], key=nodes.index))} sent "
                f"{self._shown[form][1]}"
                for form in ranked
            )
            if len({str(self._shown[form][1]) for form in ranked}) < len(ranked):
                groups += "; their labels (index, columns, keys or name) are not the same"
            if self._differing == "error":
                raise self._place.error(
                    f"the nodes' values differ: {groups}. Mend it on the nodes, or declare "
                    'differing="skip" to leave the fewer out'
                )
            self._place.leave_out("differs from the others", others)
        return ranked[0], self._shown[ranked[0]][1]


TOO_LARGE = "a whole number it sent is too large for a float: send it in a larger unit"


def common_type(types: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the type that holds values of all, of this machine's byte order."""
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
