"""What a study hides: metrics and scores for the aggregator alone, and exact figures of a private
run, are in no file, no event, no line and no bar, whichever way the study is run.
"""

import base64
import io
import json
import pickle
import re
import struct

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from flame_flwr.aggregation import DeltaNorm, MaxRounds
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ModelError, NotConvergedError
from flame_flwr.results.callbacks import notify, with_callbacks
from flame_flwr.results.followed_lines import parse_line
from flame_flwr.results.progress_bar import Bar
from flame_flwr.results.record import RoundRecord, RunRecord
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


def is_in(number, text):
    """Tell whether a number is there: as text to four digits, or as TensorBoard stores it."""
    alone = rf"(?<![\w.+/-]){number:.0f}(?:\.\d+)?(?![\w+/])".encode()  # in no hash, no base64
    return re.search(alone, text) is not None or struct.pack("<f", number) in text


def everything(folder):
    """Return all that is in a folder's files, with the pictures in a report unpacked."""
    found = b""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        *texts, pictures = content, re.findall(rb"svg\+xml;base64,([A-Za-z0-9+/=]+)", content)
        texts += [re.sub(rb' d="[^"]*"', b"", base64.b64decode(each)) for each in pictures]
        found += b"\n".join(texts)
    return found


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


@pytest.fixture
def left_by(tmp_path, caplog, capsys):
    """Return all that runs have written and said."""
    caplog.set_level("DEBUG", "flame_flwr")

    def read():
        said = capsys.readouterr()
        return everything(tmp_path) + "".join([caplog.text, *said]).encode()

    return read


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


class Declines(StarAnalyzer):
    """A hidden loss of 7236 / round**2, beside a model that stays as it is."""

    kind = float

    def analysis_method(self, data, aggregator_results):
        loss = self.kind(7236.0 / (self.num_iterations + 1) ** 2)
        return {"model": np.array([1.0, 2.0]), "local_n_samples": 3, "loss": loss}


class DeclinesInArrays(Declines):
    kind = np.array


MEASURES = {
    "the key": DeltaNorm("loss", 1100.0),
    "a function": DeltaNorm(lambda aggregate: aggregate["loss"], 1100.0),
    "the whole": DeltaNorm(None, 1100.0),
    "one of two": DeltaNorm("loss", 1100.0) | MaxRounds(9),
    "two of three": MaxRounds(9) | (DeltaNorm("loss", 1100.0) & DeltaNorm("loss", 1200.0, ord=1.0)),
}


@pytest.mark.parametrize("analyzer", [Declines, DeclinesInArrays])
@pytest.mark.parametrize("measures", MEASURES)
def test_a_hidden_metrics_change_is_hidden(tmp_path, left_by, measures, analyzer):
    final = [("model.txt", "str", lambda final: final["model"])]
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MEASURES[measures], outputs=final)
    arguments = {"filename": tmp_path / "run", "quiet": False, "shown": ["auc"]}
    tester = full_run(tmp_path, [0, 1], analyzer, strategy, **arguments)
    text = left_by() + f"{tester!r} {tester.history.to_string()}".encode()
    # 7236, 1809, 804: so it changes by 5427 and by 1005
    assert tester.rounds == 3
    assert [number for number in (5427.0, 1005.0) if is_in(number, text)] == []
    assert set(tester.history["change"].dropna()) <= {0.0}
    assert "tol=1100.0, ord=2.0) said so" in tester.record.history[-1].reason


def test_a_shown_metrics_change_is_shown():
    strategy = WeightedFedAvg(metrics=["loss"], convergence=DeltaNorm("loss", 1100.0))
    for shown in (None, ["loss"]):
        tester = StarModelTester([0, 1], Declines, strategy, "s3", shown=shown)
        assert tester.history["change"].tolist()[1:] == [5427.0, 1005.0]
        assert tester.record.history[-1].reason == "`loss` changed by 1e+03, at most 1100"


