"""Fields say how they are merged: what follows from that, and what is refused."""

from dataclasses import dataclass, field

import pytest

from flame_flwr.errors import ModelError
from flame_flwr.statistics import ContingencyTable, Histogram, RowCount, Statistic, ValueCounts
from flame_flwr.statistics.additive import split_form
from flame_flwr.statistics.fields import COLUMNS, COUNT, WITHHELD_AT, child, combined, each


class Small:
    """The rest of a statistic of ones own."""

    @classmethod
    def from_data(cls, *values):
        return cls(*values)

    def result(self):
        return {"suppressed": self.suppressed}

    @property
    def size(self):
        return 1


@dataclass(frozen=True)
class Study(Small, Statistic):
    columns: tuple[str, ...] = field(metadata=COLUMNS)
    n: tuple[int, ...] = field(metadata=each(COUNT, by="columns"))
    withheld_at: tuple[int, ...] = field(metadata=each(WITHHELD_AT, by="columns"))
    rows: RowCount = field(metadata=child(RowCount))
    words: frozenset = field(metadata=combined(frozenset.union, frozenset()))


ONE = Study(("a", "b"), (1, 2), (0, 0), RowCount(3), frozenset("x"))
TWO = Study(("b", "a"), (10, 20), (0, 0), RowCount(4), frozenset("y"))


def test_every_field_is_merged_by_its_rule():
    assert ONE.merge(TWO) == Study(("a", "b"), (21, 12), (0, 0), RowCount(7), frozenset("xy"))


def test_every_field_is_withheld_by_its_rule():
    hidden = RowCount(0, suppressed=1)
    assert ONE.withheld() == Study(("a", "b"), (0, 0), (1, 1), hidden, frozenset(), suppressed=1)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"n": (1,)}, "its parts have different lengths"),
        ({"n": [1, 2]}, "must be a tuple"),
        ({"n": (1, -2)}, "a count must be an integer of at least 0"),
        ({"columns": ("a", "a")}, "two names are alike"),
        ({"rows": 3}, "must be a RowCount"),
    ],
)
def test_values_that_break_a_rule_are_refused(changed, what):
    with pytest.raises(ModelError, match=f"Study: .*{what}"):
        ONE._changed(**changed)


def test_a_field_without_a_rule_is_refused():
    with pytest.raises(ModelError, match=r"Silent: its field `n` does not say .*metadata=COUNT"):

        class Silent(Small, Statistic):
            n: int


def test_who_writes_the_methods_needs_no_rules():
    @dataclass(frozen=True)
    class Written(Small, Statistic):
        n: int

        @classmethod
        def zero(cls):
            return cls(0)

        def merge(self, other):
            return Written(self.n + other.n)

        def withheld(self):
            return Written(0, suppressed=1)

    assert Written(1).merge(Written(2)) == Written(3)
    assert Written(1).with_min_count(5) == Written(0, suppressed=1)


@pytest.mark.parametrize(
    "statistic",
    [
        Histogram.from_data([1.0] * 3 + [3.0] * 9 + [5.0] * 30, [0, 2, 4, 6]),
        ValueCounts.from_data(["a"] * 3 + ["b"] * 9 + ["c"] * 30, ["a", "b", "c"]),
        ContingencyTable.from_data(["a"] * 3 + ["b"] * 9, ["x"] * 12, ["a", "b"], ["x"]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_count_withheld_once_stays_withheld(statistic):
    first = statistic.with_min_count(5).result()
    again = statistic.with_min_count(5).with_min_count(20).result()
    assert None in flat(first["counts"])
    for before, after in zip(flat(first["counts"]), flat(again["counts"]), strict=True):
        assert before is not None or after is None


def flat(counts):
    return [n for part in counts for n in (part if isinstance(part, list) else [part])]


@pytest.mark.parametrize(
    "how",
    [{"m": "clear"}, {"n": "x"}, {"n": 5}, {"n": [64]}, {"n": [3, 0]}, {"n": {"each": [64, 0]}}],
)
def test_a_forged_account_of_sums_is_refused(how):
    with pytest.raises(ModelError, match=r"not of the form|bits must be"):
        split_form("app.Visits", {"n": 3}, how)
