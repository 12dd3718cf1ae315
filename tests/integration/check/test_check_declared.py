"""The conformance kit on declared strategies, built and as classes."""

import numpy as np
import pytest

from flame_flwr.aggregation import DeltaNorm, MaxRounds, Mean, Sum
from flame_flwr.clients import StarClient
from flame_flwr.star import StarAnalyzer
from flame_flwr.strategies import CyclicTraining, ReduceStrategy, WeightedFedAvg
from flame_flwr.testing import check_analysis
from flame_flwr.testing.observer import Observer
from flame_flwr.testing.runs import run
from flame_flwr.testing.spec import CheckSpec, Settings
from flame_flwr.testing.subjects import ClassSource
from flame_flwr.testing.verdicts import Verdicts

SPLITS = [[1.0, 2.0], [5.0], [3.0, 3.0, 4.0]]


class Pull(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        at = np.zeros(2) if aggregator_results is None else aggregator_results["model"]
        return {"model": at + (np.mean(data) - at) / 2, "local_n_samples": len(data)}


class Declared(ReduceStrategy):
    reductions = {"model": Mean(), "local_n_samples": Sum()}
    convergence = MaxRounds(4) | DeltaNorm("model", 1e-3)
    outputs = (("n.txt", "str", lambda final: final["local_n_samples"]),)


STRATEGIES = [
    Declared,
    Declared(secure=True),
    WeightedFedAvg(convergence=MaxRounds(3)),
    CyclicTraining(rounds=3),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_declared_strategy_is_sound(strategy):
    """The template that the README has checked is such a one.

    Where a model goes from node to node, their order makes it.
    """
    assert check_analysis(Pull, strategy, SPLITS) == []


@pytest.mark.exhaustive
def test_masked_sums_are_run_masked_once():
    """Else nothing is found at two nodes, and a run of them fails."""
    [finding] = check_analysis(Pull, Declared(secure=True), SPLITS[:2], raises=False)
    assert (finding.check, finding.severity) == ("masks", "error")
    assert "secure sums need 3 nodes or more" in finding.seen


class Hears(StarClient):
    """A client of one's own: the analysis is then run once."""


@pytest.mark.exhaustive
def test_single_run_is_masked():
    given = {"client": Hears, "raises": False}
    assert check_analysis(Pull, Declared(secure=True), SPLITS, **given) == []
    [finding] = check_analysis(Pull, Declared(secure=True), SPLITS[:2], **given)
    assert (finding.check, finding.severity) == ("runs", "error")
    assert "secure sums need 3 nodes or more" in finding.seen


def judged(splits):
    """Return what two runs in this process are found to differ in, one of them masked."""
    spec = CheckSpec(None, [], max_rounds=5, seconds=600, tolerance=0)
    subject = ClassSource(Pull, Declared(secure=True), splits, {}).load(None)
    observer = Observer(lambda at: None, iterative=True)
    order = tuple(range(len(splits)))
    traces = [
        run(subject, spec, Settings(order, order, masked=masked), observer, None)
        for masked in (False, True)
    ]
    verdicts = Verdicts(subject, spec)
    verdicts.compare("masks", *traces)
    return traces, verdicts.findings


def test_masked_run_is_compared_with_the_other():
    (plain, masked), findings = judged(SPLITS)
    assert findings == []
    assert masked.rounds == plain.rounds > 1
    assert masked.aggregates.keys() == plain.aggregates.keys() != set()
    assert plain.results
    assert not masked.results  # of nodes there is nothing to compare


def test_masks_that_give_another_sum_are_found(monkeypatch):
    from flame_flwr.privacy.secure import part

    def wrong(views, keys):
        views[-1][-1:] += np.uint64(2**30)

    monkeypatch.setattr(part, "mask_in_place", wrong)
    [finding] = judged(SPLITS)[1]
    assert "the aggregate of round 1 differs with masked sums" in finding.seen


def test_two_nodes_are_too_few_for_masks():
    [finding] = judged(SPLITS[:2])[1]
    assert "the run with masked sums failed" in finding.seen
    assert finding.mend.startswith("Give three splits or more")