def test_the_models_change_is_shown_all_the_same():
    class Moves(Declines):
        def analysis_method(self, data, aggregator_results):
            value = super().analysis_method(data, aggregator_results)
            return {**value, "model": np.array([3.0, 4.0]) * (self.num_iterations + 1)}

    both = DeltaNorm("loss", 1100.0) & DeltaNorm("model", 6.0)
    for convergence in (both, MaxRounds(3)):
        strategy = WeightedFedAvg(metrics=["loss"], convergence=convergence)
        tester = StarModelTester([0, 1], Moves, strategy, "s3", shown=[])
        assert tester.history["change"].tolist()[1:] == [5.0, 5.0]
        if convergence is both:
            hidden = "DeltaNorm(key='loss', tol=1100.0, ord=2.0) said so"
            reason = f"{hidden} and `model` changed by 5, at most 6"
            assert tester.record.history[-1].reason == reason


def test_a_hidden_metric_is_hidden_in_aggregates_too():
    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            loss = 7236.0 / (self.num_iterations + 1) ** 2
            self.flame.report_metrics(loss=loss)
            return loss

    class Nested(StarAggregator):
        def aggregation_method(self, analysis_results):
            return {"scores": [{"loss": np.array(analysis_results[0])}], "w": np.ones(2)}

        def has_converged(self, result, last_result):
            return False

    for key in ("scores", None, lambda aggregate: aggregate["scores"][0]["loss"]):
        convergence = DeltaNorm(key, 1100.0)
        arguments = ([0, 1], Reports, Nested, "s3")
        tester = StarModelTester(
            *arguments, simple_analysis=False, convergence=convergence, shown=[]
        )
        assert tester.history["change"].isna().all()
        assert tester.record.history[-1].reason.startswith("DeltaNorm(key=")


@pytest.mark.parametrize("hiding", [{"shown": ["auc"]}, {"epsilon": 1.0, "sensitivity": 1.0}])
def test_a_saved_history_holds_nothing_hidden(hiding):
    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics(loss=7251.125, auc=0.5)
            return 8311.25 / (self.num_iterations + 1)

    class Halves(StarAggregator):
        def aggregation_method(self, analysis_results):
            return float(sum(analysis_results))

        def has_converged(self, result, last_result):
            return self.num_iterations > 1

    tester = StarModelTester([0, 1], Reports, Halves, "s3", simple_analysis=False, **hiding)
    secrets = [7251.125] if "shown" in hiding else [7251.125, 8311.25]  # a metric, and the change
    saved = pickle.dumps(tester.history)
    assert [number for number in secrets if struct.pack(">d", number) in saved] == []
    history = pickle.loads(saved)
    assert history.columns.tolist() == tester.history.columns.tolist()
    assert history[-1] == tester.record.public.history[-1]
    assert tester.history[-1].node_metrics["node-1"]["loss"] == 7251.125  # it has everything


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


# ---- the first table that leaves --------------------------------------------------------------


class Rows(StarAnalyzer):
    """Returns its rows from the second round on."""

    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(loss=0.5)
        table = pd.DataFrame(np.zeros((int(data) + 250, 13)))
        return table if self.num_iterations else {"coef": np.zeros((300, 30))}


class Last(Sum):
    def aggregation_method(self, analysis_results):
        return 0.0


@pytest.mark.parametrize("strategy", [Last, ByMessages(Last)], ids=["in process", "by messages"])
def test_the_first_table_to_leave_is_told(strategy, caplog):
    caplog.set_level("INFO", "flame_flwr")
    tester = StarModelTester([0.0, 50.0], Rows, strategy, "s3", simple_analysis=False, quiet=False)
    lines = [line for line in caplog.messages if line.startswith("round")]
    assert re.search(r"B received, loss 0.5$", lines[0])
    assert re.search(r"kB received \(with a table of 300 rows x 13 columns\), loss 0.5$", lines[1])
    assert re.search(r"kB received, loss 0.5: has_converged returned True$", lines[2])
    assert [parse_line(line).metrics for line in lines] == ["loss 0.5"] * 3
    assert [entry.table for entry in tester.record.history] == ["", "300 rows x 13 columns", ""]


def test_lists_of_coefficients_are_no_table(caplog):
    class Pairs(Rows):
        def analysis_method(self, data, aggregator_results):
            return [[0.5] * 30, [0.25] * 30]

    caplog.set_level("INFO", "flame_flwr")
    StarModelTester([0.0, 50.0], Pairs, Last, "s3", quiet=False)
    assert "table" not in caplog.text
