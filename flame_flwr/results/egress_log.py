"""Logs what left each node, as it arrived: types, shapes and bytes, no values or keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flame_flwr.payload.outline import outline
from flame_flwr.text.shown_text import cut_off

__all__ = ["EgressLog"]

_KINDS = 20
_OTHER = "results of other forms"
_LONGEST = 300


@dataclass(slots=True)
class EgressLog:
    """The egress of all nodes of a run.

    Attributes
    ----------
    nodes : dict of str to dict
        Per node and form of an answer: how many there were, their bytes, the first and the last
        round. After 20 forms of a node, all others are counted as one.
    """

    nodes: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def note(self, node: str, number: int, value: object, size: int) -> None:
        """Count a result.

        Parameters
        ----------
        node : str
            Whose.
        number : int
            The round.
        value : object
            The result.
        size : int
            Bytes of its payload.
        """
        self._count(node, cut_off(outline(value, keys=False), _LONGEST), number, size)

    def note_masked(self, node: str, number: int, size: int) -> None:
        """Count an answer of which nothing but its size can be told."""
        self._count(node, "masked sums", number, size)

    def note_numbers(self, node: str, number: int, count: int, method: str) -> None:
        """Count numbers that travelled beside a result, or are the answer to an evaluation."""
        if count:
            what = "1 number" if count == 1 else f"{count} numbers"
            self._count(node, f"{what} of {method}", number, 8 * count)  # they travel as doubles

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return it for ``run.json``."""
        names = ("answers", "bytes", "first_round", "last_round")
        return {
            node: [{"what": what, **dict(zip(names, n, strict=True))} for what, n in kinds.items()]
            for node, kinds in self.nodes.items()
        }

    def _count(self, node: str, what: str, number: int, size: int) -> None:
        kinds = self.nodes.setdefault(node, {})
        if what not in kinds and len(kinds) >= _KINDS:  # shapes that grow with every round
            what = _OTHER
        entry = kinds.setdefault(what, [0, 0, number, number])
        entry[0] += 1
        entry[1] += size
        entry[3] = number
