"""Fixtures of the tests of results."""

import pytest

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.strategies import WeightedFedAvg

from .reported_runs import MANY, SPLITS, Steps, page_of
from .small_runs import HARM
from .written import everything


@pytest.fixture
def serve(tmp_path, context):
    """Run a model's ServerApp; return the folder with its runs, as `results` names it."""

    def start(model, results, **config):
        node = context(run_config={"results": results, **config})
        plan = NodePlan(model.plan.analyzer, data_type="s3")
        with LocalGrid(plan, [2.0, 4.0]) as grid:
            model.server_app(grid, node)

    return start


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the drawings of reports empty, where nobody looks at them: each takes 50 ms."""
    monkeypatch.setattr("flame_flwr.results.plots._svg", lambda drawing: b"<svg/>")


@pytest.fixture
def left_by(tmp_path, caplog, capsys):
    """Return all that runs have written and said."""
    caplog.set_level("DEBUG", "flame_flwr")

    def read():
        said = capsys.readouterr()
        return everything(tmp_path) + "".join([caplog.text, *said]).encode()

    return read


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A run with settings of every kind: its record, and the page of its report."""
    return page_of(
        tmp_path_factory.mktemp("many"),
        splits=SPLITS,
        analyzer=Steps,
        aggregator=WeightedFedAvg(by="n"),
        title=f"Ages {HARM}",
        description="Who is older?\n\nAnd why?",
        authors=["A. Weber", HARM],
        **MANY,
    )
