"""SCAFFOLD and FedNova, to the bit as plain PyTorch, in process and over messages."""

import numpy as np
import pytest
from keeping_client import keeps

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds  # noqa: E402
from flame_flwr.clients import NodePlan  # noqa: E402
from flame_flwr.clients.local_grid import LocalGrid  # noqa: E402
from flame_flwr.config import RunSettings  # noqa: E402
from flame_flwr.errors import ModelError  # noqa: E402
from flame_flwr.results import RunRecord  # noqa: E402
from flame_flwr.results.checkpoint import Checkpoint  # noqa: E402
from flame_flwr.star import StarModel  # noqa: E402
from flame_flwr.strategies import CyclicTraining, FedNova, Scaffold, WeightedFedAvg  # noqa: E402

from .networks import SPLITS, Net, data, network, run  # noqa: E402
from .plain_algorithms import RATE, fedavg, fednova, scaffold  # noqa: E402
from .test_proximal import same  # noqa: E402

THREE = [*SPLITS, data(3, 20)]
"""The third goes a last batch of four, so that its steps are no multiple of its rows."""


class Corrected(Net):
    algorithm = "scaffold"
    learning_rate = RATE


class Counted(Net):
    algorithm = "fednova"
    learning_rate = RATE


def start(kind, grid, rounds, place=None, most=None, **config):
    """Run over messages, at most so many rounds, and return the record."""
    record = RunRecord()
    checkpoint = None if place is None else Checkpoint(str(place), {"app": "a"})
    given = {**config, **({"checkpoint": str(place)} if place else {})}
    kind(convergence=MaxRounds(rounds)).start(
        grid,
        num_rounds=most,
        settings=RunSettings.from_config(given),
        record=record,
        checkpoint=checkpoint,
    )
    return record


def over_messages(kind, analyzer, rounds, splits=SPLITS, **config):
    with LocalGrid(NodePlan(analyzer, data_type="s3"), splits) as grid:
        return start(kind, grid, rounds, **config)


def test_scaffold_corrects_every_step():
    strategy = Scaffold(metrics=["loss"], convergence=MaxRounds(3))
    result = run(Corrected, strategy=strategy, splits=THREE).result
    model, control = scaffold(3, THREE)
    same(result["model"], model)
    same(result["control"], control)
    assert result["model"]["0.weight"].tobytes() != fedavg(3)["0.weight"].numpy().tobytes()
    same(over_messages(Scaffold, Corrected, 3, THREE).result["model"], model)


def test_fednova_counts_rows_and_not_steps():
    strategy = FedNova(metrics=["loss"], convergence=MaxRounds(3))
    result = run(Counted, strategy=strategy, splits=THREE).result
    assert set(result) == {"model", "loss"}
    same(result["model"], fednova(3, THREE))
    assert result["model"]["0.weight"].tobytes() != fedavg(3, THREE)["0.weight"].numpy().tobytes()
    same(over_messages(FedNova, Counted, 3, THREE).result["model"], fednova(3, THREE))


def test_with_as_many_rows_everywhere_fednova_is_fedavg():
    even = [data(1, 24), data(2, 24)]
    got = run(Counted, strategy=FedNova(convergence=MaxRounds(3)), splits=even).result["model"]
    for name, value in fedavg(3, even).items():
        np.testing.assert_allclose(got[name], value.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("kind", "analyzer"), [(Scaffold, Corrected), (FedNova, Counted)])
def test_masked_sums_are_those_of_the_same_grid(kind, analyzer):
    strategies = [kind(convergence=MaxRounds(2), secure=secure) for secure in (False, True)]
    clear, masked = (run(analyzer, strategy=each, splits=THREE).result for each in strategies)
    exact = run(analyzer, strategy=kind(convergence=MaxRounds(2)), splits=THREE).result["model"]
    assert set(masked["model"]) == set(clear["model"]) == set(exact) != set()
    for name, value in clear["model"].items():
        assert masked["model"][name].tobytes() == value.tobytes(), name
        np.testing.assert_allclose(value, exact[name], rtol=1e-5, atol=1e-6)


class Away(Corrected):
    """Node 1 fails in round 2, when it has trained."""

    def analysis_method(self, data, aggregator_results):
        answer = super().analysis_method(data, aggregator_results)
        if (self.id, self.num_iterations) == ("node-1", 1):
            raise RuntimeError("away")
        return answer


def test_a_skipped_node_keeps_its_last_control():
    config = {"on-failure": "skip", "min-nodes": 1}
    result = over_messages(Scaffold, Away, 4, THREE, **config).result
    model, control = scaffold(4, THREE, away=[(2, 1)])
    same(result["model"], model)
    same(result["control"], control)


