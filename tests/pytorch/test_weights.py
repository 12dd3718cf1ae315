"""Weights and buffers: what travels, what is merged, and the files that others read."""

import io

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedYogi

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds, WeightedMean  # noqa: E402
from flame_flwr.errors import ModelError  # noqa: E402
from flame_flwr.privacy import GaussianNoise, TopFraction  # noqa: E402
from flame_flwr.star import StarAggregator, StarModelTester  # noqa: E402
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg  # noqa: E402
from flame_flwr.torch import safetensors_bytes, state_dict, state_dict_bytes  # noqa: E402

from .networks import SPLITS, Net, network, run  # noqa: E402
from .plain_loop import loop, mean  # noqa: E402


class Adam:
    """Reddi et al., "Adaptive Federated Optimization", ICLR 2021, with Flower's defaults."""

    def __init__(self):
        self.m, self.v = {}, {}

    def __call__(self, number, name, last, mean):
        delta = mean - last
        self.m[name] = 0.9 * self.m.get(name, 0) + 0.1 * delta
        self.v[name] = 0.99 * self.v.get(name, 0) + 0.01 * delta**2
        rate = 0.1 * np.sqrt(1 - 0.99 ** (number + 1)) / (1 - 0.9 ** (number + 1))
        return (last + rate * self.m[name] / (np.sqrt(self.v[name]) + 1e-3)).astype(np.float32)


def test_a_server_optimiser_leaves_buffers_alone():
    """With steps on them ten rounds of defaults make a running variance negative."""
    strategy = WeightedFedAvg(server=FedAdam(), convergence=MaxRounds(10))
    got = run(strategy=strategy).result["model"]
    expected, _ = loop(10, step=Adam())
    assert (got["1.running_var"] >= 0).all()
    assert got["1.num_batches_tracked"].dtype == np.int64
    assert got["1.num_batches_tracked"] == expected.pop("1.num_batches_tracked")
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-3, atol=2e-4, err_msg=name)
        assert got[name].dtype == np.float32
    first = run(strategy=WeightedFedAvg(server=FedAdam(), convergence=MaxRounds(1)))
    exact = mean([_trained(node) for node in range(2)], [40, 24])[1]
    for name in ("1.running_mean", "1.running_var"):
        assert first.result["model"][name].tobytes() == exact[name].tobytes()


def _trained(node):
    """Return what a node of the first round sends, as tensors."""
    alone = run(splits=[SPLITS[node]], rounds=1).result["model"]
    return {name: torch.tensor(array) for name, array in alone.items()}


class Spread(torch.nn.Module):
    """A layer of one's own, with a buffer of another name than BatchNorm's."""

    def __init__(self):
        super().__init__()
        self.register_buffer("spread", torch.ones(8))
        self.register_buffer("scratch", torch.ones(8), persistent=False)

    def forward(self, x):
        if self.training:
            self.spread = 0.5 * self.spread
        return x / (1 + self.spread)


class Buffered(Net):
    def model(self):
        return torch.nn.Sequential(torch.nn.Linear(3, 8), Spread(), torch.nn.Linear(8, 1))


@pytest.mark.parametrize("server", [FedAdam(eta=1.0), FedYogi(eta=1.0), FedAdagrad(eta=1.0)])
def test_no_optimiser_makes_a_variance_negative(server):
    strategy = WeightedFedAvg(server=server, convergence=MaxRounds(5))
    assert (run(Buffered, strategy=strategy).result["model"]["1.spread"] >= 0).all()


def test_a_round_names_its_buffers():
    returned = {}

    class Keeps(StarAggregator):
        def aggregation_method(self, analysis_results):
            returned.update(analysis_results[0])

        def has_converged(self, result, last_result):
            return True

    class Plain(Net):
        def model(self):
            return torch.nn.Linear(3, 1)

        def loss(self, batch):
            return self.net(batch[0]).mean()

    for analyzer, names in (
        (Net, ["1.running_mean", "1.running_var", "1.num_batches_tracked"]),
        (Buffered, ["1.spread"]),
        (Plain, None),
    ):
        returned.clear()
        StarModelTester(SPLITS, analyzer, Keeps, "s3")
        assert returned.get("buffers") == names


