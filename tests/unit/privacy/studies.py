"""What the tests of disclosure rules share: what leaves a node, and a small study."""

from __future__ import annotations

from functools import reduce

from flame_flwr.payload import decode
from flame_flwr.privacy import Disclosure
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.statistics import MinMax, Moments

AGES = [[50.0, 61.0, 72.0, 80.0, 55.0, 67.0], [44.0, 39.0], [70.0, 71.0, 90.0, 33.0, 41.0]]


def through(value, *rules):
    """What of a value leaves a node with these rules, as the server reads it."""
    disclosure = Disclosure(rules)
    return decode(disclosure.pack(disclosure.apply(value), allow_pickle=False))


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(data), "range": MinMax.from_data(data)}


class Plain(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(data), "mean": {"of Maria Muster": float(sum(data))}}


class Scored(Ages):
    def evaluation_method(self, data, result):
        return {"n": len(data)}


class Merge(StarAggregator):
    def aggregation_method(self, analysis_results):
        return {
            key: reduce(merge, [r[key] for r in analysis_results]) for key in analysis_results[0]
        }

    def has_converged(self, result, last_result):
        return True

    def final_method(self, result, evaluations):
        return {key: value.result() for key, value in result.items()}


def merge(one, other):
    return one.merge(other)
