"""FLAME's local testing guide, its complete example with all its log lines: time per round."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

ROUNDS = 6


class MyAnalyzer(StarAnalyzer):
    """The guide's analyzer."""

    def analysis_method(self, data, aggregator_results):
        self.flame.flame_log(f"\tAggregator results: {aggregator_results}", log_type="debug")
        local_avg = sum(data) / len(data)
        if aggregator_results is None:
            analysis_result = local_avg
        else:
            analysis_result = (local_avg + aggregator_results) / 2 + 0.5
        self.flame.flame_log(f"MyAnalysis result ({self.id}): {analysis_result}", log_type="notice")
        return analysis_result


class MyAggregator(StarAggregator):
    """The guide's aggregator."""

    def aggregation_method(self, analysis_results):
        self.flame.flame_log(f"\tAnalysis results: {analysis_results}", log_type="notice")
        result = sum(analysis_results) / len(analysis_results)
        self.flame.flame_log(f"MyAggregator result ({self.id}): {result}", log_type="notice")
        return result

    def has_converged(self, result, last_result):
        self.flame.flame_log(f"\tLast: {last_result}, current: {result}", log_type="notice")
        self.flame.flame_log(f"\tIteration {self.num_iterations}", log_type="notice")
        return self.num_iterations >= ROUNDS - 1


def seconds_per_round(nodes: int) -> float:
    """Return the median time of a round, its log lines written to a file."""
    splits = [[4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * i + 4] for i in range(nodes)]
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "log").open("w") as log,
        contextlib.redirect_stdout(log),
    ):
        tester = StarModelTester(
            splits, MyAnalyzer, MyAggregator, "s3", simple_analysis=False, quiet=False
        )
    assert tester.rounds == ROUNDS
    return statistics.median(entry.seconds for entry in tester.record.history)


def main() -> None:
    """Print one line per number of splits."""
    print("The guide's complete example, logging included (median round, best of 3)")
    print("splits    a round   per node   (at most 1 ms at 2 splits, 12 ms at 100, and linear)")
    seconds_per_round(2)
    for nodes in (2, 10, 100, 500, 1000):
        best = min(seconds_per_round(nodes) for _ in range(3))
        print(f"{nodes:6}  {best * 1e3:7.2f} ms  {best / nodes * 1e6:6.1f} us")


if __name__ == "__main__":
    main()
