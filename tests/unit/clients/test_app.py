"""The ClientApp of a model: small on the wire, the same after unpickling."""

import pickle
import re

import cloudpickle
import numpy as np
import pytest
from flwr.app import Error
from flwr.clientapp import ClientApp
from node_messages import call, train_content

from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.payload import decode, from_record
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
    content = train_content(number, number, after=number - 1)
    return call(app, context, content, "train").content


def value(content):
    return decode(from_record(content["fitres.parameters"]))


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_an_app_is_small_and_survives_pickling(context, dumps):
    app = make_client_app(NodePlan(Sums, analyzer_kwargs={"step": 5}))
    data = dumps(app)
    assert len(data) < 1500
    loaded = pickle.loads(data)
    assert isinstance(loaded, ClientApp)
    node = context()
    assert value(train(app, node, 1)) == 5
    assert value(train(loaded, node, 2)) == 10
    assert value(train(pickle.loads(dumps(loaded)), node, 3)) == 15


def test_an_app_carries_what_its_analyzer_needs():
    small = pickle.dumps(make_client_app(NodePlan(Sums)))
    large = pickle.dumps(make_client_app(NodePlan(Sums, {"step": np.zeros(1000)})))
    assert len(large) - len(small) < 8000 + 500


def test_a_scripts_class_goes_with_the_app(context):
    class Local(Sums):
        def analysis_method(self, data, aggregator_results):
            return super().analysis_method(data, aggregator_results) * 100

    data = cloudpickle.dumps(make_client_app(NodePlan(Local)))
    assert len(data) < 10_000
    node = context()
    assert value(train(pickle.loads(data), node, 1)) == 100
    assert value(train(pickle.loads(data), node, 2)) == 200


def test_client_class_and_mods_stay_with_the_app(context):
    app = pickle.loads(pickle.dumps(make_client_app(NodePlan(Sums), Marks, [doubles])))
    content = train(app, context(), 1)
    assert content["fitres.metrics"]["marked"] == 1
    assert content["fitres.metrics"]["by-mod"] == 2


class Returns(StarClient):
    """Returns what the test says, in place of what the analyzer gives."""

    def fit(self, parameters, config):
        arrays, examples, metrics = super().fit(parameters, config)
        given = self.context.run_config["project-id"]
        metrics["seconds"] = 0.5
        return {
            "as it is": (arrays, examples, metrics),
            "a text": (arrays, examples, {**metrics, "note": "x", "n": 1}),
            "a list": (arrays, examples, {**metrics, "list": [1, 2], "n": 1}),
            "nothing": (arrays, examples, {**metrics, "none": None}),
            "no name": (arrays, examples, {**metrics, 3: 1}),
            "a failure": (arrays, examples, {**metrics, "failure": 1}),
            "more examples": (arrays, 40, metrics),
            "a yes": (arrays, True, metrics),
            "half a one": (arrays, 0.5, metrics),
            "no arrays": ([], examples, metrics),
            "foreign arrays": ([np.zeros(3)], examples, metrics),
            "objects": ([np.array([object()])], examples, metrics),
        }[given]


RETURNED = ["as it is", "a text", "a list", "nothing", "no name", "a failure", "more examples"]
RETURNED += ["a yes", "half a one", "no arrays", "foreign arrays", "objects"]


@pytest.mark.parametrize("disclosure", ["", "Strict()"])
@pytest.mark.parametrize("given", RETURNED)
def test_mods_that_only_look_change_no_answer(context, given, disclosure):
    def looks(message, context, call_next):
        return call_next(message, context)

    config = {"share-tracebacks": False} | ({"disclosure": disclosure} if disclosure else {})
    found = []
    for mods in ([], [looks]):
        node = context(config)
        node.run_config["project-id"] = given
        app = make_client_app(NodePlan(Sums), Returns, mods)
        reply = call(app, node, train_content(1, 1), "train")
        found.append(reply.error if reply.has_error() else reply.content)
    plain, looked_at = found
    if isinstance(plain, Error):
        kinds = [error.reason.partition(" at ")[0] for error in found]
        assert kinds == ["TypeError", "TypeError"]  # Flower's, at another place
    else:
        assert list(plain) == list(looked_at)
        assert plain == looked_at


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_mods_exception_leaves_without_its_text(context, tmp_path, deployed, kind):
    def fails(message, context, call_next):
        raise kind("Maria Muster")

    log = tmp_path / "audit.jsonl"
    app = make_client_app(NodePlan(Sums), mods=[fails])
    reply = call(app, context({"audit-log": str(log)}), {}, "train")
    assert reply.has_error()
    assert reply.error.reason.startswith(f"{kind.__name__} at test_app.py:")
    assert "Maria" not in reply.error.reason
    assert reply.error.reason in log.read_text()


class Unmade(StarClient):
    def __init__(self, plan, context):
        super().__init__(plan, context)
        raise FileNotFoundError("/data/Maria Muster")


def test_a_client_that_cannot_be_made_is_named(context, deployed):
    reply = call(make_client_app(NodePlan(Sums), Unmade), context({"name": "b"}), {})
    place = r"test_app\.py:[0-9]+ in __init__"
    said = rf"node b: FileNotFoundError at {place}: Unmade cannot be constructed"
    assert re.fullmatch(said, reply.error.reason)


def test_a_relative_log_is_not_written(context, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(make_client_app(NodePlan(Sums)), context({"audit-log": "audit.jsonl"}), {})
    assert list(tmp_path.iterdir()) == []


def doubles(message, context, call_next):
    reply = call_next(message, context)
    reply.content["fitres.metrics"]["by-mod"] = 2
    return reply
