"""The look at the data before round 1: what travels, the table, who cannot take part."""

import json
import logging
import time

import pytest
from counting import Aggregator

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.data.expect import Column, Mismatch, Table
from flame_flwr.errors import ModelError, NodeFailedError, NodesMissingError
from flame_flwr.star import StarAnalyzer, StarModel, StarModelTester
from flame_flwr.transport.hello_findings import read_findings, write_findings
from flame_flwr.transport.ready_check import say_hello

AGE = Table("p.csv", {"age": Column("number", low=0, high=120)}, min_rows=2)
TELLS = Table("p.csv", {"age": Column("number", high=100, stops=False)})
GOOD = [{"p.csv": b"age\n54\n61\n"}]
OLD = [{"p.csv": b"age\n54\n110\n"}]
SMALL = [{"p.csv": b"age\n47\n"}]


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return len(data[0]["p.csv"])


@pytest.fixture(params=["in process", "messages"])
def tester(request):
    """Run the tester, with and without Flower's messages."""

    def run(splits, expects):
        from flame_flwr.clients import StarClient

        class Own(StarClient):
            pass

        client = Own if request.param == "messages" else None
        return StarModelTester(
            splits, Analyzer, Aggregator, "s3", expects=expects, client=client, quiet=False
        )

    return run


def table(caplog):
    [record] = [r for r in caplog.records if r.getMessage().startswith("before round 1:")]
    return record.getMessage().splitlines()[1:]


def test_the_table_says_what_is_as_expected(tester, caplog):
    caplog.set_level(logging.INFO, "flame_flwr")
    assert tester([GOOD, OLD], [AGE, TELLS]).result == 21
    assert table(caplog) == [
        "  node    takes part  finding",
        "  node-0  yes",
        "  node-1  yes         p.csv: column 'age' has values above 100",
    ]


def test_an_unable_node_stops_the_run_before(tester, caplog):
    caplog.set_level(logging.INFO, "flame_flwr")
    with pytest.raises(NodeFailedError) as raised:
        tester([GOOD, SMALL], [AGE])
    assert str(raised.value) == (
        "before round 1, 1 node cannot take part:\n"
        "  node-1: its data is not as the analysis expects: p.csv has fewer than 2 rows"
    )
    assert table(caplog)[2] == "  node-1  no          p.csv has fewer than 2 rows"


def test_nothing_is_said_where_nothing_is_expected(tester, caplog):
    caplog.set_level(logging.INFO, "flame_flwr")
    tester([GOOD, SMALL], [])
    assert "before round 1" not in caplog.text


def test_with_skip_the_run_goes_on_without(caplog):
    caplog.set_level(logging.INFO, "flame_flwr")
    plan = NodePlan(Analyzer, data_type="s3", expects=(AGE,))
    settings = RunSettings.from_config({"on-failure": "skip", "min-nodes": 1})
    with LocalGrid(plan, [GOOD, SMALL]) as grid:
        first, second = say_hello(grid, settings)
    assert first.failure is None
    assert second.failure is not None
    assert len(table(caplog)) == 3


def test_findings_travel_and_what_is_none_is_dropped():
    found = [Mismatch("a"), Mismatch("b", stops=False)]
    assert read_findings(write_findings(found)) == tuple(found)
    assert read_findings(None) is None
    for hostile in ("", "{}", "[" * 100_000, '[3, ["a"], [1, true], {"a": 1}]'):
        assert read_findings(hostile) == ()
    [long] = read_findings(json.dumps([["\x1b[2J" + "x" * 10_000, True]]))
    assert long.text.startswith("?[2J")
    assert len(long.text) == 300
    assert len(read_findings(write_findings(found * 1000))) == 50


@pytest.mark.parametrize(
    ("data_type", "expects"),
    [("none", [AGE]), ("fhir", [AGE]), ("s3", "p.csv"), ("s3", ["p.csv"]), ("s3", 3)],
)
def test_an_impossible_expectation_is_found_at_once(data_type, expects):
    with pytest.raises(ModelError, match="expects"):
        StarModel(Analyzer, Aggregator, data_type, expects=expects)


# ---- nodes that read for long -----------------------------------------------------------------


class Reading(LocalGrid):
    """Its second node says hello so many seconds after the run has begun."""

    seconds = 1.2  # hello is waited for at least 1 s

    def __init__(self, plan, splits):
        super().__init__(plan, splits)
        self.began = time.monotonic()

    def pull_messages(self, message_ids):
        late = time.monotonic() - self.began < self.seconds
        ready = [i for i in message_ids if not late or self.messages[i].metadata.dst_node_id != 2]
        return super().pull_messages(ready)


@pytest.fixture
def run(tmp_path, context):
    def run(expects, **config):
        model = StarModel(Analyzer, Aggregator, "s3", expects=expects)
        config = {key.replace("_", "-"): value for key, value in config.items()}
        node = context(run_config={"results": str(tmp_path), "node-timeout": 0.2, **config})
        started = time.monotonic()
        with Reading(model.plan, [GOOD, GOOD]) as grid:
            try:
                model.server_app(grid, node)
            finally:
                assert time.monotonic() - started < 60

    return run


def test_nodes_that_read_first_have_a_rounds_time(run, caplog):
    caplog.set_level(logging.INFO, "flame_flwr")
    run([AGE])
    assert table(caplog)[1:] == ["  node-0  yes", "  node-1  yes"]


def test_a_silent_node_is_said_with_the_mend(run, monkeypatch):
    monkeypatch.setattr(Reading, "seconds", 30)
    with pytest.raises(NodeFailedError) as raised:
        run([])
    assert "  2: no hello: no answer within 1 s: this node is connected" in str(raised.value)
    assert "raise `node-timeout` in the run config" in str(raised.value)


def test_a_slow_reader_is_said_with_the_mend(run):
    with pytest.raises(NodesMissingError) as raised:
        run([AGE], round_timeout=0.2, nodes="node-0,node-1")
    assert "waited for 1 of 2 nodes: missing node-1" in str(raised.value)
    assert "  2: no hello: no answer within 0 s: this node is connected" in str(raised.value)
    assert "raise `round-timeout` in the run config" in str(raised.value)
