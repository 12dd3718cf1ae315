"""A hospital's own filters on a real deployment, with the numbers of this process."""

import json

import numpy as np
import pytest
from flower_app import write_package

pytestmark = pytest.mark.deployed

CODE = """
import numpy as np

from flame_flwr.privacy import GaussianNoise, SparseVector, TopFraction
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


def node_data(context):
    return [{"value": str(1 + context.node_config["partition-id"]).encode()}]


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        before = np.zeros(8) if aggregator_results is None else aggregator_results
        return before + float(data[0]["value"]) * np.arange(8.0)


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1


FILTERS = [
    TopFraction(0.5),
    SparseVector(
        0.5, bound=9.0, threshold=0.1, epsilon_select=500.0, epsilon_values=500.0, seed=7
    ),
    GaussianNoise(norm=4.0, noise_multiplier=0.5, seed=7),
]
model = StarModel(
    Analyzer, Aggregator, "s3", simple_analysis=False, output_type="bytes", filters=FILTERS
)
server_app = model.server_app
client_app = model.client_app
"""


def write_app(folder):
    config = {"nodes": 0, "data": "", "results": ""}
    return write_package(folder, "filtered", CODE, config)


def in_process(names, own=()):
    """The same study in this process, on nodes of these names."""
    from flame_flwr.clients import Node
    from flame_flwr.identity import Identity
    from flame_flwr.payload import decode, encode
    from flame_flwr.privacy.gate import Gate

    world = {"__name__": "filtered_here"}
    exec(CODE, world)
    plan = world["model"].plan
    nodes = [Node(plan, Identity(n, tuple(names)), None) for n in names]

    def answer(node, number, sent):
        gate = Gate(node.identity.id, filters=own)
        return gate.result(node.round(number, sent), node.study(), number, sent).payload

    for i, node in enumerate(nodes):
        node.use_data([{"value": str(i + 1).encode()}])
    aggregate = None
    for number in (1, 2):
        sent = None if aggregate is None else encode(aggregate)
        results = [decode(answer(node, number, sent)) for node in nodes]
        aggregate = sum(results) / len(results)
    return aggregate


def outcome(folder):
    [run] = folder.iterdir()
    value = np.frombuffer((run / "result").read_bytes())
    return value, json.loads((run / "run.json").read_text())


@pytest.fixture
def far(deployment, tmp_path):
    """A hospital with a filter of its own, online."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "value").write_text("1")
    with deployment.nodes("far", data=str(data), filters="Clip(0.5)"):
        yield


def run_in_store(deployment, store, app, name):
    """Run an app at the hospital far; its results go to the store, whose key no node has."""
    ended, log = deployment.run(app, "far", results=f"s3://bucket/{name}")
    assert ended.succeeded, f"{log}\n{deployment.logs()}"
    assert store.environment["AWS_SECRET_ACCESS_KEY"] not in log + deployment.log("far")
    return *outcome(store.bucket / name), log


@pytest.mark.usefixtures("far")
def test_a_hospitals_own_filters_act_on_a_deployment(deployment, store, tmp_path):
    from flame_flwr.privacy import Clip

    app = write_app(tmp_path / "app")
    value, run, _ = run_in_store(deployment, store, app, "seeded")
    assert run["nodes"] == ["far"]
    assert value.tolist() == in_process(["far"], own=[Clip(0.5)]).tolist()
    chain = run["filters"]["far"]["filters"]
    assert [(each["filter"], each["by"], each["answers"]) for each in chain] == [
        ("TopFraction", "analysis", 2),
        ("SparseVector", "analysis", 2),
        ("GaussianNoise", "analysis", 2),
        ("Clip", "node", 2),
    ]
    assert "epsilon" not in run["filters"]["far"]
    assert "this node's own filter: Clip(" in deployment.log("far")
