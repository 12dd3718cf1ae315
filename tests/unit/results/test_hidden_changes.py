"""How much a hidden metric changes from round to round is hidden, too."""

import pickle
import struct

import numpy as np
import pytest

from flame_flwr.aggregation import DeltaNorm, MaxRounds
from flame_flwr.star import (
    StarAggregator,
    StarAnalyzer,
    StarModelTester,
)
from flame_flwr.strategies import WeightedFedAvg

from .small_runs import full_run
from .written import is_in


class Declines(StarAnalyzer):
    """A hidden loss of 7236 / round**2, beside a model that stays as it is."""

    kind = float

    def analysis_method(self, data, aggregator_results):
        loss = self.kind(7236.0 / (self.num_iterations + 1) ** 2)
        return {"model": np.array([1.0, 2.0]), "local_n_samples": 3, "loss": loss}


class DeclinesInArrays(Declines):
    kind = np.array


MEASURES = {
    "the key": DeltaNorm("loss", 1100.0),
    "a function": DeltaNorm(lambda aggregate: aggregate["loss"], 1100.0),
    "the whole": DeltaNorm(None, 1100.0),
    "one of two": DeltaNorm("loss", 1100.0) | MaxRounds(9),
    "two of three": MaxRounds(9) | (DeltaNorm("loss", 1100.0) & DeltaNorm("loss", 1200.0, ord=1.0)),
}


@pytest.mark.parametrize("analyzer", [Declines, DeclinesInArrays])
@pytest.mark.parametrize("measures", MEASURES)
def test_a_hidden_metrics_change_is_hidden(tmp_path, left_by, measures, analyzer):
    final = [("model.txt", "str", lambda final: final["model"])]
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MEASURES[measures], outputs=final)
    arguments = {"filename": tmp_path / "run", "quiet": False, "shown": ["auc"]}
    tester = full_run(tmp_path, [0, 1], analyzer, strategy, **arguments)
    text = left_by() + f"{tester!r} {tester.history.to_string()}".encode()
    # 7236, 1809, 804: so it changes by 5427 and by 1005
    assert tester.rounds == 3
    assert [number for number in (5427.0, 1005.0) if is_in(number, text)] == []
    assert set(tester.history["change"].dropna()) <= {0.0}
    assert "changes by at most 1100 (Euclidean norm)" in tester.record.history[-1].reason


def test_a_shown_metrics_change_is_shown():
    strategy = WeightedFedAvg(metrics=["loss"], convergence=DeltaNorm("loss", 1100.0))
    for shown in (None, ["loss"]):
        tester = StarModelTester([0, 1], Declines, strategy, "s3", shown=shown)
        assert tester.history["change"].tolist()[1:] == [5427.0, 1005.0]
        assert tester.record.history[-1].reason == "`loss` changed by 1e+03, at most 1100"


def test_the_models_change_is_shown_all_the_same():
    class Moves(Declines):
        def analysis_method(self, data, aggregator_results):
            value = super().analysis_method(data, aggregator_results)
            return {**value, "model": np.array([3.0, 4.0]) * (self.num_iterations + 1)}

    both = DeltaNorm("loss", 1100.0) & DeltaNorm("model", 6.0)
    for convergence in (both, MaxRounds(3)):
        strategy = WeightedFedAvg(metrics=["loss"], convergence=convergence)
        tester = StarModelTester([0, 1], Moves, strategy, "s3", shown=[])
        assert tester.history["change"].tolist()[1:] == [5.0, 5.0]
        if convergence is both:
            hidden = "as declared, when loss changes by at most 1100 (Euclidean norm)"
            reason = f"{hidden} and `model` changed by 5, at most 6"
            assert tester.record.history[-1].reason == reason


def test_a_hidden_metric_is_hidden_in_aggregates_too():
    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            loss = 7236.0 / (self.num_iterations + 1) ** 2
            self.flame.report_metrics(loss=loss)
            return loss

    class Nested(StarAggregator):
        def aggregation_method(self, analysis_results):
            return {"scores": [{"loss": np.array(analysis_results[0])}], "w": np.ones(2)}

        def has_converged(self, result, last_result):
            return False

    for key in ("scores", None, lambda aggregate: aggregate["scores"][0]["loss"]):
        convergence = DeltaNorm(key, 1100.0)
        arguments = ([0, 1], Reports, Nested, "s3")
        tester = StarModelTester(
            *arguments, simple_analysis=False, convergence=convergence, shown=[]
        )
        assert tester.history["change"].isna().all()
        assert tester.record.history[-1].reason.startswith("as declared, when ")


@pytest.mark.parametrize("hiding", [{"shown": ["auc"]}, {"epsilon": 1.0, "sensitivity": 1.0}])
def test_a_saved_history_holds_nothing_hidden(hiding):
    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics(loss=7251.125, auc=0.5)
            return 8311.25 / (self.num_iterations + 1)

    class Halves(StarAggregator):
        def aggregation_method(self, analysis_results):
            return float(sum(analysis_results))

        def has_converged(self, result, last_result):
            return self.num_iterations > 1

    tester = StarModelTester([0, 1], Reports, Halves, "s3", simple_analysis=False, **hiding)
    secrets = [7251.125] if "shown" in hiding else [7251.125, 8311.25]  # a metric, and the change
    saved = pickle.dumps(tester.history)
    assert [number for number in secrets if struct.pack(">d", number) in saved] == []
    history = pickle.loads(saved)
    assert history.columns.tolist() == tester.history.columns.tolist()
    assert history[-1] == tester.record.public.history[-1]
    assert tester.history[-1].node_metrics["node-1"]["loss"] == 7251.125  # it has everything
