"""What every mergeable statistic is: a frozen value with laws.

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

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from flame_flwr.errors import ModelError
from flame_flwr.payload.registration import register_type
from flame_flwr.payload.wire import RefusedError
from flame_flwr.statistics.exact import pack_exact, unpack_exact
from flame_flwr.statistics.formatting import shown_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence, Sized

__all__ = [
    "CellCounts",
    "Statistic",
    "added",
    "check_counts",
    "check_exact",
    "check_lengths",
    "check_texts",
    "only_cleared",
]

T = TypeVar("T", int, Fraction)

CellCounts = dict[Any, int]
"""Counts, by where in a statistic they are."""

_NAMES: dict[str, type[Statistic]] = {}
"""Every statistic of this process, by its name in the JSON-able form and on the wire."""


@dataclass(frozen=True)
class Statistic(ABC):
    """Base of the mergeable statistics: subclass it, as a frozen dataclass, for one of your own.

    A subclass is registered with the payload when it is defined, so its values travel. Its fields
    hold what is merged: int, float, str, None, :class:`~fractions.Fraction`, other statistics, and
    tuples of these. Check them in ``__post_init__``: they may come from another party.

    Parameters
    ----------
    suppressed : int
        How many nodes' data are not in here, wholly or partly, because a disclosure rule kept
        them back. ``result()`` says it.
    """

    suppressed: int = field(default=0, kw_only=True)

    wire_name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let the values of a new statistic travel."""
        super().__init_subclass__(**kwargs)
        if "__repr__" not in vars(cls):
            cls.__repr__ = Statistic.__repr__  # type: ignore[method-assign]  # not the dataclass's
        own = cls.__module__.startswith("flame_flwr.")
        cls.wire_name = cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"
        _NAMES[cls.wire_name] = cls
        name = f"flame_flwr.statistics:{cls.wire_name}" if own else cls.wire_name
        register_type(cls, to=_to_json, restore=cls.from_json, name=name)

    @classmethod
    @abstractmethod
    def from_data(cls, *args: Any, **kwargs: Any) -> Self:
        """Compute it on one node's data."""

    @classmethod
    @abstractmethod
    def zero(cls, *args: Any, **kwargs: Any) -> Self:
        """Return that of no data, with the same parameters: merging it changes nothing."""

    @abstractmethod
    def merge(self, other: Self) -> Self:
        """Return that of both data together.

        Raises
        ------
        ModelError
            The other one is another statistic, or has other edges, labels or columns.
        """

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """Return the figures by name, JSON-able; what there is no data for is ``None``.

        ``suppressed`` is among them: how many nodes' figures are kept back.
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
    def cells(self) -> int:
        """How many bins, labels or cells it has; 0 for one that has none."""
        return 0

    @property
    def unfitted(self) -> int | None:
        """How many values fit none of its labels, missing ones apart; ``None`` if withheld."""
        return 0

    def totals(self) -> tuple[int, ...]:
        """Return the sizes of the groups it is about, for the rule on differences of totals."""
        return (self.size,) if self.size else ()

    def totals_by_column(self) -> tuple[tuple[str | None, int], ...]:
        """Return `totals`, each with the column that it is about, ``None`` for whole rows."""
        return tuple((None, total) for total in self.totals())

    def part_sizes(self) -> tuple[int, ...]:
        """Return the sizes of groups within it that can be seen, such as bins or labels."""
        return ()

    def cells_by_form(self) -> tuple[tuple[object, CellCounts], ...]:
        """Return counts that can be seen by place, each set with its form.

        Those of two statistics with one form can be subtracted, place by place.
        """
        return ()

    def member_statistics(self) -> tuple[tuple[str | None, Statistic], ...]:
        """Return the statistics that it is made of, each with the column that it is about."""
        return ((None, self),)

    def with_member_statistics(self, members: Sequence[Statistic]) -> Statistic:
        """Return it with others in place of `member_statistics`; for disclosure rules."""
        return members[0]

    @abstractmethod
    def withheld(self) -> Self:
        """Return it without any figure and said to be suppressed; for disclosure rules."""

    def with_min_count(self, k: int) -> Self:
        """Return it without a figure about fewer than `k`; for disclosure rules.

        Parameters
        ----------
        k : int
            The smallest group that may be seen. No group at all, 0, may be seen too.
        """
        return self.withheld() if 0 < self.size < k else self

    def without_totals(self, totals: Collection[int]) -> Self:
        """Return it without what is about a whole group of one of these sizes."""
        return self if set(totals).isdisjoint(self.totals()) else self.withheld()

    def with_most_cells(self, most: int) -> Self:
        """Return it with at most so many places that are found in the data, as of quantiles."""
        return self

    def with_wider_range(self, widen: Callable[[float, float], tuple[float, float]]) -> Self:
        """Return it with its smallest and largest value, if it has them, moved by `widen`."""
        return self

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
        name = form.get("statistic") if isinstance(form, Mapping) else None
        found = _NAMES.get(name) if isinstance(name, str) else None
        if found is None or not issubclass(found, cls):
            raise ModelError(f"this is not the form of a {cls.__name__} as to_json gives it")
        rest = {key: _value(item) for key, item in form.items() if key != "statistic"}
        if set(rest) != {item.name for item in fields(found)}:
            raise ModelError(f"the form of a {found.__name__} has missing or unknown fields")
        try:
            return found(**rest)
        except ModelError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"the form of a {found.__name__} has a field of another type"
            ) from error

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Be pickled, unless it would leave a node past its disclosure rules."""
        _check_cleared(self)
        return super().__reduce_ex__(protocol)

    def _check_alike(self, other: object, *parameters: str) -> None:
        """See that another value can be merged with this one."""
        if type(other) is not type(self):
            raise ModelError(
                f"a {type(self).__name__} merges with another one, not with {type(other).__name__}"
            )
        for name in parameters:
            if getattr(self, name) != getattr(other, name):
                raise ModelError(
                    f"two {type(self).__name__} with different {name} cannot be merged: "
                    f"give every node the same {name}"
                )

    def _changed(self, **values: Any) -> Self:
        return replace(self, **values)


