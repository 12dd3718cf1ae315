"""The framework's own cost in process: per node and round, against the bare user functions.

It is processor time, as other work on the machine must not count.
"""

from __future__ import annotations

from time import process_time

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

ROUNDS = 50


class Analyzer(StarAnalyzer):
    """Returns a number made of its data and the last aggregate."""

    def analysis_method(self, data, aggregator_results):
        return data[0]["value"] + 0.5 * (aggregator_results or 0.0)


class Aggregator(StarAggregator):
    """Averages, and stops after ROUNDS rounds."""

    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= ROUNDS - 1


def bare(nodes: int) -> float:
    """Return the processor seconds that the user functions alone take."""
    started = process_time()
    last = None
    for _ in range(ROUNDS):
        results = [float(i) + 0.5 * (last or 0.0) for i in range(nodes)]
        last = sum(results) / len(results)
    return process_time() - started


def framework(nodes: int) -> float:
    """Return the processor seconds of a whole run, building the nodes included."""
    splits = [[{"value": float(i)}] for i in range(nodes)]
    started = process_time()
    tester = StarModelTester(splits, Analyzer, Aggregator, "s3", simple_analysis=False, quiet=True)
    seconds = process_time() - started
    assert tester.rounds == ROUNDS
    return seconds


def main() -> None:
    """Print one line per number of nodes."""
    print("In process, scalar payload, no logging (best of 3 and more)")
    print("nodes   framework    bare   cost per node and round   (at most 100 us)")
    framework(2)
    for nodes in (2, 10, 100, 1000):
        turns = 3 if nodes > 100 else 8
        ours = min(framework(nodes) for _ in range(turns))
        theirs = min(bare(nodes) for _ in range(turns))
        cost = (ours - theirs) / ROUNDS / nodes * 1e6
        print(f"{nodes:5}  {ours * 1e3:7.1f} ms  {theirs * 1e3:6.2f} ms  {cost:15.1f} us")


if __name__ == "__main__":
    main()
