"""The four usage patterns of FLAME's guide to local testing, with its calls as they stand there."""

import pickle
import statistics
from pathlib import Path

import pytest

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

data1, data2, data3 = [1, 2, 3, 4], [5, 6, 7, 8], [2.0, 9.0]


class MyAnalyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        mean = sum(data) / len(data)
        return mean if aggregator_results is None else mean + aggregator_results / 2


class MyAggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        if last_result is None:
            return False

        # Converge when change is small
        delta = abs(result - last_result)
        return delta < 0.001 or self.num_iterations >= 100


def by_hand(*splits):
    """Compute the results of all rounds by a plain loop."""
    means = [statistics.fmean(split) for split in splits]
    results = [statistics.fmean(means)]
    while len(results) < 2 or abs(results[-1] - results[-2]) >= 0.001:
        results.append(statistics.fmean(mean + results[-1] / 2 for mean in means))
    return results


def test_pattern_1_simple_analysis():
    tester = StarModelTester(
        data_splits=[data1, data2, data3],
        analyzer=MyAnalyzer,
        aggregator=MyAggregator,
        data_type="s3",
        simple_analysis=True,  # Default
    )
    assert tester.result == pytest.approx(by_hand(data1, data2, data3)[0], rel=1e-12)
    assert tester.rounds == 1


def test_pattern_2_iterative_training():
    tester = StarModelTester(
        data_splits=[data1, data2, data3],
        analyzer=MyAnalyzer,
        aggregator=MyAggregator,
        data_type="s3",
        simple_analysis=False,  # Enable iterative mode
    )
    expected = by_hand(data1, data2, data3)
    assert tester.rounds == len(expected) > 5
    assert tester.result == pytest.approx(expected[-1], rel=1e-12)


def test_pattern_3_differential_privacy():
    pytest.importorskip("opendp")
    tester = StarModelTester(
        data_splits=[data1, data2, data3],
        analyzer=MyAnalyzer,
        aggregator=MyAggregator,
        data_type="s3",
        simple_analysis=False,
        epsilon=1.0,  # Privacy budget
        sensitivity=1.0,  # Sensitivity of your computation
    )
    exact = by_hand(data1, data2, data3)[-1]
    assert tester.result != exact
    assert abs(tester.result - exact) < 50  # beyond once in e^50 runs
    assert tester.privacy["epsilon"] == tester.privacy["sensitivity"] == 1.0


def test_pattern_4_saving_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    StarModelTester(
        data_splits=[data1, data2],
        analyzer=MyAnalyzer,
        aggregator=MyAggregator,
        data_type="s3",
        output_type="pickle",
        result_filepath="results/trained_model.pkl",
    )
    saved = pickle.loads(Path("results/trained_model.pkl").read_bytes())
    assert saved == pytest.approx(by_hand(data1, data2)[0], rel=1e-12)
