"""The base of mergeable statistics: frozen values with laws.

For figures that can be computed at each node and merged to what the pooled data would give. Not
for models: their arrays are averaged, see :mod:`flame_flwr.aggregation`.

The laws, for any `a`, `b`, `c` with the same parameters (edges, labels, columns):

- ``a.merge(zero) == a``
- ``a.merge(b) == b.merge(a)`` and ``a.merge(b).merge(c) == a.merge(b.merge(c))``, bit for bit:
  the order in which nodes answer does not show
- ``from_data(x).merge(from_data(y))`` is ``from_data(x and y)``, exactly where only counts are
  kept, and to the last few bits of a float where sums of floats are
- ``from_json(json.loads(json.dumps(a.to_json()))) == a``
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flame_flwr.errors import ModelError
from flame_flwr.payload.registration import register_type
from flame_flwr.statistics.cleared_statistics import check_cleared
from flame_flwr.statistics.exact_sums import pack_exact, unpack_exact
from flame_flwr.statistics.fields import (
    COUNT,
    check_fields,
    is_declared,
    merged_fields,
    without_places,
)
from flame_flwr.statistics.formatting import shown_figures
from flame_flwr.statistics.merging_and_withholding import rules_of
from flame_flwr.statistics.remembered_columns import keep_columns, merge_columns, without_columns
from flame_flwr.statistics.visible import Visible, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Statistic", "is_of_the_framework", "kind_named", "own_kinds"]

_NAMES: dict[str, type[Statistic]] = {}
"""Every statistic of this process, by its name in the JSON-able form and on the wire."""


@dataclass(frozen=True)
class Statistic(ABC):
    """Base of the mergeable statistics: subclass it, as a frozen dataclass, for one of your own.

    A subclass declares beside each field how it is merged, with a rule of
    :mod:`flame_flwr.statistics.fields`; ``merge``, ``zero`` and ``withheld`` follow from that. It
    writes ``from_data``, ``result`` and ``size``. Where no rule fits, it overrides the three
    itself, and ``visible`` where more can be seen of it than its size. Fields hold int, float, str,
    None, :class:`~fractions.Fraction`, other statistics, and tuples of these. A subclass is
    registered with the payload when it is defined, so its values travel.

    Parameters
    ----------
    suppressed : int
        How many nodes' data are not in here, wholly or partly, because a disclosure rule kept
        them back. ``result()`` says it.

    Raises
    ------
    ModelError
        When a subclass is defined: a field has no rule, and ``merge``, ``zero`` or ``withheld``
        needs one.

    Examples
    --------
    How many patients there are, and how old the oldest is:

    >>> from dataclasses import dataclass, field
    >>> from flame_flwr.statistics.fields import COUNT, LARGEST
    >>> @dataclass(frozen=True)
    ... class Oldest(Statistic):
    ...     n: int = field(metadata=COUNT)
    ...     age: int | None = field(metadata=LARGEST)
    ...
    ...     @classmethod
    ...     def from_data(cls, ages):
    ...         return cls(len(ages), max(ages, default=None))
    ...
    ...     def result(self):
    ...         return {"n": self.n, "oldest": self.age, "suppressed": self.suppressed}
    ...
    ...     @property
    ...     def size(self):
    ...         return self.n
    >>> here, there = Oldest.from_data([61, 70]), Oldest.from_data([83])
    >>> here.merge(there).result()
    {'n': 3, 'oldest': 83, 'suppressed': 0}
    >>> here.merge(Oldest.zero()) == here
    True
    >>> here.merge(there.with_min_count(5)).result()
    {'n': 2, 'oldest': 70, 'suppressed': 1}
    """

    suppressed: int = field(default=0, kw_only=True, metadata=COUNT)

    wire_name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register a new statistic for the payload, and check that its fields are declared."""
        super().__init_subclass__(**kwargs)
        _check_declared(cls)
        # set here: `@dataclass`, which comes next, would write one of its own into the class
        if "__repr__" not in vars(cls):
            cls.__repr__ = Statistic.__repr__  # type: ignore[method-assign]  # not the dataclass's
        # two users' statistics may have one name; the framework's keep theirs when a module moves
        own = cls.__module__.startswith("flame_flwr.")
        cls.wire_name = cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"
        _NAMES[cls.wire_name] = cls
        name = f"flame_flwr.statistics:{cls.wire_name}" if own else cls.wire_name
        register_type(cls, to=_to_json, restore=cls.from_json, name=name)

    @classmethod
    @abstractmethod
    def from_data(cls, *args: Any, **kwargs: Any) -> Self:
        """Compute it on one node's data."""

    def __post_init__(self) -> None:
        """Check the fields, each as its rule says: they may come from another party."""
        check_fields(self)

    @classmethod
    def zero(cls, *args: Any, **kwargs: Any) -> Self:
        """Return that of no data, with the same parameters: merging it changes nothing.

        A statistic with parameters overrides this.
        """
        return cls(**{name: rule.empty for name, rule in rules_of(cls).items()})

    def merge(self, other: Self) -> Self:
        """Return that of both data together, each field merged as its rule says.

        Raises
        ------
        ModelError
            The other one is another statistic, or has other edges, labels or columns.
        """
        self._check_alike(other)
        return merge_columns(self, other, replace(self, **merged_fields(self, other)))

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """Return the figures by name, JSON-able; what there is no data for is ``None``.

        ``suppressed`` is among them: how many nodes' figures are withheld.
        """

    def __repr__(self) -> str:
        """Return the figures, rounded, such as ``Moments(n=3, sum=183, mean=61, ...)``.

        What is 0 because nothing was withheld or altered is left out.
        """
        try:
            figures = shown_figures(self.result())
        except Exception as error:  # of a statistic of somebody's own
            figures = f"no figures: {type(error).__name__}"
        return f"{type(self).__name__}({figures})"

    @property
    @abstractmethod
    def size(self) -> int:
        """How many people or rows it is about."""

    @property
    def visible(self) -> Visible:
        """What can be seen of how many they are: by default no more than `size`."""
        return Visible(whole(self.size))

    def withheld(self) -> Self:
        """Return it without any figure and said to be suppressed; for disclosure rules."""
        rules = rules_of(type(self)).items()
        blank = {name: rule.blank(getattr(self, name)) for name, rule in rules}
        return self._changed(**blank | {"suppressed": 1})

    def with_min_count(self, k: int) -> Self:
        """Return it without a figure about fewer than `k`; for disclosure rules.

        Fields that can be made coarser are, and it is withheld where that is not enough; without
        such fields it is withheld where it is about fewer than `k`.

        Parameters
        ----------
        k : int
            The smallest group that may be seen. No group at all, 0, may be seen too.
        """
        rules = rules_of(type(self)).items()
        moved = {n: rule.coarsen(getattr(self, n), k) for n, rule in rules if rule.coarsen}
        if not moved:
            return self.withheld() if 0 < self.size < k else self
        if None in moved.values():  # all of it together is too few
            return self.withheld()
        changed = self._changed(**moved)
        return self if changed == self else changed._changed(coarsened_at=1)

    def to_json(self) -> dict[str, Any]:
        """Return it as dicts, lists, strings and numbers that JSON can hold, exactly."""
        own = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {"statistic": self.wire_name, **own}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Self:
        """Return the statistic that ``to_json`` made a form of, after checks.

        Called on :class:`Statistic` itself it takes the form of any.

        Raises
        ------
        ModelError
            It is not such a form.
        """
        found = kind_named(form.get("statistic") if isinstance(form, Mapping) else None)
        if found is None or not issubclass(found, cls):
            raise ModelError(f"this is not the form of a {cls.__name__} as to_json gives it")
        rest = {key: _value(item) for key, item in form.items() if key != "statistic"}
        if set(rest) != {item.name for item in fields(found)}:
            raise ModelError(f"the form of a {found.__name__} has missing or unknown fields")
        rules = rules_of(found)  # a user's statistic may have fields without one
        rest |= {name: rules[name].restored(value) for name, value in rest.items() if name in rules}
        try:
            return found(**rest)
        except ModelError:
            raise
        # a field's check may meet a value of any type here: the form comes from another party
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"the form of a {found.__name__} has a field of another type"
            ) from error

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse to be pickled where that would pass a node's disclosure rules by."""
        check_cleared(self)
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself where it is of the framework, as nothing in it can change."""
        if is_of_the_framework(self):
            return self
        own = {item.name: copy.deepcopy(getattr(self, item.name), memo) for item in fields(self)}
        return replace(self, **own)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the fields, and not the columns that it was made of."""
        return without_columns(vars(self))

    def _check_alike(self, other: object) -> None:
        if type(other) is not type(self):
            raise ModelError(
                f"a {type(self).__name__} merges with another one, not with {type(other).__name__}"
            )

    def _changed(self, **values: Any) -> Self:
        return keep_columns(self, replace(self, **values))

    def _without_places(self, withheld: Sequence[bool], *names: str) -> Self:
        """Return it with some places of these fields withheld, and said to be suppressed."""
        return self._changed(suppressed=1, **without_places(self, withheld, *names))


