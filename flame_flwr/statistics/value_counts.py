"""How often the labels of a column occur."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flame_flwr.aggregation.grid import COUNTS
from flame_flwr.errors import ModelError
from flame_flwr.labels import label_key, shared_keys
from flame_flwr.statistics.alignment import by_label, prefer
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.cell_suppression import cells_to_withhold
from flame_flwr.statistics.checks import check_counts
from flame_flwr.statistics.fields import COUNT, declared_as
from flame_flwr.statistics.merging_and_withholding import FieldRule, InClear, Summand
from flame_flwr.statistics.people import people_in
from flame_flwr.statistics.remembered_columns import made_of
from flame_flwr.statistics.values import (
    check_labels,
    coded_labels,
    declared_labels,
    label_places,
)
from flame_flwr.statistics.visible import Cells, Visible, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flame_flwr.labels import Label, LabelKey

__all__ = ["ValueCounts"]

Entry = tuple["Label | None", int, int]


def _declared_at_both(
    one: tuple[Label, ...] | None, two: tuple[Label, ...] | None
) -> tuple[Label, ...] | None:
    if one is None and two is None:
        return None
    if one is None or two is None:
        raise ModelError(
            "ValueCounts: labels are declared at one node and found in the data at another: "
            "declare the same at every node"
        )
    return by_label("ValueCounts", "labels", one, two).names


def _added_by_label(one: Iterable[Entry], two: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries of both with one for each label, sorted."""
    merged: dict[LabelKey, Entry] = {}
    for label, count, shown in (*one, *two):
        key = label_key(label)
        found, had, had_shown = merged.get(key, (label, 0, 0))
        # 1 at one node and "1" at another are one label, written the same in any order of merging
        merged[key] = prefer(found, label), had + count, had_shown + shown
    return tuple(merged[key] for key in sorted(merged))


@dataclass(frozen=True)
class _Labels(InClear):
    """The rule of the declared labels: a secure sum needs them, as those that are found tell."""

    def split(self, value: Any, sums: list[Summand]) -> Any:
        if value is None:
            raise ModelError(
                "ValueCounts without declared labels cannot be summed securely: give every node "
                "the same, ValueCounts.from_data(column, labels=[...])"
            )
        return value


@dataclass(frozen=True)
class _Entries(FieldRule):
    """The rule of entries: their labels are in clear, their two numbers are summed."""

    @property
    def is_additive(self) -> bool:
        return True

    def split(self, value: Any, sums: list[Summand]) -> Any:
        sums.extend((COUNTS, number) for _, *numbers in value for number in numbers)
        return tuple(label for label, _, _ in value)

    def joined(self, clear: Any, sums: Iterator[Any]) -> Any:
        return tuple((label, next(sums), next(sums)) for label in clear)


