"""What it costs a run to say what it does: processor time of the thread that writes ``live.json``.

The loop itself only sets a few attributes a round, which is measured beside it.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from flame_flwr.analysis.local_run import run_local
from flame_flwr.clients import NodePlan
from flame_flwr.config import RunSettings
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.live_state import LiveWriter
from flame_flwr.results.run_record import RoundRecord, RunRecord
from flame_flwr.results.run_stage import RunStage
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy
from flame_flwr.watch.parsed_runs import parse_live

ROUNDS = {2: 6000, 100: 400}


class Analyzer(StarAnalyzer):
    """Returns a number, and reports two."""

    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(loss=data / (1 + self.num_iterations), accuracy=0.5)
        return data + 0.5 * (aggregator_results or 0.0)


class Aggregator(StarAggregator):
    """Averages, and stops after its rounds."""

    rounds = 0

    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= self.rounds - 1


class Measured(LiveWriter):
    """Notes the processor time of its thread."""

    seconds = 0.0
    files = 0

    def _run(self) -> None:
        super()._run()
        self.seconds = time.thread_time()

    def _write(self, text: bytes) -> None:
        self.files += 1
        super()._write(text)


def cost(nodes: int) -> tuple[float, float, int, int]:
    """Return processor seconds of the whole run and of the writer, rounds and files."""
    Aggregator.rounds = ROUNDS[nodes]
    with tempfile.TemporaryDirectory() as folder:
        record, writer = RunRecord(), Measured(folder, datetime.now(UTC))
        plan = NodePlan(Analyzer, data_type="s3")
        settings = RunSettings.from_config({"max-rounds": Aggregator.rounds})
        splits = [float(i) for i in range(nodes)]
        started = time.process_time()
        with with_callbacks(record, writer):
            run_local(StarStrategy(Aggregator), plan, splits, settings, record, False)
        whole = time.process_time() - started
        assert parse_live((Path(folder) / LIVE).read_bytes()).rounds == len(record.history)
    return whole, writer.seconds, len(record.history), writer.files


def loop(rounds: int = 10_000) -> float:
    """Return the seconds that the loop takes a round to say what it does."""
    stage, entry = RunStage(), RoundRecord(1)
    started = time.process_time()
    for number in range(rounds):
        stage.enter("round", number)
        stage.entry = entry
        stage.closed = number
    return (time.process_time() - started) / rounds


def main() -> None:
    """Print one line per number of nodes."""
    print("live.json, rounds in process, to a folder (processor time)")
    print(
        "nodes  a round of the run  written for, a round (below 1 ms)  a file  two files a second"
    )
    own = loop()
    for nodes in ROUNDS:
        whole, writing, rounds, written = cost(nodes)
        # A machine that has other work to do gives a run less time between two files: their share
        # is that of the most files there can be, and not that of those that there were.
        share = 2 * writing / written + own * rounds / whole
        print(
            f"{nodes:5}  {whole / rounds * 1e3:15.2f} ms  {(writing / rounds + own) * 1e6:27.1f} us"
            f"  {writing / written * 1e3:13.2f} ms  {share:10.2%} (below 1 %)"
        )


if __name__ == "__main__":
    main()