@pytest.mark.parametrize(("kind", "analyzer"), [(Scaffold, Corrected), (FedNova, Counted)])
def test_a_resumed_run_gives_the_same_bits(kind, analyzer, tmp_path):
    with LocalGrid(NodePlan(analyzer, data_type="s3"), SPLITS, keeps()) as grid:
        start(kind, grid, 4, tmp_path / "kept", most=2)
        record = start(kind, grid, 4, tmp_path / "kept", resume=True)
    assert record.resumed_after == 2
    same(record.result["model"], scaffold(4)[0] if kind is Scaffold else fednova(4))


@pytest.mark.parametrize(("kind", "analyzer"), [(Scaffold, Corrected), (FedNova, Counted)])
def test_an_initial_model_is_where_it_begins(kind, analyzer):
    begun = {"model": {name: each.numpy() for name, each in network().state_dict().items()}}
    one = run(analyzer, strategy=kind(initial=begun, convergence=MaxRounds(2))).result["model"]
    two = run(analyzer, strategy=kind(convergence=MaxRounds(2))).result["model"]
    assert one["0.weight"].tobytes() != two["0.weight"].tobytes()


def test_layers_may_share_and_freeze_weights():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Linear(3, 3)
            self.two = torch.nn.Linear(3, 3)
            self.two.weight = self.one.weight
            self.two.bias.requires_grad_(False)

        def forward(self, x):
            return self.two(self.one(x))[:, :1]

    for kind, base in ((Scaffold, Corrected), (FedNova, Counted)):
        analyzer = type("Shared", (base,), {"model": lambda self: Tied()})
        model = run(analyzer, strategy=kind(convergence=MaxRounds(2))).result["model"]
        assert model["one.weight"].tobytes() == model["two.weight"].tobytes()
        once = run(analyzer, strategy=kind(convergence=MaxRounds(1))).result["model"]
        assert model["two.bias"].tobytes() == once["two.bias"].tobytes()
        assert model["one.weight"].tobytes() != once["one.weight"].tobytes()


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "analyzer", "said"),
    [
        (Scaffold, Net, 'Scaffold merges more than models.*`algorithm = "scaffold"`'),
        (Scaffold, Counted, '`algorithm = "scaffold"`'),
        (FedNova, Net, '`algorithm = "fednova"`'),
        (WeightedFedAvg, Corrected, "WeightedFedAvg merges models alone.*strategy Scaffold of"),
        (CyclicTraining, Counted, "CyclicTraining merges models alone.*strategy FedNova of"),
    ],
)
def test_a_misfit_is_found_at_building(strategy, analyzer, said):
    with pytest.raises(ModelError, match=said):
        StarModel(analyzer, strategy(convergence=MaxRounds(2)), "s3")


def test_an_argument_counts_more_than_the_class():
    StarModel(Net, Scaffold(), "s3", analyzer_kwargs={"algorithm": "scaffold"})
    StarModel(Corrected, WeightedFedAvg(), "s3", analyzer_kwargs={"algorithm": "fedavg"})


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda self, parameters: torch.optim.Adam(parameters),
        lambda self, parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
        lambda self, parameters: torch.optim.SGD(parameters, lr=0.1, weight_decay=0.1),
        lambda self, parameters: torch.optim.SGD(
            [{"params": [each], "lr": 0.1 + i} for i, each in enumerate(parameters)]
        ),
    ],
)
def test_other_steps_than_plain_ones_are_refused(optimizer):
    for kind, base in ((Scaffold, Corrected), (FedNova, Counted)):
        analyzer = type("Other", (base,), {"optimizer": optimizer})
        with pytest.raises(ModelError, match="made for plain gradient steps of one learning rate"):
            run(analyzer, strategy=kind(convergence=MaxRounds(2)))


def test_wrong_settings_are_refused():
    with pytest.raises(ModelError, match="algorithm must be one of 'fedavg', 'scaffold'"):
        run(type("Odd", (Net,), {"algorithm": "fedprox"}))
    with pytest.raises(ModelError, match="fedprox_mu goes with the algorithm 'fedavg' alone"):
        run(Corrected, strategy=Scaffold(), fedprox_mu=0.1)


def test_a_control_of_another_model_is_refused():
    begun = {
        "model": {name: each.numpy() for name, each in network().state_dict().items()},
        "control": {"0.weight": np.zeros((2, 3), np.float32)},
    }
    with pytest.raises(ModelError, match="the control variate is of another model"):
        run(Corrected, strategy=Scaffold(initial=begun, convergence=MaxRounds(2)))
