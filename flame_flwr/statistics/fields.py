"""How each field of a statistic is merged, and what is left of it where nothing may be seen.

It is declared beside the field, as its metadata: ``n: int = field(metadata=COUNT)``, as
torchmetrics does with ``add_state(name, default, dist_reduce_fx)``. `Statistic` derives ``merge``,
``zero``, ``withheld`` and the check of what another party sent.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.grid import COUNTS, STATISTICS
from flame_flwr.errors import ModelError
from flame_flwr.labels import label_key
from flame_flwr.statistics.alignment import align, different
from flame_flwr.statistics.cell_suppression import coarsen
from flame_flwr.statistics.checks import (
    check_counts,
    check_exact,
    check_extreme,
    check_lengths,
    check_texts,
)
from flame_flwr.statistics.merging_and_withholding import (
    KEY,
    Axis,
    Child,
    Each,
    FieldRule,
    Parameter,
    rules_of,
)
from flame_flwr.statistics.values import check_labels

if TYPE_CHECKING:
    from flame_flwr.aggregation.grid import Grid
    from flame_flwr.statistics.base import Statistic

__all__ = [
    "COLUMNS",
    "COUNT",
    "EXACT_SUM",
    "LARGEST",
    "SMALLEST",
    "WITHHELD_AT",
    "FieldRule",
    "check_fields",
    "child",
    "combined",
    "declared_as",
    "each",
    "is_declared",
    "labels_of",
    "merged_fields",
    "parameter",
    "without_places",
]

Metadata = Mapping[str, Any]


def combined(
    merge: Callable[[Any, Any], Any],
    empty: Any = None,
    *,
    withheld: Callable[[Any], Any] | None = None,
    check: Callable[[str, Any], None] | None = None,
    coarsen: Callable[[Any, int], Any] | None = None,
    grid: Grid | None = None,
    entry: Any = None,
) -> Metadata:
    """Return a rule of your own, as metadata; parameters as of :class:`FieldRule`.

    Examples
    --------
    >>> from dataclasses import field
    >>> either: frozenset[str] = field(metadata=combined(frozenset.union, frozenset()))
    """
    return {KEY: FieldRule(merge, empty, withheld, check, coarsen, grid, entry)}


def declared_as(rule: FieldRule) -> Metadata:
    """Return a rule of a class of its own, as metadata."""
    return {KEY: rule}


def parameter(check: Callable[[str, Any], None] | None = None) -> Metadata:
    """Return the rule of what every node must have alike, such as edges; it may always be seen."""
    return {KEY: Parameter(lambda one, two: one, withheld=lambda value: value, check=check)}


def labels_of(what: str) -> Metadata:
    """Return the rule of labels that name the places of other fields.

    Parameters
    ----------
    what : str
        What they are, for errors: ``groups``.
    """
    return {KEY: Axis(lambda one, two: one, (), _same, check_labels, key=label_key, what=what)}


def child(kind: type[Any]) -> Metadata:
    """Return the rule of a statistic of this class within another one."""

    def check(owner: str, value: Any) -> None:
        if type(value) is not kind:
            raise ModelError(f"{owner}: a part of it must be a {kind.__name__}")

    def withheld(value: Any) -> Any:
        return value.withheld()

    return {KEY: Child(lambda one, two: one.merge(two), None, withheld, check, kind=kind)}


def each(
    metadata: Metadata,
    by: str | tuple[str, ...] = (),
    *,
    arrange: Callable[..., list[int]] | None = None,
    places: str = "places",
    coarsened: bool = False,
) -> Metadata:
    """Return the rule of a tuple whose places are merged one by one.

    Parameters
    ----------
    metadata : mapping
        The rule of one place, such as ``COUNT``.
    by : str or tuple of str
        The fields that hold the places' names; nodes may have these in different orders.
    arrange : callable, optional
        Gets, for every field of `by`, the place of each name, and returns the tuple's places in
        that order. Without it there is one per name.
    places : str
        What places are without `by`, for errors: ``bins``.
    coarsened : bool
        Whether small counts are moved to neighbouring places, and ``coarsened_at`` says so.
    """
    rule: FieldRule = metadata[KEY]
    check_one = rule.check

    def check(owner: str, value: Any) -> None:
        if type(value) is not tuple:
            raise ModelError(f"{owner}: what has several places must be a tuple")
        if check_one is not None:
            for item in value:
                check_one(owner, item)

    names = (by,) if isinstance(by, str) else by  # of `by=()`, places have no names
    return {
        KEY: Each(
            rule.merge,
            (),
            lambda value: tuple(map(rule.blank, value)),
            check,
            _coarsen_places if coarsened else None,
            of=rule,
            by=names,
            arrange=arrange,
            places=places,
        )
    }


def is_declared(item: Any) -> bool:
    """Tell whether what stands beside a field's name in its class is its rule."""
    return KEY in getattr(item, "metadata", ())


