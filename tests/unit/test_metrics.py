"""Numbers that nodes report of a round: checked, sent beside the result, recorded per node."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from flame_flwr.clients import StarClient
from flame_flwr.data.data_size import evidence_of
from flame_flwr.errors import ConfigError, ModelError, NodeFailedError, UnavailableError
from flame_flwr.flower import in_process
from flame_flwr.metrics import MOST, RESERVED, check_metrics, readable
from flame_flwr.privacy import Clip, MinCount, Strict
from flame_flwr.results.egress_log import EgressLog
from flame_flwr.results.metric_means import summary
from flame_flwr.results.run_json import history_csv
from flame_flwr.results.run_record import RoundRecord, RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
from flame_flwr.strategies import StarStrategy, WeightedFedAvg
from flame_flwr.transport.read_reply import read_scores


class Reports(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics({"loss": data / 4}, rounds_done=self.num_iterations)
        self.flame.report_metrics(loss=np.float32(data))
        return data + self.num_iterations

    def evaluation_method(self, data, result):
        return {"score": data / result}


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


def run(analyzer=Reports, splits=(1.0, 2.0), **kwargs):
    return StarModelTester(list(splits), analyzer, Total, "s3", simple_analysis=False, **kwargs)


@pytest.mark.parametrize("client", [None, StarClient], ids=["plain", "messages"])
def test_metrics_are_recorded_per_round_and_node(client, caplog):
    caplog.set_level("INFO", "flame_flwr")
    tester = run(client=client, quiet=False)
    for number, entry in enumerate(tester.record.history):
        assert entry.node_metrics == {
            "node-0": {"loss": 1.0, "rounds_done": number},
            "node-1": {"loss": 2.0, "rounds_done": number},
        }
    assert "loss 1.5 (1 to 2), rounds_done 2: has_converged returned True" in caplog.text
    assert "evaluation: 2 of 2 nodes, score 0.2143 (0.1429 to 0.2857)" in caplog.text


def test_a_strategys_metrics_are_recorded_per_node():
    class Trains(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return {"w": np.array([data]), "n": 1, "loss": np.float64(data / 2)}

    tester = StarModelTester(
        [1.0, 2.0], Trains, WeightedFedAvg("w", by="n", metrics=["loss"]), "s3"
    )
    assert tester.history[0].node_metrics == {"node-0": {"loss": 0.5}, "node-1": {"loss": 1.0}}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"": 1}, "a name is a short text"),
        ({"a\nb": 1}, "a name is a short text"),
        ({"a" * 101: 1}, "a name is a short text"),
        ({"=HYPERLINK(1)": 1}, "does not begin with =, ., - or @"),
        ({" @SUM(1)": 1}, "does not begin with"),
        ({"-x": 1}, "does not begin with"),
        ({"loss": "0.5"}, "takes numbers, and got one of type str"),
        ({"loss": np.zeros(2)}, "takes numbers, and got one of type ndarray"),
        ({"n": 2**70}, "an integer of more than 64 bits"),
        ({str(i): i for i in range(MOST + 1)}, "at most 100 numbers"),
    ],
)
def test_what_cannot_be_a_metric_is_refused(metrics, message):
    class Wrong(Reports):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics(metrics)

    with pytest.raises(ModelError, match=message) as raised:
        run(Wrong)
    assert "0.5" not in raised.value.message


@pytest.mark.parametrize("client", [None, StarClient], ids=["plain", "messages"])
@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_refused(name, client):
    class Takes(Reports):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics({name: 1.0})

    with pytest.raises((ModelError, NodeFailedError), match="name of the framework's own"):
        run(Takes, client=client)


WRONG_SCORES = [
    ({"=1+1": 1.0}, "a name is a short"),
    ({str(i): i for i in range(1001)}, "at most 1000 numbers"),
]


@pytest.mark.parametrize("client", [None, StarClient], ids=["plain", "messages"])
@pytest.mark.parametrize(("scores", "message"), WRONG_SCORES, ids=["name", "many"])
def test_scores_that_cannot_be_are_refused(scores, message, client):
    class Wrong(Reports):
        def evaluation_method(self, data, result):
            return scores

    with pytest.raises((ModelError, NodeFailedError), match=message):
        run(Wrong, client=client)


@pytest.mark.parametrize(
    "metrics",
    [*({name: 1.0} for name in sorted(RESERVED)), {"Maria": "x"}, {"=Maria": 1}, {"Maria\n": 1}],
)
def test_no_metrics_name_leaves_in_a_message(metrics):
    with pytest.raises(ModelError) as raised:
        check_metrics(metrics)
    [name] = metrics
    assert name not in raised.value.message
    assert "Maria" not in raised.value.message
    assert repr(name) in raised.value.detail


@pytest.mark.parametrize("client", [None, StarClient], ids=["plain", "messages"])
def test_an_answers_other_fields_are_no_metrics(client):
    class Arrays(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics(loss=data, rounds_done=self.num_iterations)
            return np.full(3, data)

    tester = run(Arrays, client=client, filters=[Clip(1.0)], disclosure=[MinCount(5)])
    names = {
        name
        for entry in tester.record.history
        for metrics in entry.node_metrics.values()
        for name in metrics
    }
    assert names == {"loss", "rounds_done"}
    assert tester.filters  # and disclosure and size: they came beside the metrics


@pytest.mark.parametrize("name", [*sorted(RESERVED), "=loss", "a\nb"])
def test_a_strategy_cannot_declare_such_a_name_either(name):
    with pytest.raises(ModelError, match="WeightedFedAvg: metrics: "):
        WeightedFedAvg(metrics=["loss", name])

    class Own(StarStrategy):
        def metric_keys(self):
            return ["loss", name]

    with pytest.raises(ModelError, match="Own: metrics: "):
        StarModelTester([1.0], Reports, Own(Total), "s3")


def test_metrics_are_for_analysis_methods():
    class Late(Reports):
        def evaluation_method(self, data, result):
            self.flame.report_metrics(loss=1)

    class Server(Total):
        def aggregation_method(self, analysis_results):
            self.flame.report_metrics(loss=1)

    plain = type("Plain", (StarAnalyzer,), {"analysis_method": Reports.analysis_method})
    with pytest.raises(ConfigError, match=r"numbers of flame\.report_metrics are none"):
        run(plain, disclosure=[Strict()])
    with pytest.raises(ModelError, match="evaluation_method returns its numbers"):
        run(Late)
    with pytest.raises(UnavailableError, match="for analyzers"):
        StarModelTester([1], Reports, Server, "s3")


def test_what_a_node_sends_is_read_with_care():
    sent = {"loss": 0.5, "seconds": 3.0, "bell\a": 1.0, "flag": True, "text": "x", "n": 3}
    assert readable(sent) == {"loss": 0.5, "n": 3}
    assert len(readable({str(i): i for i in range(1000)})) == MOST
    assert {"failed", "round", "bytes", "size"} <= RESERVED


def test_a_summary_is_short_and_printable():
    assert summary([{"loss": math.nan}, {"loss": 1.0}]) == "loss not finite at 1 of 2"
    assert summary([{"loss": math.nan}, {"loss": 1.0}], {"loss": (1.0, "n")}) == (
        "loss 1 (weighted by n, not finite at 1 of 2)"  # which has weight 0
    )
    assert summary([{f"m{i}": i for i in range(9)}]).endswith("m5 5, and 3 more")
    assert summary([{"a\x1b[31m": 1.0}]) == "a?[31m 1"
    assert summary([]) == ""


def test_metrics_are_columns_of_the_history(tmp_path):
    run(filename=tmp_path / "r.txt")
    rows = list(csv.DictReader((tmp_path / "history.csv").open(newline="")))
    assert [row["loss"] for row in rows] == ["1.0", "2.0"] * 3
    assert [row["rounds_done"] for row in rows] == ["0", "0", "1", "1", "2", "2"]
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["history"][2]["node_metrics"]["node-1"] == {"loss": 2.0, "rounds_done": 2}
    assert about["sizes"] == {"node-0": "float", "node-1": "float"}
    assert about["study"]["analyzer"] == "Reports"
    assert [file["name"] for file in about["other_files"]] == ["history.csv"]


def test_what_left_is_counted_without_values(tmp_path):
    left = EgressLog()
    for number in (1, 2):
        left.note("a", number, {"Anna Muster": np.zeros((2, 3)), "n": 5}, 100)
    left.note_numbers("a", 2, 3, "report_metrics")
    for number in range(50):
        left.note("b", number, [0.0] * number, 10)
    assert left.to_json()["a"] == [
        {
            "what": "dict(ndarray float64 (2, 3), int)",
            "answers": 2,
            "bytes": 200,
            "first_round": 1,
            "last_round": 2,
        },
        {
            "what": "3 numbers of report_metrics",
            "answers": 1,
            "bytes": 24,
            "first_round": 2,
            "last_round": 2,
        },
    ]
    assert len(left.to_json()["b"]) == 21
    assert sum(kind["answers"] for kind in left.to_json()["b"]) == 50


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        ([{"a.csv": b"12345"}, {"b.csv": b"123"}], "s3", "2 files, 8 B"),
        (
            [{"Patient": {"resourceType": "Bundle", "entry": [{}] * 1200}}],
            "fhir",
            "1,200 resources",
        ),
        ([1, 2, 3], "s3", "list of 3"),
        (np.zeros((60, 5)), "s3", "ndarray float64 (60, 5)"),
        (None, "s3", ""),
        ([{"a": b"1"}], "none", ""),
        ([], "s3", "list of 0"),
    ],
)
def test_an_amount_of_data_has_no_value(data, kind, text):
    assert evidence_of(data, kind).words() == text


def test_impossible_scores_are_ignored_on_the_server():
    content = RecordDict(
        {"evaluateres.metrics": ConfigRecord({"=1": 1.0, "a\nb": 2.0, "round": 3.0, "auc": 0.5})}
    )
    with in_process(1, 0):
        asked = Message(RecordDict(), dst_node_id=1, message_type="evaluate")
        reply = Message(content, reply_to=asked)
    assert read_scores(reply, "node-0").metrics == {"round": 3.0, "auc": 0.5}


def test_no_cell_of_history_csv_is_a_formula():
    assert history_csv(RunRecord()).decode().startswith("round,node,seconds,bytes,")
    entry = RoundRecord(
        1,
        node_seconds={"=cmd|' /C calc'!A0": 0.5, "b": -0.5},
        failed={"@SUM(1)": " +1"},
        reason="-1 is less",
        node_metrics={"b": {"=HYPERLINK(1)": -2.0}},
    )
    text = history_csv(RunRecord(nodes=["b"], history=[entry])).decode()
    rows = list(csv.reader(io.StringIO(text)))
    texts = [cell for row in rows for cell in row if not re.fullmatch(r"-?[0-9.]+", cell)]
    assert "'=HYPERLINK(1)" in texts
    assert "'=cmd|' /C calc'!A0" in texts
    assert not [cell for cell in texts if cell.lstrip()[:1] in tuple("=+-@")]
    assert rows[2][-1] == "-2.0"


def test_names_new_in_every_round_are_bounded(caplog):
    class New(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics({f"m{self.num_iterations}-{i}": i for i in range(100)})
            return data

    class Long(Total):
        def has_converged(self, result, last_result):
            return self.num_iterations >= 6

    tester = StarModelTester([1.0], New, Long, "s3", simple_analysis=False)
    counts = [len(entry.node_metrics.get("node-0", {})) for entry in tester.record.history]
    assert counts == [100, 100, 100, 100, 100, 0, 0]
    assert caplog.text.count("more than 500 metrics by name") == 1
