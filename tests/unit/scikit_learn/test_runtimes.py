"""A ``SklearnAnalyzer`` over messages: the same bits, without a hospital, and resumed."""

import numpy as np
from sklearn.linear_model import SGDClassifier

from flame_flwr.aggregation import DeltaNorm, MaxRounds, Plateau
from flame_flwr.sklearn import SklearnFedAvg

from .wards import SPLITS, Ward, over_messages, resumed, run


class Agreeing(Ward):
    """Its steps become shorter with the rows that it has seen, which is its state."""

    classes, scaling, passes = None, True, 2

    def estimator(self):
        return SGDClassifier(random_state=3, learning_rate="invscaling", eta0=0.1)


def strategy():
    return SklearnFedAvg(metrics=["accuracy"], convergence=MaxRounds(5))


def coef_of(record):
    return record.aggregate["model"]["coef"].tobytes()


def test_the_bits_are_alike_over_messages():
    local = run(Agreeing, strategy=strategy()).result
    record = over_messages(strategy(), Agreeing)
    assert coef_of(record) == local["model"]["coef"].tobytes()
    assert record.result["accuracy"] == local["accuracy"] > 0.8


def test_a_resumed_run_gives_the_same_bits(tmp_path):
    whole = over_messages(strategy(), Agreeing)
    record = resumed(strategy, Agreeing, tmp_path, 5)
    assert record.resumed_after == 2
    assert coef_of(record) == coef_of(whole)


def test_a_convergence_leaves_the_agreement_out():
    for settled in (DeltaNorm("model.coef", 1e9), Plateau("accuracy", 1, min_delta=2.0)):
        made = SklearnFedAvg(metrics=["accuracy"], convergence=settled)
        assert run(Agreeing, strategy=made).rounds == 3


class FailsOnce(Agreeing):
    def analysis_method(self, data, aggregator_results):
        if self.id == "node-1" and self.num_iterations in (0, 2):
            raise OSError("the disk is away")
        return super().analysis_method(data, aggregator_results)


def test_a_hospital_that_misses_the_agreement_comes_back():
    record = over_messages(strategy(), FailsOnce, **{"on-failure": "skip", "min-nodes": 2})
    assert [list(each.failed) for each in record.history] == [["node-1"], [], ["node-1"], [], []]
    pooled = np.concatenate([SPLITS[k][0][0] for k in (0, 2)])
    agreed = record.aggregate["agreed"]
    np.testing.assert_allclose(agreed["mean"], pooled.mean(axis=0), rtol=1e-12)
