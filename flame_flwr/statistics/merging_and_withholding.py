"""The kinds of rules that :mod:`.fields` declares beside a statistic's fields.

Each says how a field is merged, what is left of it where nothing may be seen, and, where merging is
addition, which numbers of it a secure sum adds up and what it needs in clear.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from flame_flwr.statistics.alignment import Aligned, different

if TYPE_CHECKING:
    from flame_flwr.aggregation.grid import Grid
    from flame_flwr.statistics.base import Statistic

__all__ = [
    "KEY",
    "Axis",
    "Child",
    "Each",
    "FieldRule",
    "InClear",
    "Parameter",
    "Summand",
    "rules_of",
]

KEY = "flame_flwr.statistics"
"""Under it a field's metadata has its rule."""

Summand = tuple["Grid", Any]
"""A number of a statistic, and the grid on which it is summed."""


@dataclass(frozen=True)
class FieldRule:
    """How one field is merged, withheld, made coarser and checked.

    Parameters
    ----------
    merge : callable
        Gets the values of two nodes and returns that of both; in any order with the same bits.
    empty : Any
        The value of no data.
    withheld : callable, optional
        Gets the value and returns what is left of it where nothing may be seen; by default `empty`.
    check : callable, optional
        Gets the statistic's name and a value, and raises a ``ModelError`` where it cannot be one.
    coarsen : callable, optional
        Gets the value and the smallest count that may be seen, and returns it with small counts
        moved to their neighbours; ``None`` where all of them together are too few.
    grid : Grid, optional
        Where `merge` is addition: the grid that secure sums put the value on.
    entry : type of named tuple, optional
        Where the value is a tuple of these: JSON and the wire have them as lists.
    """

    merge: Callable[[Any, Any], Any]
    empty: Any = None
    withheld: Callable[[Any], Any] | None = None
    check: Callable[[str, Any], None] | None = None
    coarsen: Callable[[Any, int], Any] | None = None
    grid: Grid | None = None
    entry: Any = None

    def restored(self, value: Any) -> Any:
        """Return a value that has arrived as the field holds it; one that does not fit as it is."""
        entry = self.entry
        if entry is None or not isinstance(value, tuple):
            return value
        is_entry = (isinstance(each, tuple) and len(each) == len(entry._fields) for each in value)
        return tuple(map(entry._make, value)) if all(is_entry) else value

    @property
    def is_additive(self) -> bool:
        """Whether the value can be had from sums, and from what is alike at every node."""
        return self.grid is not None

    def split(self, value: Any, sums: list[Summand]) -> Any:
        """Return what of a value is in clear in a secure sum, and add its numbers to `sums`."""
        assert self.grid is not None
        sums.append((self.grid, value))
        return None

    def joined(self, clear: Any, sums: Iterator[Any]) -> Any:
        """Return the value of what :meth:`split` gave: what is in clear, and the next sums."""
        return next(sums)

    def how(self) -> Any:
        """Return how :meth:`split` goes, as JSON can hold it: here the grid."""
        assert self.grid is not None
        return [self.grid.bits, self.grid.exponent]

    def blank(self, value: Any) -> Any:
        """Return what stands in place of a value that is withheld."""
        return self.empty if self.withheld is None else self.withheld(value)


@dataclass(frozen=True)
class InClear(FieldRule):
    """The rule of a value that a secure sum needs alike, and in clear, from every node."""

    @property
    def is_additive(self) -> bool:
        """Whether secure sums can hold it: yes, in clear."""
        return True

    def split(self, value: Any, sums: list[Summand]) -> Any:
        """Return the value: all of it is in clear."""
        return value

    def joined(self, clear: Any, sums: Iterator[Any]) -> Any:
        """Return what is in clear."""
        return clear

    def how(self) -> Any:
        """Return that it is in clear."""
        return "clear"


@dataclass(frozen=True)
class Parameter(InClear):
    """The rule of a value that must be the same at every node."""


@dataclass(frozen=True)
class Axis(InClear):
    """The rule of a tuple of names: other fields have one place for each of them.

    Nodes may have the names in different orders.
    """

    key: Callable[[Any], Any] = str
    what: str = ""


@dataclass(frozen=True)
class Each(FieldRule):
    """The rule of a tuple that is merged place by place."""

    of: FieldRule = FieldRule(operator.add)
    by: tuple[str, ...] = ()
    arrange: Callable[..., list[int]] | None = None
    places: str = ""

    @property
    def is_additive(self) -> bool:
        """Whether each place can be had from sums."""
        return self.of.is_additive

    def split(self, value: Any, sums: list[Summand]) -> Any:
        """Split every place."""
        return tuple(self.of.split(item, sums) for item in value)

    def joined(self, clear: Any, sums: Iterator[Any]) -> Any:
        """Join every place."""
        return tuple(self.of.joined(item, sums) for item in clear)

    def how(self) -> Any:
        """Return how every place is split."""
        return {"each": self.of.how()}

    def merged(
        self, owner: str, one: tuple[Any, ...], two: tuple[Any, ...], axes: Mapping[str, Aligned]
    ) -> tuple[Any, ...]:
        """Merge place by place; each node's places are those of its own order of names."""
        if self.by:
            # both in the common order of names, whichever either had
            arrange = self.arrange or list
            aligned = [axes[name] for name in self.by]
            one = tuple(one[i] for i in arrange(*(axis.one for axis in aligned)))
            two = tuple(two[i] for i in arrange(*(axis.two for axis in aligned)))
        elif len(one) != len(two):
            raise different(owner, self.places)
        return tuple(map(self.of.merge, one, two))

    def blank_at(self, value: tuple[Any, ...], withheld: Sequence[bool]) -> tuple[Any, ...]:
        """Return the tuple with its withheld places blank, and the others as they are."""
        return tuple(
            self.of.blank(item) if out else item for item, out in zip(value, withheld, strict=True)
        )


@dataclass(frozen=True)
class Child(FieldRule):
    """The rule of a statistic within another one."""

    kind: Any = None

    @property
    def is_additive(self) -> bool:
        """Whether each of its fields can be had from sums."""
        return all(rule.is_additive for rule in rules_of(self.kind).values())

    def split(self, value: Any, sums: list[Summand]) -> Any:
        """Split every field."""
        rules = rules_of(self.kind).items()
        return tuple(rule.split(getattr(value, name), sums) for name, rule in rules)

    def joined(self, clear: Any, sums: Iterator[Any]) -> Any:
        """Join every field."""
        rules = rules_of(self.kind).items()
        pairs = zip(rules, clear, strict=True)
        return self.kind(**{name: rule.joined(part, sums) for (name, rule), part in pairs})

    def how(self) -> Any:
        """Return how every field is split."""
        return {"fields": {name: rule.how() for name, rule in rules_of(self.kind).items()}}


@cache  # asked for with every merge, and a class does not change
def rules_of(kind: type[Statistic]) -> dict[str, FieldRule]:
    """Return the rules of a statistic's fields, by name."""
    return {item.name: item.metadata[KEY] for item in fields(kind) if KEY in item.metadata}
