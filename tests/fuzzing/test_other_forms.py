"""Answers that can be read, of another form than the others', to a declared strategy under skip.

Every round is merged of all three nodes' numbers, or of the honest two's: to the bit.
"""

import math

import numpy as np

from flame_flwr.aggregation import (
    Concat,
    Max,
    MaxRounds,
    Merge,
    MergeCounts,
    PerNode,
    Sum,
    WeightedMean,
)
from flame_flwr.star import StarModel
from flame_flwr.statistics import Total
from flame_flwr.strategies import ReduceStrategy

from .harness import (
    DATA,
    HONEST,
    NAMES,
    ROUNDS,
    Fits,
    check_rounds,
    coef,
    fuzz,
    some_or_many,
)
from .mutations import other_forms


class FitsMore(Fits):
    def analysis_method(self, data, aggregator_results):
        found = super().analysis_method(data, aggregator_results)
        more = {"most": data, "rows": data, "counts": {"f": 3, str(len(data)): 1}, "all": data}
        return {**found, "more": more}


DECLARED = {
    "coef": WeightedMean("n"),
    "n": Sum(),
    "large": Sum(),
    "age": Merge(Total),
    "more": {"most": Max(), "rows": Concat(), "counts": MergeCounts(), "all": PerNode()},
}


def declared():
    """The declared strategy as it is by default, and what it makes of every round."""

    class Kept(ReduceStrategy):
        rounds = []

        def update(self, merged, last):
            self.rounds.append(merged)
            return merged

    strategy = Kept(DECLARED, convergence=MaxRounds(ROUNDS))
    return StarModel(FitsMore, strategy, "s3", simple_analysis=False), Kept


def check_declared_forms(run, data):
    """See that every round is merged of all three, or of the honest two: to the bit."""

    def change(kind, reply):
        return data.draw(other_forms(reply)) if kind == "train" else reply

    run(declared, change)
    entries = run.about["history"]
    check_rounds(run, collected=False)
    for number, (entry, merged) in enumerate(zip(entries, run.collected, strict=True), start=1):
        if entry["failed"]:
            assert list(entry["failed"]) == ["node-1"]
            assert bits(merged) == bits(of_the_honest(number))
        assert set(merged["more"]["all"]) == set(entry["node_seconds"])


def of_the_honest(number):
    """Return what the honest nodes' numbers give, each computed another way."""
    data = [DATA[place - 1] for place in HONEST]
    coefs, n = [coef(each, number) for each in data], 3 + number
    terms = np.stack([n * each for each in coefs])
    return {
        "coef": np.array([math.fsum(column) / (2 * n) for column in terms.T]),
        "n": 2 * n,
        "large": np.full(3000, math.fsum([each[0] + number for each in data])),
        "age": Total.from_data(np.concatenate(data)),
        "more": {
            "most": np.maximum(*data),
            "rows": np.concatenate(data),
            "counts": {"f": 6, "3": 2},
            "all": dict(zip(NAMES, data, strict=True)),
        },
    }


def bits(value):
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    return (str(value.dtype), value.tobytes()) if isinstance(value, np.ndarray) else value


@some_or_many(16, 2000)
def test_other_forms_cost_their_sender_only(run, examples):
    fuzz(examples, lambda data: check_declared_forms(run, data))