def added(one: Sequence[T], two: Sequence[T]) -> tuple[T, ...]:
    """Add numbers place by place."""
    return tuple(a + b for a, b in zip(one, two, strict=True))


def check_counts(owner: str, *counts: object) -> None:
    """Refuse what is not an integer of at least 0.

    Raises
    ------
    ModelError
        One is not.
    """
    for count in counts:
        if type(count) is not int or not 0 <= count < 2**63:
            raise ModelError(f"{owner}: a count must be an integer of at least 0")


def check_exact(owner: str, *values: object) -> None:
    """Refuse what is no sum of floats.

    Raises
    ------
    ModelError
        One is not.
    """
    if not all(type(value) is Fraction for value in values):
        raise ModelError(f"{owner}: a sum must be a Fraction")


def check_texts(owner: str, texts: object) -> None:
    """Refuse what is no tuple of strings that all differ.

    Raises
    ------
    ModelError
        It is not.
    """
    if type(texts) is not tuple or not all(type(text) is str for text in texts):
        raise ModelError(f"{owner}: names must be a tuple of strings")
    if len(set(texts)) < len(texts):
        raise ModelError(f"{owner}: two names are alike")


def check_lengths(owner: str, *parts: Sized) -> None:
    """Refuse parts of different lengths.

    Raises
    ------
    ModelError
        They differ.
    """
    if len({len(part) for part in parts}) > 1:
        raise ModelError(f"{owner}: its parts have different lengths")


@contextmanager
def only_cleared(cleared: Iterable[Statistic]) -> Iterator[None]:
    """Let no other statistic be packed than these: the node's rules have looked at them."""
    token = _CLEARED.set(frozenset(map(id, cleared)))
    try:
        yield
    finally:
        _CLEARED.reset(token)


_CLEARED: ContextVar[frozenset[int] | None] = ContextVar("cleared statistics", default=None)


def _check_cleared(value: Statistic) -> None:
    cleared = _CLEARED.get()
    if cleared is not None and id(value) not in cleared:
        raise RefusedError(
            value,
            "The disclosure rules of this node do not see it where it is: return it in a dict, a "
            "list or a tuple",
        )


def _to_json(value: Statistic) -> dict[str, Any]:
    _check_cleared(value)
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
