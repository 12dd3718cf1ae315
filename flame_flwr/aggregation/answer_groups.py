"""``AnswerGroups``: a round's answers, merged apart until it is known whose count.

One answer that fits no other must be in no sum, with none of its keys, and that is known only when
all are there. So answers of the same forms are merged as they arrive, others beside them; what
counts is merged at the end, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flame_flwr.aggregation.accumulators import KeptForLater, TooLargeError, Where
from flame_flwr.aggregation.misfits import PartPath, find_odd, said_of
from flame_flwr.aggregation.pytree import flatten
from flame_flwr.errors import AnswerError

__all__ = ["AnswerGroups", "Taken"]

Path = tuple[Any, ...]

_MEND = "Mend it on the nodes"


class Taken(NamedTuple):
    """What a reduction gets of an answer."""

    path: Path
    value: Any
    weight: float


@dataclass(slots=True)
class _Group:
    """Nodes whose answers have the same forms.

    One with a number that could be too large with others' is a group of its own: `large` has how
    large, by path.
    """

    forms: dict[PartPath, Hashable]
    large: dict[Path, float]
    accumulators: dict[Path, Any]
    nodes: list[str]


class AnswerGroups:
    """Merges a round's answers.

    Parameters
    ----------
    nodes : sequence of str
        All nodes, in participant order.
    places : dict of tuple to Where
        Of every reduction, by its path.
    collector : callable
        Gives a new accumulator for a path and its place.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        places: Mapping[Path, Where],
        collector: Callable[[Path, Where], Any],
    ) -> None:
        self._nodes = nodes
        self._places = places
        self._collector = collector
        self._groups: dict[Hashable, _Group] = {}
        self._checks = {path: self._fresh(path) for path in places}
        self.settled = False

    @property
    def counted(self) -> list[str]:
        """The nodes whose answers are merged."""
        return [node for group in self._groups.values() for node in group.nodes]

    def add(self, node: str, answer: Sequence[Taken]) -> None:
        """Take an answer with all of its parts.

        Raises
        ------
        DataError
            A part cannot be merged, whatever others sent: nothing is.
        """
        forms: dict[PartPath, Hashable] = {}
        large: dict[Path, float] = {}
        for path, value, weight in answer:
            found, size = self._looked_at(path, node, value, weight)
            forms |= {(path, inner): form for inner, form in found.items()}
            if size is not None:
                large[path] = size
        # One with large numbers is apart, so that it can be left out again: what has been added to
        # a sum cannot be taken from it.
        key = (frozenset(forms.items()), node if large else None)
        if key not in self._groups:
            fresh = {path: self._fresh(path) for path in self._places}
            self._groups[key] = _Group(forms, large, fresh, [])
        group = self._groups[key]
        group.nodes.append(node)
        for path, value, weight in answer:
            group.accumulators[path].add(node, value, weight)

    def settle(self) -> dict[str, AnswerError]:
        """Take out answers that cannot be merged with the others; return why, by node."""
        self.settled = True
        # Forms first: numbers of an answer that is left out anyway overflow nobody's sum.
        odd = self._other_forms()
        self._leave_out(odd)
        for path in self._places:
            found = self._too_large(path)
            self._leave_out(found)
            odd |= found
        return {node: odd[node] for node in self._nodes if node in odd}

    def result(self, path: Path) -> Any:
        """Return what a reduction makes of the answers that count; called once for a path."""
        # Without answers, one that has taken nothing says what comes of none.
        merged, *others = [g.accumulators.pop(path) for g in self._groups.values()] or [
            self._checks[path]
        ]
        for other in others:
            merged.merge(other)
        return merged.result()

    def _looked_at(
        self, path: Path, node: str, value: Any, weight: float
    ) -> tuple[Mapping[Path, Hashable], float | None]:
        """Return a value's forms, and how large it is if it could be too large with others'."""
        accumulator = self._checks[path]
        check = getattr(accumulator, "check", None)
        forms = check(node, value, weight) if check is not None else None
        size = getattr(accumulator, "large_size", None)
        return forms or {}, size(value, weight) if size is not None else None

    def _fresh(self, path: Path) -> Any:
        made = self._collector(path, self._places[path])
        # a reduction of a user's own need not know how two of it are merged
        return made if hasattr(made, "merge") else KeptForLater(self._places[path], made)

    def _leave_out(self, nodes: Mapping[str, object]) -> None:
        # one node speaks for its group: all of it have the same forms
        self._groups = {
            key: group for key, group in self._groups.items() if group.nodes[0] not in nodes
        }

    def _other_forms(self) -> dict[str, AnswerError]:
        forms = {node: group.forms for group in self._groups.values() for node in group.nodes}
        found = find_odd(self._nodes, forms, self._is_last)
        odd = {}
        for node, misfit in found.items():
            path, _ = misfit.place
            place = self._places[path]
            mend = _MEND if place.fixed else getattr(self._checks[path], "mend", _MEND)
            odd[node] = said_of(misfit, node, place, mend)
        return odd

    def _is_last(self, place: PartPath, form: Hashable) -> bool:
        """Tell whether the last aggregate has a form."""
        path, inner = place
        try:
            return not inner and form == flatten(self._places[path].last)[0]
        except TypeError:
            return False

    def _too_large(self, path: Path) -> dict[str, AnswerError]:
        """Return whose numbers are too large with the others': the largest, until the rest fits."""
        groups = list(self._groups.values())
        large = [group for group in groups if path in group.large]
        if not large or self._overflow(path, groups) is None:
            return {}
        fitting = [group for group in groups if path not in group.large]
        odd = {}
        # From the smallest on, so that as many as can be are kept, whoever answered first.
        for group in sorted(large, key=lambda g: (g.large[path], self._nodes.index(g.nodes[0]))):
            error = self._overflow(path, [*fitting, group])
            if error is None:
                fitting.append(group)
            else:
                node = group.nodes[0]
                odd[node] = self._places[path].refusal(error.text, node)
        # where none fits, it is no node's: a step may be too large
        return odd if fitting else {}

    def _overflow(self, path: Path, groups: list[_Group]) -> TooLargeError | None:
        """Return the error of merging what groups have of a key; ``None`` where it fits."""
        trial = self._fresh(path)  # the groups' own go on; `check_fits` may use one up
        for group in groups:
            trial.merge(group.accumulators[path])
        try:
            trial.check_fits()
        except TooLargeError as error:
            return error
        return None
