"""What an aggregation need not have: it does nothing, or says that it cannot be done."""

import pytest

from flame_flwr.aggregation import Aggregation, Finished, MaxRounds
from flame_flwr.aggregation.base import as_aggregation
from flame_flwr.aggregation.early_stopping import EarlyStopping


class Required:
    def begin(self, number):
        self.total = 0

    def add(self, node, value):
        self.total += value

    def finish(self):
        return self.total, False, ""


class Subclass(Required, Aggregation):
    pass


class Saved(Required):
    reads_only = True

    def save(self):
        return b"total"

    def replace(self, aggregate):
        self.last = aggregate


@pytest.mark.parametrize("kind", [Required, Subclass])
def test_optional_methods_do_nothing(kind):
    one = as_aggregation(kind())
    one.begin(1)
    one.add("node-0", 3)
    assert Finished(*one.finish()) == Finished(3, False, "")
    assert (one.reads_only, one.save(), one.replace(1), one.final(3, {})) == (False, None, None, 3)


def test_methods_of_ones_own_are_kept():
    made = Saved()
    one = as_aggregation(made)
    one.replace(7)
    assert (one.reads_only, one.save(), made.last) == (True, b"total", 7)


def test_a_convergence_does_not_make_it_saved():
    assert EarlyStopping(Required(), MaxRounds(1)).save() is None
    assert EarlyStopping(Saved(), MaxRounds(1)).save() is not None
    assert EarlyStopping(Saved(), MaxRounds(1)).reads_only
