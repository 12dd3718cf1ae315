"""The ClientApp of a model: small on the wire, the same after unpickling."""

import json
import pickle
import re

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.flower import in_process, set_message_id
from flame_flwr.payload import decode, encode, from_record, to_record
from flame_flwr.star import StarAnalyzer


class Sums(StarAnalyzer):
    def __init__(self, flame, step=1):
        super().__init__(flame)
        self.sum = 0
        self.step = step

    def analysis_method(self, data, aggregator_results):
        self.sum += self.step
        return self.sum


class Marks(StarClient):
    def fit(self, parameters, config):
        arrays, examples, metrics = super().fit(parameters, config)
        return arrays, examples, {**metrics, "marked": 1}


def train(app, context, number):
    config = {"round": number, "after": number - 1, "analyzers": json.dumps(["node-0"])}
    content = {
        "fitins.parameters": to_record(encode(number)),
        "fitins.config": ConfigRecord(config),
    }
    with in_process(1, 0):
        message = Message(RecordDict(content), context.node_id, "train")
        set_message_id(message, f"message-{number}")
        return app(message, context).content


def value(content):
    return decode(from_record(content["fitres.parameters"]))


def cloudpickled(app):
    cloudpickle = pytest.importorskip("cloudpickle")
    return cloudpickle.dumps(app)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickled])
def test_an_app_is_small_and_works_after_unpickling(context, dumps):
    app = make_client_app(NodePlan(Sums, analyzer_kwargs={"step": 5}))
    data = dumps(app)
    assert len(data) < 1500
    loaded = pickle.loads(data)
    assert isinstance(loaded, ClientApp)
    node = context()
    assert value(train(app, node, 1)) == 5
    assert value(train(loaded, node, 2)) == 10
    assert value(train(pickle.loads(dumps(loaded)), node, 3)) == 15


def test_an_app_carries_what_its_analyzer_needs_and_no_more():
    small = pickle.dumps(make_client_app(NodePlan(Sums)))
    large = pickle.dumps(make_client_app(NodePlan(Sums, {"step": np.zeros(1000)})))
    assert len(large) - len(small) < 8000 + 500


def test_a_class_of_a_script_goes_with_the_app(context):
    cloudpickle = pytest.importorskip("cloudpickle")

    class Local(Sums):
        def analysis_method(self, data, aggregator_results):
            return super().analysis_method(data, aggregator_results) * 100

    data = cloudpickle.dumps(make_client_app(NodePlan(Local)))
    assert len(data) < 10_000
    node = context()
    assert value(train(pickle.loads(data), node, 1)) == 100
    assert value(train(pickle.loads(data), node, 2)) == 200


def test_a_client_class_and_mods_stay_with_the_app(context):
    app = pickle.loads(pickle.dumps(make_client_app(NodePlan(Sums), Marks, [doubles])))
    content = train(app, context(), 1)
    assert content["fitres.metrics"]["marked"] == 1
    assert content["fitres.metrics"]["by-mod"] == 2


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_an_exception_of_a_mod_leaves_without_its_text_and_is_noted(
    context, tmp_path, monkeypatch, kind
):
    def fails(message, context, call_next):
        raise kind("Maria Muster")

    monkeypatch.setattr("flame_flwr.clients.checked_client.runtime", lambda: "deployment")
    log = tmp_path / "audit.jsonl"
    app = make_client_app(NodePlan(Sums), mods=[fails])
    with in_process(1, 0):
        message = Message(RecordDict({}), 7, "train")
        set_message_id(message, "message-1")
        reply = app(message, context({"audit-log": str(log)}))
    assert reply.has_error()
    assert reply.error.reason.startswith(f"{kind.__name__} at test_app.py:")
    assert "Maria" not in reply.error.reason
    assert reply.error.reason in log.read_text()


class Unmade(StarClient):
    def __init__(self, plan, context):
        super().__init__(plan, context)
        raise FileNotFoundError("/data/Maria Muster")


def test_a_client_that_cannot_be_made_is_named_with_its_place(context, monkeypatch):
    monkeypatch.setattr("flame_flwr.clients.checked_client.runtime", lambda: "deployment")
    app = make_client_app(NodePlan(Sums), Unmade)
    with in_process(1, 0):
        message = Message(RecordDict({}), 7, "get_properties")
        set_message_id(message, "message-1")
        reply = app(message, context({"name": "b"}))
    place = r"test_app\.py:[0-9]+ in __init__"
    said = rf"node b: FileNotFoundError at {place}: Unmade cannot be constructed"
    assert re.fullmatch(said, reply.error.reason)


def test_a_relative_log_is_not_written(context, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = make_client_app(NodePlan(Sums))
    with in_process(1, 0):
        message = Message(RecordDict({}), 7, "get_properties")
        set_message_id(message, "message-1")
        app(message, context({"audit-log": "audit.jsonl"}))
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_stops_the_answer_and_its_path_stays(context, tmp_path):
    path = tmp_path / "Maria" / "audit.jsonl"
    (tmp_path / "Maria").touch()
    app = make_client_app(NodePlan(Sums))
    with in_process(1, 0):
        message = Message(RecordDict({}), 7, "train")
        set_message_id(message, "message-1")
        reply = app(message, context({"audit-log": str(path)}))
    assert reply.has_error()
    assert "`audit-log` in this node's config cannot be written" in reply.error.reason
    assert "Maria" not in reply.error.reason


def doubles(message, context, call_next):
    reply = call_next(message, context)
    reply.content["fitres.metrics"]["by-mod"] = 2
    return reply
