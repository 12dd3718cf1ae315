"""Merging statistics that were kept until the round ended, within dicts and lists too."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.accumulators import Where
from flame_flwr.aggregation.misfits import Kinds
from flame_flwr.errors import FlameError
from flame_flwr.text.shown_text import one_line, one_line_each
from flame_flwr.text.words import with_article

if TYPE_CHECKING:
    from flame_flwr.aggregation.accumulators import Forms

__all__ = ["StatisticForms", "merged_statistics", "sent_in_place_of"]

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class _Names:
    """The form of a dict of statistics."""

    names: frozenset[Any]

    def __str__(self) -> str:
        names = sorted(one_line(name, _LONGEST) for name in self.names)
        return f"a dict with {one_line_each(names) or 'nothing'}"


class StatisticForms:
    """Tells the forms of nodes' statistics: what must be the same for them to merge.

    Parameters
    ----------
    place : Where
        Round, key and nodes.
    wanted : type
        What statistics must be instances of.
    skip : bool
        Whether keys may be missing.
    """

    def __init__(self, place: Where, wanted: type[Any], skip: bool) -> None:
        self._place = place
        self._wanted = wanted
        self._skip = skip
        self._kinds: dict[tuple[Any, ...], Kinds] = {}

    def __call__(self, node: str, value: Any) -> Forms:
        """Return the forms of a node's value, by the path within it.

        Raises
        ------
        DataError
            Something in it is no statistic.
        """
        found: dict[tuple[Any, ...], Hashable] = {}
        self._walk(node, value, (), found)
        return found

    def _walk(
        self, node: str, value: Any, path: tuple[Any, ...], found: dict[tuple[Any, ...], Hashable]
    ) -> None:
        inner = _within(self._place, *path)
        if isinstance(value, Mapping):
            # where keys may be missing, nodes need only agree that it is a dict
            found[path] = "a dict" if self._skip else _Names(frozenset(value))
            for name, part in value.items():
                self._walk(node, part, (*path, name), found)
        elif isinstance(value, list | tuple):
            found[path] = f"a {type(value).__name__} of {len(value)}"
            for number, part in enumerate(value):
                self._walk(node, part, (*path, number), found)
        elif isinstance(value, self._wanted):
            kinds = self._kinds.setdefault(path, Kinds(lambda values: _merged_each(values, inner)))
            found[path] = kinds.of(node, value)
        else:
            raise inner.error(sent_in_place_of(self._wanted, type(value)), node)


def sent_in_place_of(wanted: type[Any], sent: type[Any] | None) -> str:
    """Say that a node sent something else than a statistic; ``None`` is what has no known type."""
    found = "something else" if sent is None else with_article(sent.__name__)
    return (
        f"it sent {found} where a statistic ({wanted.__name__}) is expected: statistics have "
        "merge() and result()"
    )


def merged_statistics(values: dict[str, Any], place: Where) -> Any:
    """Return statistics merged in participant order, within dicts and lists too.

    Raises
    ------
    DataError
        They do not merge.
    """
    first = next(iter(values.values()))
    if isinstance(first, Mapping):
        return _merged_dict(values, place)
    if isinstance(first, list | tuple):
        rows = [
            merged_statistics({node: value[i] for node, value in values.items()}, place)
            for i in range(len(first))
        ]
        return rows if isinstance(first, list) else tuple(rows)
    return _merged_each(values, place)


def _merged_each(values: dict[str, Any], place: Where) -> Any:
    (first_node, total), *others = values.items()
    for node, value in others:
        # Not isinstance: what a subclass adds would be lost, or not, by who is first.
        if type(value) is not type(total):
            raise place.error(
                f"it sent a {type(value).__name__} where {first_node} sent a "
                f"{type(total).__name__}",
                node,
            )
        try:
            total = total.merge(value)
        except Exception as error:  # of a class of a user's own, it may be any
            why = error.message if isinstance(error, FlameError) else type(error).__name__
            raise place.error(
                f"its {type(value).__name__} does not merge with those before it ({why})",
                node,
                detail=error.detail if isinstance(error, FlameError) else None,
            ) from error
    return total


def _merged_dict(values: dict[str, Any], place: Where) -> dict[Any, Any]:
    result = {}
    for name in dict.fromkeys(name for value in values.values() for name in value):
        inner = _within(place, name)
        absent = [node for node, value in values.items() if name not in value]
        if absent:
            inner.leave_out("it is missing there", absent)
        having = {node: value[name] for node, value in values.items() if name in value}
        result[name] = merged_statistics(having, inner)
    return result


def _within(place: Where, *path: Any) -> Where:
    if not path:
        return place
    outer = place.key[1:-1] + "." if place.key.startswith("`") else ""
    inner = ".".join(one_line(part, _LONGEST) for part in path)
    return Where(place.round, f"`{outer}{inner}`", place.nodes)
