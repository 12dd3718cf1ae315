"""Reduce a round's values without a run around it."""

import random

import pytest

from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.strategies.reduce_aggregation import ReduceAggregation
from flame_flwr.strategies.reduce_strategy import ReduceStrategy


class Flame:
    """The parts of a handle that an aggregation uses."""

    def __init__(self):
        self.progress = 0

    def _enter_round(self, number):
        self.round = number

    def _flush(self):
        pass

    def get_progress(self):
        return self.progress

    def set_progress(self, progress):
        self.progress = progress


class Declared(ReduceStrategy):
    """A strategy of declared reductions, in a run."""

    def __init__(self, tree):
        self.flame, self.non_finite = Flame(), "keep"
        self._round_tree = lambda number: tree


def reducing(nodes, tree):
    return ReduceAggregation(Declared(tree), nodes, simple=True)


@pytest.fixture
def reduce():
    """Return a function: declared reductions and the nodes' values to the merged value.

    It is merged three times, in different orders of arrival, which must not show.
    """

    def reduce(declared, values, rounds=1):
        if not isinstance(values, dict):
            values = {f"node-{i}": value for i, value in enumerate(values)}
        results = []
        for turn in range(3):
            tree = declare(declared)
            one = reducing(list(values), tree)
            order = list(values.items())
            if turn:
                random.Random(turn).shuffle(order)
            for number in range(1, rounds + 1):
                one.begin(number)
                for node, value in order:
                    one.add(node, value)
                merged = one.finish().aggregate
            results.append(merged)
        assert repr(results[1]) == repr(results[0])
        assert repr(results[2]) == repr(results[0])
        return results[0]

    return reduce