def is_of_the_framework(statistic: Statistic) -> bool:
    """Tell whether a statistic is of a class of the framework's, and of no user's."""
    return type(statistic).__module__.startswith("flame_flwr.statistics.")


def own_kinds() -> dict[str, type[Statistic]]:
    """Return the statistics of this process that are a user's own, by the name on the wire."""
    return {name: kind for name, kind in _NAMES.items() if name != kind.__name__}


def kind_named(name: object) -> type[Statistic] | None:
    """Return the statistic of a name, as JSON and the wire have it; ``None`` of no such name."""
    return _NAMES.get(name) if isinstance(name, str) else None


def _check_declared(kind: type[Statistic]) -> None:
    """See that every field has a rule where one of the three methods needs it."""
    derived = [
        name
        for name in ("merge", "zero", "withheld")
        if getattr(getattr(kind, name), "__func__", getattr(kind, name))
        is getattr(getattr(Statistic, name), "__func__", getattr(Statistic, name))
    ]
    for name, annotation in get_annotations(kind).items() if derived else ():
        # annotations may be texts, with `from __future__ import annotations`
        if "ClassVar" not in str(annotation) and not is_declared(vars(kind).get(name)):
            raise ModelError(
                f"{kind.__name__}: its field `{name}` does not say how it is merged: declare it as "
                f"`{name}: ... = field(metadata=COUNT)`, or with another rule of "
                f"flame_flwr.statistics.fields, or write {' and '.join(derived)} yourself"
            )


def _to_json(value: Statistic) -> dict[str, Any]:
    check_cleared(value)
    return value.to_json()


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"exact": pack_exact(value)}
    if isinstance(value, Statistic):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _value(form: Any) -> Any:
    if isinstance(form, list):
        return tuple(_value(item) for item in form)
    if isinstance(form, dict):
        if set(form) == {"exact"}:
            return unpack_exact(form["exact"])
        return Statistic.from_json(form)
    return form