def test_noise_is_not_added_to_buffers():
    for noisy in (GaussianNoise(1.0, 1.0), GaussianNoise(1.0, 1.0, keys="model")):
        with pytest.raises(ModelError, match="GaussianNoise: the model has buffers"):
            filtered(noisy)
    names = [f"model.{name}" for name, _ in network().named_parameters()]
    whole = filtered(TopFraction(1.0))
    for each in (TopFraction(0.1), GaussianNoise(0.1, 1.0, keys=names, seed=1)):
        got = filtered(each)
        for name in ("1.running_mean", "1.running_var"):
            assert got[name].tobytes() == whole[name].tobytes()
        assert got["0.weight"].tobytes() != whole["0.weight"].tobytes()


def filtered(each):
    strategy = WeightedFedAvg(convergence=MaxRounds(1))
    return StarModelTester(SPLITS, Net, strategy, "s3", filters=[each]).result["model"]


def test_counts_of_batches_stay_whole():
    result = run(rounds=1).result["model"]
    name = "1.num_batches_tracked"
    assert (result[name].dtype, result[name].shape) == (np.int64, ())
    assert result[name] == round((40 * 10 + 24 * 6) / 64)
    averaged = {**result, name: np.array(8.5)}  # as a function of the list of values may make it
    for given in (result, averaged):
        saved = state_dict(given)[name]
        assert (saved.dtype, int(saved)) == (torch.int64, 8)
        safetensors = pytest.importorskip("safetensors.numpy")
        again = safetensors.load(safetensors_bytes(given))[name]
        assert (again.dtype, again.shape, int(again)) == (np.int64, (), 8)


class Counting(torch.nn.Linear):
    """Has buffers that are no floating numbers."""

    def __init__(self):
        super().__init__(3, 1)
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("used", torch.tensor([False, True]))

    def forward(self, x):
        if self.training:
            self.seen += len(x)
            self.used[0] = len(x) > 5
        return super().forward(x)


class Counted(Net):
    def model(self):
        return Counting()


def count_twice():
    """Return what two rounds count: the mean of the first, rounded, is where the second begins."""
    once = round((40 * 40 + 24 * 24) / 64)
    return round((40 * (once + 40) + 24 * (once + 24)) / 64)


@pytest.mark.parametrize(
    "strategy",
    [
        lambda: WeightedFedAvg(convergence=MaxRounds(2)),
        lambda: ReduceStrategy({"model": WeightedMean()}, convergence=MaxRounds(2)),
    ],
)
def test_merged_weights_fit_the_model(strategy):
    result = run(Counted, strategy=strategy(), epochs=1, batch_size=100).result["model"]
    own = Counting().state_dict()
    tensors = state_dict(result)
    assert {name: each.dtype for name, each in tensors.items()} == {
        name: each.dtype for name, each in own.items()
    }
    net = Counting()
    net.load_state_dict(tensors)
    assert int(net.seen) == count_twice()
    assert net.used.tolist() == [True, True]


def test_types_can_come_from_a_model():
    result = run(Counted, rounds=2, epochs=1, batch_size=100).result["model"]
    averaged = {**result, "seen": result["seen"] + 0.25, "used": np.array([0.9, 0.6])}
    assert state_dict(averaged)["seen"].dtype == torch.float64
    safetensors = pytest.importorskip("safetensors.torch")
    saved = torch.load(io.BytesIO(state_dict_bytes(averaged, like=Counting())), weights_only=True)
    again = safetensors.load(safetensors_bytes(averaged, like=Counting()))
    for found in (state_dict(averaged, like=Counting()), saved, again):
        assert (found["seen"].dtype, int(found["seen"])) == (torch.int64, count_twice())
        assert (found["used"].dtype, found["used"].tolist()) == (torch.bool, [True, True])
        np.testing.assert_array_equal(found["weight"].numpy(), result["weight"])


@pytest.mark.parametrize("function", [state_dict, state_dict_bytes, safetensors_bytes])
def test_weights_numpy_cannot_hold_are_named(function):
    pytest.importorskip("safetensors")
    with pytest.raises(ModelError, match=r"w is of the type torch.bfloat16.*use float32"):
        function({"w": torch.zeros(2, dtype=torch.bfloat16)})


def test_files_are_read_by_others(tmp_path):
    result = run(rounds=1).result["model"]
    (tmp_path / "model.pt").write_bytes(state_dict_bytes(result))
    model = network()
    model.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    safetensors = pytest.importorskip("safetensors.torch")
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(result, {"made": "here"}))
    again = safetensors.load_file(tmp_path / "model.safetensors")
    for name, value in model.state_dict().items():
        assert (again[name].dtype, again[name].shape) == (value.dtype, value.shape)
        assert torch.equal(again[name], value)
        if "tracked" not in name:
            np.testing.assert_array_equal(value.numpy(), result[name])
