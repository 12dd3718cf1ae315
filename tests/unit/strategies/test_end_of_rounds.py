"""When a run ends, and that a strategy can be run again."""

import pytest
from mean_analysis import SPLITS, FailsOnce, Never, PlainSteps, Remembers, Steps, run

from flame_flwr.errors import (
    NodeFailedError,
    NotConvergedError,
)
from flame_flwr.results import RunRecord
from flame_flwr.strategies import StarStrategy


def test_max_rounds_fails_and_leaves_the_last_aggregate():
    record = RunRecord()
    with pytest.raises(NotConvergedError) as raised:
        run(Never, config={"max_rounds": 3}, record=record)
    text = str(raised.value)
    assert "not converged after 3 rounds (max-rounds)" in text
    assert "has_converged" in text
    assert "raise `max-rounds`" in text
    assert len(record.history) == 3
    assert record.aggregate["rounds"] == [2, 2, 2]
    assert record.result is None
    assert not record.converged


def test_convergence_in_the_last_round_is_no_failure():
    rounds = len(run().record.history)
    assert run(config={"max_rounds": rounds}).record.converged


def test_a_simple_analysis_needs_one_round_only():
    record = run(Never, simple=True, config={"max_rounds": 1}).record
    assert len(record.history) == 1
    assert record.history[0].reason == "a simple analysis has one round"


def test_a_strategys_own_simple_analysis_comes_first():
    assert len(run(strategy=StarStrategy(Steps, simple_analysis=True)).record.history) == 1
    multi = StarStrategy(Steps, simple_analysis=False)
    assert len(run(strategy=multi, simple=True).record.history) > 1


def test_node_finished_of_the_aggregator_ends_the_run():
    class Finishes(Never):
        def aggregation_method(self, analysis_results):
            if self.num_iterations == 2:
                self.node_finished()
            return super().aggregation_method(analysis_results)

    record = run(Finishes).record
    assert len(record.history) == 3
    assert record.history[-1].reason == "the aggregator called node_finished"
    assert record.result["rounds"] == [2, 2, 2]


def test_a_strategy_can_run_twice():
    strategy = StarStrategy(Steps, aggregator_kwargs={"tolerance": 1e-3})
    first, second = run(strategy=strategy), run(strategy=strategy)
    assert first.record.result == second.record.result
    assert first.record is not second.record
    assert len(first.record.history) == len(second.record.history)
    assert first.train_metrics_clientapp is not second.train_metrics_clientapp


def test_a_strategy_can_run_again_after_a_failure():
    strategy = StarStrategy(Remembers)
    with pytest.raises(NodeFailedError):
        run(analyzer=FailsOnce, strategy=strategy)
    assert len(run(analyzer=FailsOnce, strategy=strategy, splits=SPLITS[:1]).record.history) == 4


def test_an_aggregator_cannot_change_the_next_runs_arguments():
    class Appends(PlainSteps):
        def __init__(self, flame, names):
            super().__init__(flame)
            names.append("x")
            self.names = names

        def aggregation_method(self, analysis_results):
            return {"mean": 0.0, "names": self.names}

    kwargs = {"names": []}
    strategy = StarStrategy(Appends, aggregator_kwargs=kwargs)
    for _ in range(2):
        assert run(strategy=strategy, simple=True).record.result["names"] == ["x"]
    assert kwargs == {"names": []}
