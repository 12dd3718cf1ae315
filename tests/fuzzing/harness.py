"""Runs in which one of three nodes sends anything: the real server, its time and memory."""

import time

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flame_flwr.aggregation import MaxRounds, Sum, WeightedMean
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.payload.estimators import is_estimator
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
from flame_flwr.statistics import Total
from flame_flwr.strategies import ReduceStrategy
from flame_flwr.transport.process_grid import ProcessGrid

from .mutations import size_of

ROUNDS = 18
DATA = [np.array([1.5, 2.25, -7.0]), np.array([0.1, 0.2, 0.3]), np.array([3.0, 1e-3, 8.0])]
HOSTILE, HONEST = 2, (1, 3)
FLOOR = 4 * 2**20
LONG = 60.0
"""Seconds for one answer on a busy machine: against hanging."""


def coef(data, number):
    return data / (number + 3.0)


class Fits(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        number = self.num_iterations + 1
        self.flame.report_metrics({"loss": float(number)})
        return {
            "coef": coef(data, number),
            "n": len(data) + number,
            "large": np.full(3000, data[0] + number),
            "age": Total.from_data(data),
        }

    def evaluation_method(self, data, result):
        return {"auc": float(data[0])}


class Collects(StarAggregator):
    """Keeps what each node has sent, whatever it is."""

    rounds: list = []
    most = ROUNDS

    def aggregation_method(self, analysis_results):
        found = dict(zip(self.answered_node_ids, analysis_results, strict=True))
        for each in filter(is_estimator, analysis_results):
            each.predict(np.zeros((5, each.n_features_in_)))
        self.rounds.append(found)
        return sum(found[node]["n"] for node in found if node in NAMES)

    def has_converged(self, result, last_result):
        return len(self.rounds) >= self.most


NAMES = [f"node-{place - 1}" for place in HONEST]


def key(message):
    """Return what an answer depends on: node, kind and round."""
    metadata = message.metadata
    return metadata.dst_node_id, metadata.message_type, metadata.group_id


class Recording(LocalGrid):
    """Keeps what its nodes answer."""

    def answer(self, message):
        reply = super().answer(message)
        self.recorded[key(message)] = reply.content
        return reply


class Hostile(ProcessGrid):
    """Nodes that answer as recorded, but for one: the server is what is tested, and measured."""

    def __init__(self, recorded, change, memory):
        super().__init__(len(DATA))
        self.recorded, self.change, self.memory = recorded, change, memory
        self.received = self.answers = 0

    def push_messages(self, messages):
        self.measure()
        return super().push_messages(messages)

    def answer(self, message):
        content = self.recorded[key(message)]
        reply = Message(RecordDict(dict(content)), reply_to=message)
        if message.metadata.dst_node_id != HOSTILE:
            return reply
        self.answers += 1
        changed = self.change(message.metadata.message_type, reply)
        self.received = size_of(changed)
        self.began = time.monotonic()
        self.memory.begin()
        return changed

    def measure(self):
        """See that the last answer took time and memory in proportion to its bytes only."""
        if self.received:
            peak = self.memory.grown()
            assert peak < 4 * FLOOR + 32 * self.received, (peak, self.received)
            assert time.monotonic() - self.began < LONG + 1e-4 * self.received
        self.received = 0


def star(count=ROUNDS):
    class Fresh(Collects):
        rounds = []
        most = count

    return StarModel(Fits, Fresh, "s3", simple_analysis=False), Fresh


def brief():
    return star(2)


def reduced():
    reductions = {
        "coef": WeightedMean("n", differing="skip", bad_weight="skip"),
        "n": Sum(differing="skip"),
    }
    strategy = ReduceStrategy(reductions, convergence=MaxRounds(ROUNDS), non_finite="skip")
    return StarModel(Fits, strategy, "s3", simple_analysis=False), None


def check_rounds(run, collected=True):
    """See that the run is complete, and the honest nodes' numbers are theirs to the bit."""
    about = run.about
    assert about["status"] == "completed"
    assert "incomplete" not in about
    assert run.size < 2**20
    for entry in about["history"]:
        others = set(about["nodes"]) - set(NAMES)
        assert others <= {*entry["failed"], *entry["node_seconds"]}
        assert set(entry["node_seconds"]) >= set(NAMES)
        assert not set(entry["failed"]) & set(NAMES)
        for node in NAMES:
            assert entry["node_metrics"][node] == {"loss": float(entry["round"])}
    for node, place in zip(NAMES, HONEST, strict=True):
        assert about["evaluations"][node] == {"auc": DATA[place - 1][0]}
    for number, found in enumerate(run.collected if collected else (), start=1):
        for node, place in zip(NAMES, HONEST, strict=True):
            assert found[node]["coef"].tobytes() == coef(DATA[place - 1], number).tobytes()
            assert found[node]["n"] == 3 + number
            assert found[node]["age"] == Total.from_data(DATA[place - 1])


def some_or_many(some, many):
    """Return the parameter ``examples`` of a test: what `make test` has, and `make test-all`."""
    exhaustive = pytest.param(many, marks=pytest.mark.exhaustive)
    return pytest.mark.parametrize("examples", [some, exhaustive])


def fuzz(examples, check):
    """Call a check with something to draw from, so many times."""

    @settings(QUIET, max_examples=examples)
    @given(data=st.data())
    def once(data):
        check(data)

    once()


QUIET = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    database=None,
    phases=[Phase.generate],
)
