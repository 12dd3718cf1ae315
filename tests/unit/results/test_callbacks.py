"""Nothing that shows a run ends it."""

import io
import json

import pytest
from rich.console import Console

from flame_flwr.analysis.local_run import run_local
from flame_flwr.clients import NodePlan
from flame_flwr.config import RunSettings
from flame_flwr.results.callbacks import Callback, with_callbacks
from flame_flwr.results.metric_means import mean
from flame_flwr.results.progress_bar import Bar
from flame_flwr.results.run_record import RunRecord
from flame_flwr.strategies import StarStrategy

from .small_runs import Average, Fits, constant, full_run, reported


@pytest.mark.parametrize("number", [1.5e308, -1.7e308, 2**62])
def test_huge_numbers_end_no_run(tmp_path, number, monkeypatch):
    bar = Bar(Console(file=io.StringIO(), force_terminal=True))
    monkeypatch.setattr("flame_flwr.analysis.tester.bars", lambda: [bar])
    assert full_run(tmp_path, analyzer=constant(number), quiet=False).converged
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "completed"
    assert {path.name for path in tmp_path.iterdir()} >= {"report.html", "tensorboard"}
    assert mean([number] * 3) == number
    assert mean([1.7e308, -1.7e308, 1.7e308]) == pytest.approx(1.7e308 / 3)


def test_a_callback_that_fails_is_left_out(caplog):
    class Breaks(Callback):
        def __init__(self):
            self.told = []

        def answered(self, node):
            self.told.append(node)
            raise BrokenPipeError("no terminal")

        def close(self):
            self.told.append("closed")

    record, breaks, counts = RunRecord(), Breaks(), Callback()
    strategy = StarStrategy(Average)
    plan = NodePlan(Fits, data_type="s3")
    with with_callbacks(record, breaks, counts):
        run_local(strategy, plan, [2.0, 4.0], RunSettings.from_config({}), record, True)
        assert record.callbacks == [counts]
    assert breaks.told == ["node-0", "closed", "closed"]
    assert caplog.text.count("Breaks failed (BrokenPipeError: no terminal)") == 1
    assert len(record.history) == 1


def test_extreme_metrics_cost_their_plot_and_no_more(tmp_path):
    class Swings(Fits):
        def analysis_method(self, data, aggregator_results):
            sign = 1 if self.num_iterations % 2 else -1
            self.flame.report_metrics(wild=sign * 1.7e308, loss=data / (1 + self.num_iterations))
            return data

    page = reported(tmp_path, Swings, [2.0, 4.0])
    plots = [attrs.get("alt") for tag, attrs in page.tags if tag == "img"]
    assert "loss per round and node" in plots
    assert "wild per round and node" not in plots
    assert "wild is not plotted" in page.text
