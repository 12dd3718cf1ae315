"""What a hostile node says is shown as text: one line, not too long, that no terminal obeys."""

import csv
import io
import json

import pytest
from flwr.app import Error, Message

from flame_flwr.aggregation import MaxRounds, MergeCounts, Sum
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import FlameError, text_of
from flame_flwr.failure.failure import Failure
from flame_flwr.metrics import FORMULA
from flame_flwr.payload import encode, to_record
from flame_flwr.results.followed_lines import RoundLine, parse_line
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.strategies import ReduceStrategy

LINE = "round 7: 3 nodes, 0.1 s: has_converged returned True"
FORGED = f"=1+1\n{LINE}\r\x1b[2J\x1b]0;title\x07\x9b2J\u2028\u202e;=2+5\t@SUM(1) {'x' * 200_000}"
FAILURE = Failure(FORGED, FORGED, FORGED, FORGED).to_json()


class Count(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(rows=len(data))
        return {"n": len(data), "seen": {"a": 1}}

    def evaluation_method(self, data, result):
        return {"n": 1.0}


def config(reply, name):
    return reply.content[name]


def properties(**changes):
    def change(reply):
        config(reply, "getpropertiesres.properties").update(changes)
        return reply

    return "get_properties", change


def failing(kind, name):
    def change(reply):
        about = {"failure": FAILURE, "name": FORGED, "approval": FORGED}
        config(reply, name).update(about)
        return reply

    return kind, change


def crashing(kind):
    return kind, lambda reply: Message(Error(8, FORGED), reply_to=reply_to(reply))


def reply_to(reply):
    return reply.asked


def beside(**changes):
    def change(reply):
        config(reply, "fitres.metrics").update(changes)
        return reply

    return "train", change


def result(value):
    def change(reply):
        reply.content["fitres.parameters"] = to_record(encode(value))
        return reply

    return "train", change


FILTERS = json.dumps([{"filter": FORGED[:5000], "applied": True, FORGED[:200]: FORGED[:5000]}])
FORGERIES = {
    "hello fails": failing("get_properties", "getpropertiesres.properties"),
    "hello's name": properties(name=FORGED),
    "hello's short name": properties(name=FORGED[:100]),
    "hello's framework": properties(framework=FORGED),
    "hello's wire": properties(wire=FORGED),
    "hello's versions": properties(versions=json.dumps({FORGED: FORGED, "flwr": FORGED})),
    "hello's findings": properties(findings=json.dumps([[FORGED, True], [FORGED, False]])),
    "hello crashes": crashing("get_properties"),
    "a round fails": failing("train", "fitres.metrics"),
    "a round crashes": crashing("train"),
    "metrics": beside(**{FORGED[:90]: 1.0, FORGED: 2.0, "x;=1+1": 3.0, "seconds": FORGED}),
    "reports": beside(filters=FILTERS, disclosure=json.dumps([FORGED]), size=FORGED),
    "keys of a result": result({"n": 1, "seen": {FORGED: 2}, FORGED: 3}),
    "deep keys of a result": result({"n": {FORGED: 1}, "seen": {"a": {FORGED: 2}}}),
    "another result": result({"n": FORGED, "seen": {FORGED: "a"}}),
    "a result of text": result(FORGED),
    "the evaluation fails": failing("evaluate", "evaluateres.metrics"),
    "the evaluation crashes": crashing("evaluate"),
}


class Hostile(LocalGrid):
    """The second of three nodes answers one kind of message as a forgery says."""

    def __init__(self, forgery):
        super().__init__(NodePlan(Count, data_type="s3"), [[1], [2, 3], [4]])
        self.kind, self.change = forgery

    def answer(self, message):
        reply = super().answer(message)
        if message.metadata.dst_node_id != 2 or message.metadata.message_type != self.kind:
            return reply
        reply.asked = message
        return self.change(reply)


def texts(value):
    """Give every text in JSON, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def check(text):
    assert len(text) < 30_000
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("round 7") for line in lines)
    rounds = [each for each in map(parse_line, lines) if isinstance(each, RoundLine)]
    assert not any(each.round == 7 for each in rounds)


@pytest.mark.parametrize("on_failure", ["abort", "skip"])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_text_is_shown_as_text(tmp_path, context, caplog, forgery, on_failure):
    strategy = ReduceStrategy({"n": Sum(), "seen": MergeCounts()}, convergence=MaxRounds(1))
    model = StarModel(Count, strategy, "s3", simple_analysis=False)
    run_config = {"results": str(tmp_path), "on-failure": on_failure, "report": "on"}
    said = ""
    with Hostile(FORGERIES[forgery]) as grid:
        try:
            model.server_app(grid, context(run_config=run_config))
        except FlameError as error:
            said = text_of(error)
    check(said)
    for message in caplog.messages:
        check(message)
    assert list(tmp_path.iterdir()), said
    [folder] = tmp_path.iterdir()
    about = json.loads((folder / "run.json").read_bytes())
    for text in texts(about):
        check(text)
    assert (folder / "run.json").stat().st_size < 100_000
    table = (folder / "history.csv").read_text()
    for cell in (cell for row in csv.reader(io.StringIO(table)) for cell in row):
        check(cell)
    for separator in ";\t|":
        for row in csv.reader(io.StringIO(table), delimiter=separator):
            assert not any(cell.lstrip(' "').startswith(FORMULA) for cell in row[1:])
    page = (folder / "report.html").read_text()
    assert "\x1b" not in page
    assert "\u202e" not in page
    if on_failure == "abort" and about["status"] == "failed":
        assert "node-1" in said or "\n  2: " in said