def merged_fields(one: Statistic, two: Statistic) -> dict[str, Any]:
    """Return the fields of two statistics of one class, merged.

    Raises
    ------
    ModelError
        Parameters or names differ.
    """
    owner, rules = type(one).__name__, rules_of(type(one))
    pairs = {name: (getattr(one, name), getattr(two, name)) for name in rules}
    # before any field is merged: the places of the others are those of the axes
    axes = {
        name: align(owner, rule.what, *pairs[name], rule.key)
        for name, rule in rules.items()
        if isinstance(rule, Axis)
    }
    merged = {}
    for name, rule in rules.items():
        if isinstance(rule, Parameter) and pairs[name][0] != pairs[name][1]:
            raise different(owner, name)
        if isinstance(rule, Each):
            merged[name] = rule.merged(owner, *pairs[name], axes)
        else:
            merged[name] = axes[name].names if name in axes else rule.merge(*pairs[name])
    return merged


def without_places(statistic: Statistic, withheld: Sequence[bool], *names: str) -> dict[str, Any]:
    """Return fields that have places, with the withheld places blank."""
    found = {}
    for name in names:
        rule, value = rules_of(type(statistic))[name], getattr(statistic, name)
        assert isinstance(rule, Each)
        found[name] = rule.blank_at(value, withheld)
    return found


def check_fields(statistic: Statistic) -> None:
    """Refuse values that cannot be those of the fields, or that do not fit each other.

    Raises
    ------
    ModelError
        One cannot.
    """
    owner, rules = type(statistic).__name__, rules_of(type(statistic))
    # what each is first: what is no tuple has no length to compare
    for name, rule in rules.items():
        if rule.check is not None:
            rule.check(owner, getattr(statistic, name))
    for name, rule in rules.items():
        # how many places an `arrange` gives may be huge for forged names: its statistic checks it
        if isinstance(rule, Each) and len(rule.by) == 1 and rule.arrange is None:
            check_lengths(owner, getattr(statistic, name), getattr(statistic, rule.by[0]))


def _same(value: Any) -> Any:
    return value


def _smallest(one: Any, two: Any) -> Any:
    return min((value for value in (one, two) if value is not None), default=None)


def _largest(one: Any, two: Any) -> Any:
    return max((value for value in (one, two) if value is not None), default=None)


def _coarsen_places(counts: tuple[int, ...], k: int) -> tuple[int, ...] | None:
    moved = coarsen(list(enumerate(counts)), k)
    if moved is None:
        return None
    found = dict(moved)  # a place whose counts have moved away is not in it
    return tuple(found.get(place, 0) for place in range(len(counts)))


COUNT = combined(operator.add, 0, check=check_counts, grid=COUNTS)
"""A whole number of people, rows or nodes: added up, 0 where it is withheld."""

EXACT_SUM = combined(operator.add, Fraction(0), check=check_exact, grid=STATISTICS)
"""A sum of floats as a :class:`~fractions.Fraction`: added up without rounding."""

SMALLEST = combined(_smallest, check=check_extreme)
"""The smaller of two; ``None`` where there is none, and where it is withheld."""

LARGEST = combined(_largest, check=check_extreme)
"""The larger of two; ``None`` where there is none, and where it is withheld."""

WITHHELD_AT = combined(operator.add, 0, withheld=lambda nodes: 1, check=check_counts, grid=COUNTS)
"""At how many nodes a figure is withheld: this one is added where it is."""

COLUMNS: Metadata = {
    KEY: Axis(lambda one, two: one, (), _same, check_texts, key=str, what="columns")
}
"""Columns' names, which name the places of other fields."""
