"""What a study hides: metrics and scores for the aggregator alone, and exact figures of a private
run, are in no file, no event, no line and no bar, whichever way the study is run.
"""

import io
import json

import pytest
from rich.console import Console

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ModelError, NotConvergedError
from flame_flwr.results.callbacks import notify, with_callbacks
from flame_flwr.results.progress_bar import Bar
from flame_flwr.results.run_record import RoundRecord, RunRecord
from flame_flwr.star import (
    StarAggregator,
    StarAnalyzer,
    StarLocalDPModel,
    StarModel,
    StarModelTester,
)
from flame_flwr.star.script import run_script
from flame_flwr.strategies import StarStrategy, WeightedFedAvg

from .small_runs import full_run
from .written import is_in

SECRETS = (7251.0, 7252.0, 6143.0, 6144.0)  # a metric and a score of two nodes
SHOWN = (8311.0, 8312.0, 9111.0, 9112.0)


class Scores(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(secret_loss=7251.0 + data, open_loss=8311.0 + data)
        return data

    def evaluation_method(self, data, result):
        return {"secret_auc": 6143.0 + data, "open_auc": 9111.0 + data}


class Sum(StarAggregator):
    seen = []

    def aggregation_method(self, analysis_results):
        return float(sum(analysis_results))

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2

    def final_method(self, result, evaluations):
        type(self).seen = evaluations
        return result


class Never(Sum):
    def has_converged(self, result, last_result):
        return False


class ByMessages(StarStrategy):
    """Overrides a Message method, so that it gets real messages also in process."""

    def configure_train(self, *arguments):
        return super().configure_train(*arguments)


def in_process(folder, aggregator=Sum, analyzer=Scores, splits=(0.0, 1.0), **declared):
    full_run(
        folder,
        splits,
        analyzer,
        aggregator,
        **{"filename": folder / "result.txt", "quiet": False, "max_rounds": 5, **declared},
    )


def by_messages(folder, aggregator=Sum, **declared):
    in_process(folder, ByMessages(aggregator), **declared)


@pytest.fixture
def by_server_app(context):
    def start(folder, aggregator=Sum, **declared):
        kind = StarLocalDPModel if "epsilon" in declared else StarModel
        model = kind(Scores, aggregator, "s3", simple_analysis=False, **declared)
        asked = {"results": str(folder), "report": "on", "tensorboard": "on", "max-rounds": 5}
        with LocalGrid(NodePlan(Scores, data_type="s3"), [0.0, 1.0]) as grid:
            model.server_app(grid, context(run_config=asked))

    return start


def by_script(folder, aggregator=Sum, **declared):
    named = {Sum: "Sum", Never: "Never"}[aggregator]
    kind = "StarLocalDPModel" if "epsilon" in declared else "StarModel"
    folder.mkdir()
    script = folder / "study.py"
    script.write_text(
        f"from {__name__} import Never, Sum, ByData as Scores\n"
        f"from flame.star import {kind}\n"
        f"{kind}(Scores, {named}, 's3', simple_analysis=False, **{declared!r})\n"
    )
    for number in (0, 1):
        (folder / f"data-{number}").mkdir()
        (folder / f"data-{number}" / "number").write_text(str(number))
    data = [str(folder / f"data-{number}") for number in (0, 1)]
    run_script(
        script, data, results=folder / "results", max_rounds=5, report="on", tensorboard="on"
    )


class ByData(Scores):
    """The same where the number is in a file."""

    def analysis_method(self, data, aggregator_results):
        return super().analysis_method(float(data[0]["number"]), aggregator_results)

    def evaluation_method(self, data, result):
        return super().evaluation_method(float(data[0]["number"]), result)


@pytest.fixture(params=["in process", "by messages", "ServerApp", "script"])
def run(request, by_server_app):
    """Each way to run a study; it gets a folder, the aggregator and what the model declares."""
    return {
        "in process": in_process,
        "by messages": by_messages,
        "ServerApp": by_server_app,
        "script": by_script,
    }[request.param]


PRIVATE = {"epsilon": 1.0, "sensitivity": 1.0}
DECLARED = [
    ({}, [*SECRETS, *SHOWN]),
    ({"shown": ["open_loss", "open_auc"]}, SHOWN),
    ({"shown": []}, []),
    (PRIVATE, []),
    ({**PRIVATE, "shown": ["open_loss", "open_auc", "secret_auc"]}, []),
]


@pytest.mark.parametrize(("declared", "seen"), DECLARED)
def test_only_what_the_study_shows_is_written(run, tmp_path, left_by, declared, seen):
    if "epsilon" in declared:
        pytest.importorskip("opendp")
    Sum.seen = []
    run(tmp_path / "run", **declared)
    text = left_by()
    assert [number for number in SECRETS + SHOWN if is_in(number, text)] == list(seen)
    assert [scores["secret_auc"] for scores in Sum.seen] == [6143.0, 6144.0]  # it gets them all
    (about,) = (json.loads(path.read_text()) for path in tmp_path.rglob("run.json"))
    assert about["shown"] == declared.get("shown")
    if declared == {"shown": []}:
        assert b"none: what the nodes report is for its aggregator alone" in text


def test_a_run_that_fails_hides_the_same(run, tmp_path, left_by):
    with pytest.raises(NotConvergedError):
        run(tmp_path / "run", Never, shown=["open_loss"])
    text = left_by()
    hidden = (*SECRETS, *SHOWN[2:])
    assert [number for number in hidden if is_in(number, text)] == []
    assert [number for number in SHOWN[:2] if not is_in(number, text)] == []


@pytest.mark.parametrize(
    ("record", "seen"),
    [(RunRecord(shown=("open_loss",)), ["8311"]), (RunRecord(privacy={"epsilon": 1.0}), [])],
)
def test_the_bar_shows_what_may_be_shown(record, seen):
    terminal = io.StringIO()
    metrics = {"a": {"secret_loss": 7251.0, "open_loss": 8311.0}}
    with with_callbacks(record, Bar(Console(file=terminal, force_terminal=True, width=200))):
        notify(record, "began", record, None)
        notify(record, "finished", RoundRecord(1, node_metrics=metrics), record)
    assert [number for number in ("7251", "8311") if number in terminal.getvalue()] == seen


def test_metrics_that_a_strategy_averages_are_hidden_too(tmp_path, left_by):
    class Fits(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {"model": 1.0, "local_n_samples": 3, "loss": 7251.0 + data}

    final = [("model.txt", "str", lambda final: final["model"])]
    strategy = WeightedFedAvg(metrics=["loss"], outputs=final)
    in_process(tmp_path, strategy, Fits, simple_analysis=True, shown=[])
    text = left_by()
    assert [number for number in (7251.0, 7252.0, 7251.5) if is_in(number, text)] == []


def test_a_name_that_nobody_reports_is_told_of(tmp_path, caplog):
    in_process(tmp_path, shown=["open_los", "open_auc"])
    (warning,) = (line for line in caplog.messages if "shown" in line)
    assert warning == (
        "shown: no node has reported 'open_los'; names that are not in `shown` are hidden"
    )


@pytest.mark.parametrize(
    "shown", ["open_auc", b"auc", {"open_auc": True}, [1], 3, [None], ["auc", 2]]
)
def test_shown_must_be_a_list_of_names(shown):
    private = {"epsilon": 1.0, "sensitivity": 1.0}
    for kind, more in ((StarModel, {}), (StarLocalDPModel, private)):
        with pytest.raises(ModelError, match="shown must be a list of the names of metrics"):
            kind(Scores, Sum, "s3", shown=shown, **more)
    with pytest.raises(ModelError, match="shown must be a list of the names of metrics"):
        StarModelTester([0.0], Scores, Sum, "s3", shown=shown)


@pytest.mark.parametrize(
    "shown", [["b", "a"], ("b", "a"), {"a", "b"}, frozenset("ab"), {"a": 1, "b": 2}.keys()]
)
def test_any_collection_of_names_will_do(shown):
    assert set(StarModel(Scores, Sum, "s3", shown=shown).shown) == {"a", "b"}
