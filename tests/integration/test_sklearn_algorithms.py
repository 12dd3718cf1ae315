"""scikit-learn's models in real runtimes, with the bits of this process: several things in one app.

Classes and a scaling that are agreed on, FedProx, personal models, sparse changes, and at the end a
cross-site validation; the second node is away for a round. After the module of secure sums, by its
name: it uses the nodes that are online from there on. Against plain loops each of them is in
``tests/unit/scikit_learn``, ``tests/unit/cross_site_validation`` and ``tests/unit/privacy``.
"""

import json
import pickle

import provisioned
import pytest
from deployed_app import KEYS
from flower_app import write_package

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.results import RunRecord

HOSPITALS = provisioned.IDENTIFIED
SKIP = {"on-failure": "skip", "min-nodes": 1}

APP = """
import numpy as np

from flame_flwr.aggregation import MaxRounds
from flame_flwr.privacy import TopFraction
from flame_flwr.sklearn import Ditto, SklearnAnalyzer, SklearnCrossSite
from flame_flwr.star import StarModel


class Ill(Ditto, SklearnAnalyzer):
    lam = 0.5
    fedprox_mu = 0.1
    scaling = True
    passes = 2

    def number(self, data):
        # of this process and of a simulation the number itself; on a deployment, files of it
        return float(data[0]["value"]) if isinstance(data, list) else data

    def estimator(self):
        from sklearn.linear_model import SGDClassifier

        return SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=3)

    def rows_of(self, data):
        number = self.number(data)
        rng, n = np.random.default_rng(int(number)), int(40 + 20 * number)
        x = rng.normal(size=(n, 60)) * number
        return x, np.where(x[:, 0] + x[:, 1] > rng.normal(size=n), "ill", "well")

    def dataset(self, data):
        x, y = self.rows_of(data)
        return x[::2], y[::2]

    def test_dataset(self, data):
        x, y = self.rows_of(data)
        return x[1::2], y[1::2]

    def analysis_method(self, data, aggregator_results):
        answer = super().analysis_method(data, aggregator_results)
        if (self.number(data), self.num_iterations) == (2.0, 2):
            raise RuntimeError("away for a round")
        return answer


strategy = SklearnCrossSite(
    metrics=["accuracy", "personal_accuracy", "test_auc"],
    convergence=MaxRounds(5),
    outputs=[("study.pkl", "pickle", lambda final: final)],
)
FILTERS = [TopFraction(0.1, keys="model.coef", missing="skip", sparse=True)]
model = StarModel(Ill, strategy, "s3", filters=FILTERS)
client_app = model.client_app
server_app = model.server_app
"""


def in_process(nodes):
    """Return the record of the same study over messages in this process."""
    names = {}
    exec(compile(APP, "app.py", "exec"), names)
    model, record = names["model"], RunRecord()
    with LocalGrid(model.plan, [k + 1.0 for k in range(nodes)]) as grid:
        model.strategy().start(grid, settings=RunSettings.from_config(SKIP), record=record)
    return record


def look(folder, nodes):
    """See that a run's files hold what this process computes."""
    expected = in_process(len(nodes))
    run = json.loads((folder / "run.json").read_text())
    got = pickle.loads((folder / "study.pkl").read_bytes())
    [wanted] = expected.result
    names = dict(zip(expected.nodes, nodes, strict=True))
    assert set(got) == set(wanted)
    for part, array in wanted["model"].items():
        assert got["model"][part].tobytes() == array.tobytes()
    assert got["agreed"]["classes"] == wanted["agreed"]["classes"] == ["ill", "well"]
    here, there = wanted["cross_site"], got["cross_site"]
    assert {names[node]: counts for node, counts in here.common.items()} == dict(there.common)
    for node, by_node in here.own.items():
        found = there.own[names[node]]
        assert {names[other]: counts for other, counts in by_node.items()} == dict(found)
    for entry, own in zip(run["history"], expected.history, strict=True):
        assert entry["node_metrics"] == {names[n]: m for n, m in own.node_metrics.items()}
    assert run["evaluations"] == {names[n]: m for n, m in expected.evaluations.items()}
    assert [(each["node"], each["round"]) for each in run["failures"]] == [(nodes[1], 3)]
    sent = [entry["node_bytes"][nodes[0]] for entry in run["history"]]
    assert sent[2] < sent[1]  # from the second round of training on, changes are sparse


def deployed(federation, tmp_path, name, **config):
    keys = KEYS | {"nodes": ",".join(HOSPITALS), "max-rounds": 50}
    app = write_package(tmp_path / "app", name, APP, keys)
    config = {**SKIP, "results": str(tmp_path / "results"), **config}
    return federation.run(app, ",".join(HOSPITALS), **config), app


@pytest.mark.deployed
def test_a_deployment_has_the_bits_of_this_process(three_hospitals, tmp_path):
    """Two of the nodes are online anyway; no other run there keeps scikit-learn's estimators."""
    (ended, log), _ = deployed(three_hospitals, tmp_path, "linear")
    assert ended.succeeded, f"{log}\n{three_hospitals.logs()}"
    [folder] = (tmp_path / "results").iterdir()
    look(folder, HOSPITALS)


@pytest.mark.deployed
@pytest.mark.exhaustive
@pytest.mark.parametrize("cut", [3, 6])
def test_a_deployment_goes_on_with_a_checkpoint(three_hospitals, tmp_path, cut):
    """In this process it is in the unit tests: in the training, and between the scoring rounds."""
    at = str(tmp_path / "checkpoint")
    (ended, log), app = deployed(
        three_hospitals, tmp_path, f"lineargoeson{cut}", checkpoint=at, max_rounds=cut
    )
    assert not ended.succeeded
    assert f"not converged after {cut} rounds" in log
    config = {**SKIP, "results": str(tmp_path / "results"), "checkpoint": at, "resume": True}
    ended, log = three_hospitals.run(app, ",".join(HOSPITALS), **config)
    assert ended.succeeded, f"{log}\n{three_hospitals.logs()}"
    folder = max((tmp_path / "results").iterdir())
    assert json.loads((folder / "run.json").read_text())["resumed_after"] == cut
    look(folder, HOSPITALS)


@pytest.mark.simulation
@pytest.mark.exhaustive
def test_a_simulation_has_the_bits_of_this_process(run_app):
    """A deployment has it above, where every message is another process, too."""
    text = APP.partition("model = StarModel(")
    model = "StarModel(" + text[2].partition("\n")[0]
    done = run_app(text[0], model=model, **SKIP)
    assert done.succeeded, done.log
    look(done.folder, ("node-0", "node-1", "node-2"))
