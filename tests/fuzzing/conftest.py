"""A run of the real ServerApp with one hostile node."""

import json
import shutil

import pytest

from .harness import DATA, FLOOR, Hostile, Recording
from .peak_memory import peak_memory


@pytest.fixture
def run(request, tmp_path_factory, context, monkeypatch):
    """Run a model's ServerApp with a change of the hostile node's answers; return its run.json."""
    monkeypatch.setattr("flame_flwr.payload.work.FLOOR", FLOOR)
    # partitions count in a simulation only, where nobody is hostile
    monkeypatch.setattr("flame_flwr.transport.ready_check.is_remote", lambda grid: True)
    results = tmp_path_factory.mktemp("run")
    off = {"report": "off", "tensorboard": "off"}
    common = {**off, "results": str(results), "nodes": 3, "on-failure": "skip"}
    recorded = {}
    memory = peak_memory(exact=request.node.get_closest_marker("exhaustive") is not None)
    captured = request.config.pluginmanager.get_plugin("logging-plugin")

    def recordings(make):
        if make not in recorded:
            model, _ = make()
            with Recording(model.plan, DATA, run_config=common) as grid:
                grid.recorded = recorded[make] = {}
                model.server_app(grid, context(run_config=common))
        shutil.rmtree(results)
        results.mkdir()
        return recorded[make]

    def start(make, change, **config):
        run_config = {**common, **config}
        answers = recordings(make)
        model, aggregator = make()
        try:
            with memory.running(), Hostile(answers, change, memory) as grid:
                model.server_app(grid, context(run_config=run_config))
                grid.measure()
        finally:
            # Of thousands of runs pytest would keep more lines than an answer may take memory.
            for handler in (captured.caplog_handler, captured.report_handler):
                handler.reset()
            [folder] = results.iterdir()
            start.about = json.loads((folder / "run.json").read_bytes())
            start.size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        start.collected = aggregator.rounds if aggregator else []
        return grid.answers

    return start
