"""PyTorch models go round and are corrected in real runtimes, with the bits of this process.

After the module of secure sums, by its name: it uses the nodes that are online from there on. That
the bits are those of plain PyTorch is in ``tests/pytorch``.
"""

import json
import pickle

import provisioned
import pytest
from deployed_app import KEYS
from flower_app import write_package

pytest.importorskip("torch")

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.results import RunRecord

HOSPITALS = provisioned.IDENTIFIED
SKIP = {"on-failure": "skip", "min-nodes": 1}

APP = """
import numpy as np

from flame_flwr.aggregation import MaxRounds
from flame_flwr.star import StarModel
from flame_flwr.strategies import CyclicTraining, FedNova, Scaffold
from flame_flwr.torch import Ditto, TorchAnalyzer


class Net(TorchAnalyzer):
    batch_size = 8
    learning_rate = 0.05

    def number(self, data):
        # of this process and of a simulation the number itself; on a deployment, files of it
        return float(data[0]["value"]) if isinstance(data, list) else data

    def model(self):
        import torch

        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4),
                                   torch.nn.Dropout(0.2), torch.nn.Linear(4, 1))

    def dataset(self, data):
        number = self.number(data)
        rng, n = np.random.default_rng(int(number)), int(16 + 8 * number)
        x = rng.normal(size=(n, 3))
        return x, number * x.sum(axis=1)

    def loss(self, batch):
        x, y = batch
        return ((self.net(x)[:, 0] - y) ** 2).mean()

    def analysis_method(self, data, aggregator_results):
        answer = super().analysis_method(data, aggregator_results)
        if FAILS and (self.number(data), self.num_iterations) == (2.0, 1):
            raise RuntimeError("away for a round")
        return answer


class Personal(Ditto, Net):
    lam = 0.5
    fedprox_mu = 0.1


FAILS = {fails}
OUTPUTS = [("model.pkl", "pickle", lambda final: final)]
model = StarModel({analyzer}, {strategy}, "s3", analyzer_kwargs={kwargs})
client_app = model.client_app
server_app = model.server_app
"""

CYCLIC = {
    "analyzer": "Personal",
    "strategy": "CyclicTraining('random', 3, metrics=['loss', 'personal_loss'], outputs=OUTPUTS)",
    "kwargs": {},
    "fails": True,
}
"""A model goes round in a drawn order, with FedProx's term, beside Ditto's; a node is away once."""

SCAFFOLD = {
    "analyzer": "Net",
    "strategy": "Scaffold(metrics=['loss'], convergence=MaxRounds(3), outputs=OUTPUTS)",
    "kwargs": {"algorithm": "scaffold"},
    "fails": True,
}
FEDNOVA = {
    "analyzer": "Net",
    "strategy": "FedNova(metrics=['loss'], convergence=MaxRounds(3), outputs=OUTPUTS)",
    "kwargs": {"algorithm": "fednova"},
    "fails": False,
}
STUDIES = pytest.mark.parametrize(
    "study", [CYCLIC, SCAFFOLD, FEDNOVA], ids=["cyclic", "scaffold", "fednova"]
)


def source(study):
    filled = APP
    for name, value in study.items():
        filled = filled.replace(f"{{{name}}}", str(value))
    return filled


def in_process(nodes, study):
    """Return the result, and the record, of the same study over messages in this process."""
    names = {}
    exec(compile(source(study), "app.py", "exec"), names)
    model, record = names["model"], RunRecord()
    with LocalGrid(model.plan, [k + 1.0 for k in range(nodes)]) as grid:
        model.strategy().start(grid, settings=RunSettings.from_config(SKIP), record=record)
    return record


def look(folder, nodes, study):
    """See that a run's files hold what this process computes."""
    expected = in_process(len(nodes), study)
    run = json.loads((folder / "run.json").read_text())
    got = pickle.loads((folder / "model.pkl").read_bytes())
    [wanted] = expected.result
    assert set(got) == set(wanted)
    for part in {"model", "control"} & set(wanted):
        for name, array in wanted[part].items():
            assert got[part][name].tobytes() == array.tobytes(), name
    names = dict(zip(expected.nodes, nodes, strict=True))
    assert run["nodes"] == list(nodes)
    rounds = zip(run["history"], expected.history, strict=True)
    for entry, own in rounds:
        assert entry["order"] == [names[node] for node in own.order]
        assert entry["node_metrics"] == {names[n]: m for n, m in own.node_metrics.items()}
    assert run["evaluations"] == {names[n]: m for n, m in expected.evaluations.items()}
    away = [(failure["node"], failure["round"]) for failure in run["failures"]]
    assert away == ([(nodes[1], 2)] if study["fails"] else [])


def deployed(federation, tmp_path, name, study, **config):
    keys = KEYS | {"nodes": ",".join(HOSPITALS), "max-rounds": 50}
    app = write_package(tmp_path / "app", name, source(study), keys)
    results = str(tmp_path / "results")
    config = {**SKIP, "results": results, **config}
    return federation.run(app, ",".join(HOSPITALS), **config), app


@pytest.mark.deployed
@STUDIES
def test_a_deployment_has_the_bits_of_this_process(three_hospitals, tmp_path, study):
    """No other run there asks nodes one after another, or has control variates at them."""
    name = f"deployed{study['strategy'].partition('(')[0].lower()}"
    (ended, log), _ = deployed(three_hospitals, tmp_path, name, study)
    assert ended.succeeded, f"{log}\n{three_hospitals.logs()}"
    [folder] = (tmp_path / "results").iterdir()
    look(folder, HOSPITALS, study)


@pytest.mark.deployed
@pytest.mark.exhaustive
@STUDIES
def test_a_deployment_goes_on_with_a_checkpoint(three_hospitals, tmp_path, study):
    """In this process it is in ``tests/pytorch``."""
    at = str(tmp_path / "checkpoint")
    name = f"goeson{study['strategy'].partition('(')[0].lower()}"
    (ended, log), app = deployed(
        three_hospitals, tmp_path, name, study, checkpoint=at, max_rounds=2
    )
    assert not ended.succeeded
    assert "not converged after 2 rounds" in log
    config = {**SKIP, "results": str(tmp_path / "results"), "checkpoint": at, "resume": True}
    ended, log = three_hospitals.run(app, ",".join(HOSPITALS), **config)
    assert ended.succeeded, f"{log}\n{three_hospitals.logs()}"
    folder = max((tmp_path / "results").iterdir())
    assert json.loads((folder / "run.json").read_text())["resumed_after"] == 2
    look(folder, HOSPITALS, study)


NODES = ("node-0", "node-1", "node-2")


@pytest.mark.simulation
@pytest.mark.exhaustive
@STUDIES
def test_a_simulation_has_the_bits_of_this_process(run_app, study):
    """A deployment has it above, where every message is another process, too."""
    text = source(study).partition("model = StarModel(")
    model = "StarModel(" + text[2].partition("\n")[0]
    done = run_app(text[0], model=model, **SKIP)
    assert done.succeeded, done.log
    look(done.folder, NODES, study)
