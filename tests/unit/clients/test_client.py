"""``StarClient``: what hello says and finds, what a round and an evaluation give."""

import json

import numpy as np
import pytest
from flwr.app import ConfigRecord
from node_messages import ask, fit, train

import flame_flwr
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ConfigError, DataError, ModelError
from flame_flwr.flower import HELLO
from flame_flwr.installed.versions import installed
from flame_flwr.payload import WIRE_VERSION, encode, to_arrays
from flame_flwr.star import StarAnalyzer


class Report(StarAnalyzer):
    """Returns what it sees, so that a test can look at it."""

    def analysis_method(self, data, aggregator_results):
        return {
            "data": data,
            "aggregate": aggregator_results,
            "id": self.id,
            "round": self.num_iterations,
            "partners": self.partner_node_ids,
            "analysis": self.flame.get_analysis_id(),
            "project": self.flame.get_project_id(),
        }


class Scored(Report):
    def evaluation_method(self, data, result):
        return {"n": len(data), "twice": np.float32(2 * result), "round": self.num_iterations}


def plan(analyzer=Report, data_type="s3", **more):
    return NodePlan(analyzer, data_type=data_type, **more)


@pytest.fixture
def data_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2")
    return str(tmp_path / "data")


# ---- hello ----------------------------------------------------------------------------------


def test_hello_says_nothing_of_a_nodes_data(context, data_folder):
    node = context({"name": "hospital-a", "data": data_folder})
    said = StarClient(plan(), node).get_properties({})
    assert said == {
        "name": "hospital-a",
        "framework": flame_flwr.__version__,
        "wire": WIRE_VERSION,
        "versions": json.dumps(installed()),
        "evaluates": False,
        "partitions": 0,
        "keeps-state": False,
        "states": "[]",
    }
    assert StarClient(plan(Scored), node).get_properties({}) == {**said, "evaluates": True}


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"name": "hospital-a", "partition-id": 3}, "hospital-a"),
        ({"partition-id": 3, "num-partitions": 5}, "node-3"),
        ({"partition-id": 0}, "node-0"),
        ({"name": "  "}, "7"),
        ({}, "7"),
    ],
)
def test_a_node_is_called_as_its_config_says(context, config, name):
    assert StarClient(plan(data_type="none"), context(config)).get_properties({})["name"] == name


def test_hello_over_messages():
    with LocalGrid(plan(), [[{"a": b"1"}], [{}], [{}]]) as grid:
        reply = ask(grid, HELLO, {"getpropertiesins.config": ConfigRecord({})}, node=2)
    said = dict(reply.content["getpropertiesres.properties"])
    assert (said["name"], said["partitions"], said["wire"]) == ("node-1", 3, WIRE_VERSION)


@pytest.mark.parametrize(
    ("node", "run", "error", "text"),
    [
        ({"data": "/nowhere"}, {}, DataError, "folder does not exist.*in the node's config"),
        ({}, {"data": "/nowhere"}, DataError, "does not exist.*check `data` in the run config"),
        ({}, {}, ConfigError, "this node's config has neither `data` nor `datasets`"),
        ({"nme": "a"}, {}, ConfigError, "unknown key `nme`.*did you mean `name`"),
    ],
)
def test_hello_finds_a_wrong_config(context, runs_in, node, run, error, text):
    runs_in("simulation")
    with pytest.raises(error, match=text):
        StarClient(plan(), context(node, run)).get_properties({})


# ---- rounds ---------------------------------------------------------------------------------


def test_a_round_gives_the_analyzer_what_it_needs(context, data_folder):
    node = context(
        {"partition-id": 1, "data": data_folder}, {"analysis-id": "A", "project-id": "P"}
    )
    value, metrics = fit(StarClient(plan(), node), 1)
    first = {
        "data": [{"a.csv": b"1,2"}],
        "aggregate": None,
        "id": "node-1",
        "round": 0,
        "partners": ["node-0", "aggregator"],
        "analysis": "A",
        "project": "P",
    }
    assert value == first
    assert list(metrics) == ["seconds"]
    assert metrics["seconds"] >= 0
    value, _ = fit(StarClient(plan(), node), 2, {"w": 3.5})  # and knows the others still
    assert value == {**first, "aggregate": {"w": 3.5}, "round": 1}


def test_a_strategys_initial_arrays_are_the_first_aggregate(context):
    value, _ = fit(StarClient(plan(data_type="none"), context()), 1, {"w": 3.5})
    assert value["aggregate"] == {"w": 3.5}
    assert value["data"] is None


def test_what_a_node_receives_is_its_own():
    class Writes(StarAnalyzer):
        def __init__(self, flame, names):
            super().__init__(flame)
            names.append(self.id)
            self.names = names

        def analysis_method(self, data, aggregator_results):
            if aggregator_results is None:
                return self.names
            aggregator_results["w"] += 1  # also of an array that is writable
            return aggregator_results["w"]

    kwargs = {"names": ["start"]}
    with LocalGrid(plan(Writes, "none", analyzer_kwargs=kwargs), [None, None]) as grid:
        for node in (1, 2):
            assert train(grid, 1, node=node) == ["start", f"node-{node - 1}"]
        aggregate = {"w": np.zeros(5000)}
        for node in (1, 2):
            assert train(grid, 2, aggregate, node=node).tolist() == [1.0] * 5000
        assert aggregate["w"].tolist() == [0.0] * 5000
    assert kwargs == {"names": ["start"]}


# ---- evaluation -----------------------------------------------------------------------------


def test_evaluation_scores_the_last_aggregate(context):
    client = StarClient(plan(Scored), context({"partition-id": 0}))
    client.open_data = lambda: flame_flwr.data.SplitData([1, 2, 3])
    fit(client, 1)
    loss, examples, metrics = client.evaluate(to_arrays(encode(1.5)), {"round": 1})
    assert (loss, examples) == (0.0, 1)
    assert metrics == {"n": 3, "twice": 3.0, "round": 1}
    assert [type(value) for value in metrics.values()] == [int, float, int]


@pytest.mark.parametrize(
    ("scores", "what"),
    [
        (None, "not NoneType"),
        ([1.0], "not list"),
        ({"auc": "high"}, "an entry is str: str"),
        ({1: 0.5}, "an entry is int: float"),
        ({"auc": [0.5]}, "an entry is str: list"),
    ],
)
def test_evaluation_must_give_numbers_by_name(context, scores, what):
    class Wrong(Report):
        def evaluation_method(self, data, result):
            return scores

    client = StarClient(plan(Wrong, "none"), context())
    fit(client, 1)
    with pytest.raises(ModelError) as raised:
        client.evaluate(to_arrays(encode(1)), {"round": 1})
    assert "Wrong.evaluation_method must return a dict of numbers" in raised.value.message
    assert what in raised.value.message
    assert "high" not in raised.value.message
