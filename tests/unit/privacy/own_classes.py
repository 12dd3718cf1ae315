"""Rules, filters, statistics and an analyzer of an analysis's own, for the tests of the gate."""

from __future__ import annotations

from dataclasses import dataclass, field

from flame_flwr.errors import PayloadError
from flame_flwr.privacy import (
    DisclosureRule,
    UpdateFilter,
)
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.fields import COUNT


@dataclass(frozen=True)
class OnlyLarge(DisclosureRule):
    least: int

    def stricter(self, other):
        return self

    def weigh(self, evidence):
        if evidence.people is not None and evidence.people < self.least:
            raise PayloadError("too few people")

    def protect(self, statistics):
        return [s if s.size >= self.least else s.withheld() for s in statistics]


@dataclass(frozen=True)
class Doubled(UpdateFilter):
    def change(self, update, noise):
        return 2 * update


class Returns(StarAnalyzer):
    def __init__(self, flame, result):
        super().__init__(flame)
        self.result = result

    def analysis_method(self, data, aggregator_results):
        return self.result


@dataclass(frozen=True)
class Own(Statistic):
    n: int = field(metadata=COUNT)

    @classmethod
    def from_data(cls, values):
        return cls(len(values))

    def result(self):
        return {"n": self.n}

    @property
    def size(self):
        return self.n