@dataclass(frozen=True)
class ValueCounts(Statistic):
    """How often each label of a column occurs, as ``Series.value_counts`` tells.

    Declare the labels where you know them. Where not, they are found in the data, and a label
    that is withheld leaves no trace of its name.

    Parameters
    ----------
    declared : tuple of labels or None
        The labels that are counted; ``None`` for those that are found.
    entries : tuple of (label, count, shown)
        Sorted by label; the missing values first, with the label ``None``. `shown` is how many of
        the `suppressed` nodes did not withhold this count.
    other, other_shown : int
        The values with a label that is not declared.

    Examples
    --------
    >>> counts = ValueCounts.from_data(["f", "m", "f", None])
    >>> counts.result()["labels"], counts.result()["counts"], counts.result()["missing"]
    (['f', 'm'], [2, 1], 1)
    """

    declared: tuple[Label, ...] | None = field(metadata=declared_as(_Labels(_declared_at_both)))
    entries: tuple[Entry, ...] = field(metadata=declared_as(_Entries(_added_by_label, ())))
    other: int = field(default=0, metadata=COUNT)
    other_shown: int = field(default=0, metadata=COUNT)

    def __post_init__(self) -> None:
        """Check what may come from another party."""
        super().__post_init__()
        check_counts("ValueCounts", self.suppressed - self.other_shown)
        for entry in self.entries:
            if type(entry) is not tuple or len(entry) != 3:
                raise ModelError("ValueCounts: an entry is a label, a count and a number of nodes")
            check_counts("ValueCounts", *entry[1:], self.suppressed - entry[2])
        found = tuple(label for label, _, _ in self.entries)
        check_labels("ValueCounts", found[1:])
        if not found or found[0] is not None or list(found) != sorted(found, key=label_key):
            raise ModelError("ValueCounts: the entries must be sorted, missing values first")
        if self.declared is not None:
            check_labels("ValueCounts", self.declared)
            if sorted(self.declared, key=label_key) != list(found[1:]):
                raise ModelError("ValueCounts: the entries must be the declared labels")
        elif self.other or self.other_shown:
            raise ModelError("ValueCounts: other labels need declared ones")

    @classmethod
    def from_data(cls, values: Any, labels: Sequence[Label] | None = None) -> Self:
        """Count the labels of a column.

        Parameters
        ----------
        values : sequence, array or Series
            Strings, numbers or bools; a float without a fraction counts as an int.
        labels : sequence of labels, optional
            Those to count; what fits none of them, by the rule of :mod:`flame_flwr.labels`, is
            counted as ``other``. Without them, those that are found.
        """
        people = people_in(values)
        if labels is None:
            made = cls(None, _added_by_label([(None, 0, 0)], _found(values)))
            return made if people is None else made_of(made, {}, people, coded_labels(values)[0])
        empty = cls.zero(labels)
        known = [label for label, _, _ in empty.entries if label is not None]
        places = label_places(cls.__name__, values, known)
        *counts, other, missing = np.bincount(places, minlength=len(known) + 2).tolist()
        entries = zip((None, *known), (missing, *counts), strict=True)
        made = empty._changed(
            entries=tuple((label, count, 0) for label, count in entries), other=other
        )
        return made_of(made, {}, people, places)

    @classmethod
    def zero(cls, labels: Sequence[Label] | None = None) -> Self:
        """Return that of no values."""
        declared = None if labels is None else declared_labels(cls.__name__, labels)
        known = sorted(declared or (), key=label_key)
        return cls(declared, ((None, 0, 0), *((label, 0, 0) for label in known)))

    def result(self) -> dict[str, Any]:
        """Return ``labels`` with ``counts``, ``known`` and ``withheld_at``; ``missing``, ``other``.

        A count that a node withheld is ``None``. ``known`` has what the other nodes count, so the
        true one is as large or larger, and ``withheld_at`` how many nodes withheld it. Of labels
        that are found in the data, some may be withheld whole: ``suppressed`` nodes did so.
        """
        (_, missing, missing_shown), *found = self.entries
        return {
            "labels": [label for label, _, _ in found],
            "counts": [self._shown(count, shown) for _, count, shown in found],
            "known": [count for _, count, _ in found],
            "withheld_at": [self.suppressed - shown for _, _, shown in found],
            "missing": self._shown(missing, missing_shown),
            "other": self._shown(self.other, self.other_shown) if self.declared is not None else 0,
            "suppressed": self.suppressed,
        }

    def _shown(self, count: int, shown: int) -> int | None:
        return count if shown == self.suppressed else None

    @property
    def size(self) -> int:
        """The values, missing ones too."""
        return sum(count for _, count, _ in self.entries) + self.other

    @property
    def visible(self) -> Visible:
        """The counts by label, and all values where these can be had from the counts."""
        labels = [label for label, _, _ in self.entries if label is not None]
        keys = [label_key(None), *shared_keys(labels)]
        counts: Cells = {
            key: n
            for key, (_, n, shown) in zip(keys, self.entries, strict=True)
            if shown == self.suppressed
        }
        if self.other_shown == self.suppressed and self.declared is not None:
            counts["other"] = self.other
        return Visible(
            totals=() if self.suppressed else whole(self.size),
            parts=tuple(counts.values()),
            tables=(("labels", counts),),
            cells=len(self.entries) - 1,
            unfitted=0 if self.declared is None else self._shown(self.other, self.other_shown),
        )

    def withheld(self) -> Self:
        """Return it without any count, and without the labels that were found in the data."""
        # the rule of `entries` does not see whether these labels are declared
        return self.zero(self.declared)._changed(suppressed=1)

    def with_min_count(self, k: int) -> Self:
        """Withhold small counts, and others so that totals do not give these away."""
        *withheld, other = cells_to_withhold(
            [*(count for _, count, _ in self.entries), self.other], k
        )
        if not any([*withheld, other]):
            return self
        kept = zip(self.entries, withheld, strict=True)
        return self._changed(
            entries=tuple(
                # what was withheld before stays so: its count here is not all there is
                (label, 0 if out else count, int(not out and shown == self.suppressed))
                for (label, count, shown), out in kept
                # the name of a label that was found would tell that somebody has it
                if not out or label is None or self.declared is not None
            ),
            other=0 if other else self.other,
            other_shown=int(
                not other and self.declared is not None and self.other_shown == self.suppressed
            ),
            suppressed=1,
        )


def _found(values: Any) -> Iterable[Entry]:
    """Return the labels of a column with their counts."""
    codes, known = coded_labels(values)
    counts = np.bincount(codes, minlength=len(known)).tolist()
    return ((label, count, 0) for label, count in zip(known, counts, strict=True) if count)
