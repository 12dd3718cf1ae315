"""A mean by gradient steps, run over messages: what the tests of the loop share."""

import random

import numpy as np

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy

SPLITS = [[1.0, 2.0, 6.0], [10.0, 30.0], [-5.0]]


class Mean(StarAnalyzer):
    """One gradient step of the mean per round, and a random number to tell the rounds apart."""

    def __init__(self, flame, rate=0.5):
        super().__init__(flame)
        self.rate = rate
        self.rng = np.random.default_rng(len(self.partner_node_ids))

    def analysis_method(self, data, aggregator_results):
        at = 0.0 if aggregator_results is None else aggregator_results["mean"]
        return {
            "step": self.rate * float(np.sum(np.asarray(data) - at)),
            "n": len(data),
            "noise": self.rng.random(3),
            "id": self.id,
            "round": self.num_iterations,
        }

    def evaluation_method(self, data, result):
        return {"loss": float(np.sum((np.asarray(data) - result["mean"]) ** 2)), "n": len(data)}


class Steps(StarAggregator):
    def __init__(self, flame, tolerance=1e-3):
        super().__init__(flame)
        self.tolerance = tolerance
        self.noise = 0.0

    def aggregation_method(self, analysis_results):
        self.noise += sum(float(result["noise"].sum()) for result in analysis_results)
        before = 0.0 if self.latest_result is None else self.latest_result["mean"]
        n = sum(result["n"] for result in analysis_results)
        return {
            "mean": before + sum(result["step"] for result in analysis_results) / n,
            "noise": self.noise,
            "ids": [result["id"] for result in analysis_results],
            "rounds": [result["round"] for result in analysis_results],
            "answered": self.answered_node_ids,
        }

    def has_converged(self, result, last_result):
        return (
            last_result is not None and abs(result["mean"] - last_result["mean"]) < self.tolerance
        )

    def final_method(self, result, evaluations):
        total = sum(scores["loss"] for scores in evaluations)
        return {**result, "loss": total, "n": [scores["n"] for scores in evaluations]}


class PlainSteps(Steps):
    """Without the optional method."""

    final_method = None


class Shuffled(LocalGrid):
    """Replies come in another order every time, some only when asked for again."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.random = random.Random(5)

    def pull_messages(self, message_ids):
        ids = list(message_ids)
        self.random.shuffle(ids)
        some = ids if len(ids) < 2 else ids[: self.random.randint(1, len(ids))]
        return super().pull_messages(some)


def settings(**config):
    return RunSettings.from_config({key.replace("_", "-"): value for key, value in config.items()})


def run(
    aggregator=Steps,
    analyzer=Mean,
    splits=SPLITS,
    *,
    grid_class=LocalGrid,
    strategy=None,
    simple=False,
    config=None,
    **start,
):
    """Run over messages and return what ``start`` returns."""
    strategy = strategy or StarStrategy(aggregator)
    with grid_class(NodePlan(analyzer, data_type="s3"), splits) as grid:
        return strategy.start(
            grid, settings=settings(**(config or {})), simple_analysis=simple, **start
        )


def without_times(history):
    return [
        (e.round, list(e.node_seconds), e.node_bytes, e.failed, e.aggregate, e.converged, e.reason)
        for e in history
    ]


class Spy(LocalGrid):
    """Keeps what it was given to send."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.sent = []

    def push_messages(self, messages):
        messages = list(messages)
        self.sent += messages
        return super().push_messages(messages)


class Never(PlainSteps):
    def has_converged(self, result, last_result):
        return False


class FailsOnce(Mean):
    """The second node raises in the second round."""

    evaluation_method = None

    def analysis_method(self, data, aggregator_results):
        if self.id == "node-1" and self.num_iterations == 1:
            raise ValueError("too few patients")
        return super().analysis_method(data, aggregator_results)


class Remembers(StarAggregator):
    """Its aggregate is what it saw in every round, for four rounds."""

    def aggregation_method(self, analysis_results):
        seen = [(result["id"], result["round"]) for result in analysis_results]
        before = (self.latest_result or {"seen": []})["seen"]
        return {"mean": 0.0, "seen": [*before, (self.answered_node_ids, seen)]}

    def has_converged(self, result, last_result):
        return self.num_iterations >= 3
