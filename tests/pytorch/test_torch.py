"""``TorchAnalyzer`` against plain PyTorch; its checks; what it costs to import."""

import io
import math
import pickle
import random
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedYogi

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds, Plateau, WeightedMean  # noqa: E402
from flame_flwr.errors import DataError, ModelError  # noqa: E402
from flame_flwr.privacy import GaussianNoise, TopFraction  # noqa: E402
from flame_flwr.star import StarAggregator, StarModel, StarModelTester  # noqa: E402
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg  # noqa: E402
from flame_flwr.torch import (  # noqa: E402
    TorchAnalyzer,
    safetensors_bytes,
    state_dict,
    state_dict_bytes,
)
from flame_flwr.torch.samples import explained, length  # noqa: E402


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(3, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(8, 1),
    )


class Net(TorchAnalyzer):
    epochs = 2
    batch_size = 8

    def model(self):
        return network()

    def dataset(self, data):
        return data

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.mse_loss(self.net(x)[:, 0], y)


class Kept(Net):
    keep_optimizer = True

    def optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def data(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x @ np.float32([1, -2, 0.5])).astype(np.float32)


SPLITS = [data(1, 40), data(2, 24)]


def run(analyzer=Net, rounds=3, splits=SPLITS, strategy=None, **kwargs):
    strategy = strategy or WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(rounds))
    return StarModelTester(splits, analyzer, strategy, "s3", analyzer_kwargs=kwargs)


def mean(states, weights):
    """Return the weighted mean of state dicts, as tensors to go on with and as arrays."""
    found, exact = {}, {}
    for name, first in states[0].items():
        flat = [state[name].numpy().astype(np.float64).ravel() for state in states]
        products = zip(*(w * values for w, values in zip(weights, flat, strict=True)), strict=True)
        total = np.array([math.fsum(each) for each in products]) / sum(weights)
        kind = first.numpy().dtype if first.is_floating_point() else np.float64
        exact[name] = total.astype(kind).reshape(tuple(first.shape))
        found[name] = torch.tensor(exact[name])
    return found, exact


def loop(rounds, momentum=False, epochs=2, step=None):
    """Train without the framework; `step` makes parameters of their mean and the last ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    common, losses = network().state_dict(), []
    buffers = [None] * len(SPLITS)
    for number in range(1, rounds + 1):
        states, losses = [], []
        for node, (x, y) in enumerate(SPLITS):
            model = network()
            model.load_state_dict(common)
            torch.manual_seed(number)
            samples = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
            generator = torch.Generator().manual_seed(number)
            loader = torch.utils.data.DataLoader(samples, 8, shuffle=True, generator=generator)
            if momentum:
                optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
                if buffers[node]:
                    optimizer.load_state_dict(buffers[node])
            else:
                optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            for _ in range(epochs):
                seen = []
                for features, target in loader:
                    optimizer.zero_grad()
                    loss = torch.nn.functional.mse_loss(model(features)[:, 0], target)
                    loss.backward()
                    optimizer.step()
                    seen += [loss.item()] * len(target)
            buffers[node] = optimizer.state_dict()
            losses.append(math.fsum(seen) / len(seen))
            states.append(model.state_dict())
        before = common
        common, exact = mean(states, [len(y) for _, y in SPLITS])
        for name in common:
            if name.endswith("num_batches_tracked"):
                common[name] = common[name].round().to(torch.int64)
                exact[name] = common[name].numpy()
            elif step is not None and "running" not in name and number > 1:
                exact[name] = step(number, name, before[name].numpy(), exact[name])
                common[name] = torch.tensor(exact[name])
    torch.set_num_threads(threads)
    return exact, losses


@pytest.mark.parametrize(("analyzer", "momentum"), [(Net, False), (Kept, True)])
def test_it_trains_as_plain_pytorch_does(analyzer, momentum):
    result = run(analyzer).result
    common, losses = loop(3, momentum)
    assert list(result["model"]) == list(common)
    for name, value in common.items():
        np.testing.assert_array_equal(result["model"][name], value)
    assert result["loss"] == pytest.approx(np.average(losses, weights=[40, 24]), rel=1e-9)


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    one, two, other = run().result, run().result, run(seed=1).result
    for name in one["model"]:
        np.testing.assert_array_equal(one["model"][name], two["model"][name])
    assert not np.array_equal(one["model"]["0.weight"], other["model"]["0.weight"])


def test_settings_come_from_the_class_or_from_the_model():
    same = type("Same", (Net,), {"epochs": 4, "learning_rate": 0.01, "shuffle": False})
    one = run(same, 1).result["model"]
    two = run(Net, 1, epochs=4, learning_rate=0.01, shuffle=False).result["model"]
    np.testing.assert_array_equal(one["0.weight"], two["0.weight"])


CHANCES = {
    "torch": (torch.manual_seed, lambda: float(torch.rand(1))),
    "numpy": (np.random.seed, np.random.normal),
    "python": (random.seed, random.random),
}


@pytest.mark.parametrize(("seed", "draw"), CHANCES.values(), ids=CHANCES)
@pytest.mark.parametrize("broken", ["", "model", "dataset", "test_dataset", "loss"])
def test_the_users_own_chance_and_threads_are_left_alone(seed, draw, broken):
    def fail(self, given=None):
        draw()
        raise KeyError

    seed(5)
    expected = draw()
    seed(5)
    before = torch.get_num_threads()
    if broken:
        with pytest.raises(KeyError):
            run(type("Bad", (Net,), {broken: fail}))
    else:
        run(rounds=1)
    assert draw() == expected
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("seed", "draw"), CHANCES.values(), ids=CHANCES)
def test_each_source_of_chance_begins_alike(seed, draw):
    drawn = {name: [] for name in ("model", "dataset", "test_dataset", "loss")}

    def noted(name, returned):
        drawn[name].append(draw())
        return returned

    class Drawing(Net):
        def model(self):
            return noted("model", super().model())

        def dataset(self, data):
            return noted("dataset", super().dataset(data))

        def test_dataset(self, data):
            return noted("test_dataset", None)

        def loss(self, batch):
            return noted("loss", super().loss(batch))

    def plain(number):
        seed(number)
        return draw()

    for _ in range(2):
        run(Drawing, rounds=2, seed=4, epochs=1, batch_size=100)
    assert {*drawn["dataset"], *drawn["test_dataset"]} == {plain(4)}
    assert len(drawn["dataset"]) == len(drawn["test_dataset"]) == 8
    assert len(set(drawn["model"])) == 1
    assert drawn["loss"][:8] == drawn["loss"][8:]
    if draw is not CHANCES["torch"][1]:  # it draws the weights first, and drops out
        assert drawn["model"][0] == plain(4)
        assert drawn["loss"][0] == plain(5)


@pytest.mark.parametrize("draw", [np.random.normal, lambda size: np.array(random.random())])
def test_a_model_drawn_without_pytorch_begins_alike(draw):
    class Drawn(Net):
        def model(self):
            line = torch.nn.Linear(3, 1)
            with torch.no_grad():
                line.weight.copy_(torch.as_tensor(draw(size=(1, 3))))
            return line

        def loss(self, batch):
            return super().loss(batch) * 0

    one, two = (run(Drawn, rounds=1, seed=2**33 + 2).result["model"] for _ in range(2))
    np.testing.assert_array_equal(one["weight"], two["weight"])


PARTS = {"dataset": 0, "test_dataset": 1}


class Halved(Net):
    """Draws which rows to train with, from the process's chance."""

    drawn: list = []

    def dataset(self, data):
        return self.half(data, "dataset")

    def test_dataset(self, data):
        return self.half(data, "test_dataset")

    def half(self, data, method):
        rows = torch.randperm(len(data[1])).chunk(2)[PARTS[method]].numpy()
        self.drawn.append((self.id, method, rows))
        return data[0][rows], data[1][rows]

    def evaluation_method(self, data, result):
        return self.evaluate(result["model"], self.test_dataset(data))


@pytest.mark.parametrize("seed", [0, 7])
def test_what_is_drawn_for_the_samples_is_the_same_in_every_round_and_run(seed):
    Halved.drawn.clear()
    for _ in range(2):
        run(Halved, rounds=2, seed=seed)
    assert len(Halved.drawn) == 2 * 2 * 5  # runs, nodes, two rounds of two and an evaluation
    for node, method, rows in Halved.drawn:
        size = 40 if node == "node-0" else 24
        plain = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
        np.testing.assert_array_equal(rows, plain.chunk(2)[PARTS[method]].numpy())


def test_samples_drawn_by_super_and_beside_it_come_from_one_stream():
    class Twice(Halved):
        def dataset(self, data):
            first = torch.rand(1)
            x, y = super().dataset(data)
            Halved.drawn[-1] += (first,)
            return x, y

    Halved.drawn.clear()
    run(Twice, rounds=1, seed=3)
    chance = torch.Generator().manual_seed(3)
    first, plain = torch.rand(1, generator=chance), torch.randperm(40, generator=chance)
    np.testing.assert_array_equal(Halved.drawn[0][2], plain.chunk(2)[0].numpy())
    assert Halved.drawn[0][3] == first


def test_a_model_takes_a_convergence_beside_the_strategys():
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(50))
    tester = StarModelTester(
        SPLITS, Net, strategy, "s3", convergence=Plateau("loss", 2, min_delta=100)
    )
    assert tester.rounds == 3
    StarModel(Net, strategy, "s3", convergence=Plateau("loss", 2))


class Scored(Net):
    def score(self, batch):
        x, y = batch
        return {"error": (self.net(x)[:, 0] - y).abs().mean()}

    def test_dataset(self, data):
        return torch.utils.data.TensorDataset(*map(torch.tensor, (data[0][:5], data[1][:5])))

    def evaluation_method(self, data, result):
        return self.evaluate(result["model"], data)


def test_scores_are_means_over_the_samples():
    metrics = ["error", "test_error", "test_loss", "n_test"]
    tester = run(Scored, strategy=WeightedFedAvg(metrics=metrics, convergence=MaxRounds(1)))
    assert tester.result["n_test"] == 5
    model = network().eval()
    torch.manual_seed(0)
    fresh = network().eval()
    model.load_state_dict(state_dict(tester.result["model"]))
    with torch.no_grad():
        first = [(fresh(torch.tensor(x[:5]))[:, 0].numpy(), y[:5]) for x, y in SPLITS]
        last = [(model(torch.tensor(x))[:, 0].numpy(), y) for x, y in SPLITS]
    errors = [np.mean(np.abs(found - y)) for found, y in first]
    assert tester.result["test_error"] == pytest.approx(np.mean(errors))  # five rows each
    squares = [np.mean((found - y) ** 2) for found, y in first]
    assert tester.result["test_loss"] == pytest.approx(np.mean(squares))
    for (found, y), scores in zip(last, tester.evaluations.values(), strict=True):
        assert scores["n"] == len(y)
        assert scores["loss"] == pytest.approx(np.mean((found - y) ** 2), rel=1e-5)
        assert scores["error"] == pytest.approx(np.mean(np.abs(found - y)), rel=1e-5)


@pytest.mark.parametrize("none", [None, "node-2"])
def test_scores_of_test_data_are_those_of_the_pooled_rows(none):
    class Kept(Scored):
        def dataset(self, data):
            rows = slice(24) if self.id == "node-0" else slice(2)
            return data[0][rows], data[1][rows]

        def test_dataset(self, data):
            if self.id == none:
                return None
            rows = slice(24, 26) if self.id == "node-0" else slice(2, 30)
            return data[0][rows], data[1][rows]

    splits = [data(1, 32), data(2, 30), data(3, 30)]
    metrics = ["loss", "test_error", "test_loss"]
    strategy = WeightedFedAvg(metrics=metrics, convergence=MaxRounds(1))
    tester = run(Kept, splits=splits, strategy=strategy)
    torch.manual_seed(0)
    fresh = network().eval()
    rows = [(split[0][24:26], split[1][24:26]) for split in splits[:1]]
    rows += [(split[0][2:30], split[1][2:30]) for split in splits[1 : 2 if none else 3]]
    x, y = (np.concatenate(part) for part in zip(*rows, strict=True))
    with torch.no_grad():
        misses = fresh(torch.tensor(x))[:, 0].numpy() - y
    assert tester.result["test_error"] == pytest.approx(np.mean(np.abs(misses)), rel=1e-5)
    assert tester.result["test_loss"] == pytest.approx(np.mean(misses**2), rel=1e-5)
    assert tester.history[0].metrics["test_loss"] == tester.result["test_loss"]


def test_a_loader_of_ones_own():
    class Halves(Net):
        def loader(self, dataset, generator):
            return torch.utils.data.DataLoader(dataset, 8, drop_last=True, generator=generator)

        def dataset(self, data):
            return data[0][:-1], data[1][:-1]

    assert run(Halves).result["loss"] > 0
    with pytest.raises(DataError, match="the loader gives no batch"):
        run(Halves, splits=[data(1, 8), data(2, 24)])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_round(bad):
    class Bad(Net):
        def loss(self, batch):
            return super().loss(batch) * (bad if self.id == "node-1" else 1)

    with pytest.raises(DataError, match=r"the loss is not finite .* in epoch 1") as caught:
        run(Bad)
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_cross_entropy_that_refuses_a_nan_is_told_as_a_loss_that_is_not_finite():
    class Sure(Net):
        def model(self):
            return torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Sigmoid())

        def loss(self, batch):
            chance = self.net(batch[0])[:, 0]
            return torch.nn.functional.binary_cross_entropy(chance, (batch[1] > 0).float())

    hole = SPLITS[1][0].copy()
    hole[0, 0] = float("nan")
    with pytest.raises(DataError, match=r"the loss is not finite .* in epoch 1") as caught:
        run(Sure, splits=[SPLITS[0], (hole, SPLITS[1][1])])
    assert "in node-1, round 1" in caught.value.__notes__[0]
    assert re.search(r"is its last layer a Sigmoid.*missing or huge values", str(caught.value))


def test_weights_that_are_not_finite_do_not_leave():
    class Bad(Net):
        def loss(self, batch):
            loss = super().loss(batch)
            if self.net.training:
                self.net[0].bias.data[0] = float("inf")  # after the only step's forward pass
            return loss

    with pytest.raises(DataError, match=r"the weights are not finite .* in epoch 1"):
        run(Bad, epochs=1, batch_size=100)


class Sized(Net):
    def model(self):
        return torch.nn.Linear(3 if self.id == "node-0" else 4, 1)

    def dataset(self, data):
        return (data[0] if self.id == "node-0" else np.c_[data[0], data[0][:, :1]], data[1])


def test_nodes_with_different_features_are_named():
    with pytest.raises(DataError, match=r"round 1, key `model`.*node-0.*node-1"):
        run(Sized)


class Wide(Net):
    """All nodes have the same model, and one has a column too many."""

    def dataset(self, data):
        return data if self.id == "node-0" else (np.c_[data[0], data[0][:, :1]], data[1])


def test_samples_that_do_not_fit_the_model_are_told_as_such():
    with pytest.raises(DataError, match=r"^the samples do not fit the model") as caught:
        run(Wide)
    assert "in node-1, round 1" in caught.value.__notes__[0]
    assert "same columns" in caught.value.message
    assert "mat1" in caught.value.detail
    assert "mat1" not in caught.value.message


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("no such luck"),
        ValueError("the size of a tumour is negative"),
        ValueError("a table of this shape has no dimension of time"),
        ValueError("the columns' dtype is object"),
    ],
)
def test_what_is_said_of_other_things_is_left_alone(raised):
    class Odd(Net):
        def loss(self, batch):
            raise raised

    with pytest.raises(type(raised), match=str(raised)) as caught:
        run(Odd)
    assert not isinstance(caught.value, DataError)


NUMBERS = torch.arange(12.0).reshape(4, 3)
CLASSES = torch.tensor([0, 1, 0, 1])
MISFITS = {
    "linear": lambda: torch.nn.Linear(4, 1)(NUMBERS),
    "vector": lambda: NUMBERS @ torch.rand(4),
    "convolution": lambda: torch.nn.Conv1d(4, 1, 1)(NUMBERS.T[None]),
    "a kernel too large": lambda: torch.nn.Conv1d(3, 1, 9)(NUMBERS.T[None]),
    "another rank": lambda: torch.nn.Conv2d(3, 1, 1)(NUMBERS),
    "recurrent": lambda: torch.nn.LSTM(4, 1)(NUMBERS),
    "recurrent, another rank": lambda: torch.nn.LSTM(4, 1)(NUMBERS[None, None]),
    "layer norm": lambda: torch.nn.LayerNorm(4)(NUMBERS),
    "batch norm": lambda: torch.nn.BatchNorm1d(4)(NUMBERS),
    "batch norm, another rank": lambda: torch.nn.BatchNorm2d(3)(NUMBERS),
    "bilinear": lambda: torch.nn.Bilinear(2, 3, 1)(NUMBERS, NUMBERS),
    "reshaped": lambda: NUMBERS.reshape(5, 2),
    "unflattened": lambda: NUMBERS.unflatten(1, (2, 2)),
    "joined": lambda: torch.cat([NUMBERS, NUMBERS[:, :2]]),
    "added": lambda: NUMBERS + torch.rand(2),
    "cross-entropy": lambda: torch.nn.functional.cross_entropy(NUMBERS, CLASSES[:3]),
    "binary": lambda: torch.nn.functional.binary_cross_entropy(torch.rand(4), torch.rand(3)),
    "of logits": lambda: torch.nn.BCEWithLogitsLoss()(torch.rand(4), torch.rand(3)),
}
TYPES = {
    "linear": lambda: torch.nn.Linear(3, 1)(NUMBERS.double()),
    "whole numbers": lambda: torch.nn.Linear(3, 1)(NUMBERS.long()),
    "matrix": lambda: NUMBERS.double() @ torch.rand(3, 1),
    "convolution": lambda: torch.nn.Conv1d(3, 1, 1)(NUMBERS.T[None].double()),
    "recurrent": lambda: torch.nn.LSTM(3, 1)(NUMBERS.double()),
    "batch norm": lambda: torch.nn.BatchNorm1d(3)(NUMBERS.double()),
    "embedding": lambda: torch.nn.Embedding(3, 2)(NUMBERS),
    "classes": lambda: torch.nn.functional.cross_entropy(NUMBERS, torch.rand(4)),
    "binary": lambda: torch.nn.functional.binary_cross_entropy(torch.rand(4), CLASSES),
}


TARGETS = {
    "sexes as 1 and 2": lambda: torch.nn.BCELoss()(torch.rand(4), CLASSES + 1.0),
    "a class too many": lambda: torch.nn.functional.cross_entropy(NUMBERS, CLASSES + 2),
    "a class below 0": lambda: torch.nn.functional.cross_entropy(NUMBERS, CLASSES - 1),
}


@pytest.mark.parametrize(
    ("called", "says"),
    [
        *[pytest.param(f, "^the samples do not fit", id=name) for name, f in MISFITS.items()],
        *[pytest.param(f, "numbers of another type", id=name) for name, f in TYPES.items()],
        *[pytest.param(f, "^a target is none that", id=name) for name, f in TARGETS.items()],
    ],
)
def test_what_pytorch_says_of_misfits_is_explained(called, says):
    with pytest.raises(DataError, match=says), explained():
        called()


def test_numpys_own_type_is_trained_with_as_the_models():
    doubles = [(x.astype(np.float64), y.astype(np.float64)) for x, y in SPLITS]
    one, two = run().result, run(splits=doubles).result
    for name, value in one["model"].items():
        np.testing.assert_array_equal(two["model"][name], value)

    class Double(Net):
        def model(self):
            return network().double()

    assert run(Double).result["model"]["0.weight"].dtype == np.float64


def test_whole_numbers_stay_what_they_are():
    class Classes(Net):
        def model(self):
            return torch.nn.Linear(3, 2)

        def dataset(self, data):
            return data[0], (data[1] > 0).astype(np.int64)

        def loss(self, batch):
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    assert run(Classes).result["loss"] > 0


def test_a_dataset_of_another_type_is_told():
    class Doubles(Net):
        def dataset(self, data):
            return torch.utils.data.TensorDataset(*(torch.tensor(d).double() for d in data))

    with pytest.raises(DataError, match=r"another type than the model's weights.*float32"):
        run(Doubles)


def test_a_last_batch_of_one_with_batchnorm_is_told():
    with pytest.raises(DataError, match=r"one sample only.*batch_size.*drop_last=True") as caught:
        run(splits=[data(1, 16), data(2, 17)])
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_a_layer_of_another_size_than_its_neighbour_is_told_at_scoring():
    class Only(Net):
        def analysis_method(self, data, aggregator_results):
            return self.evaluate(network().state_dict(), (data[0][:, :2], data[1]))

    with pytest.raises(DataError, match=r"^the samples do not fit the model"):
        run(Only)


@pytest.mark.parametrize(
    "name", ["model", "local_n_samples", "loss", "n", "n_test", "test_loss", "test_error"]
)
def test_a_score_by_a_name_of_the_bases_is_refused(name):
    class Odd(Scored):
        def score(self, batch):
            return {name: 1.0}

    with pytest.raises(ModelError, match=rf"Odd.score: '{name}' is a name that the base uses"):
        run(Odd)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(bad):
    class Odd(Net):
        def score(self, batch):
            return {"auc": bad if self.id == "node-1" else 0.5}

    with pytest.raises(DataError, match=r"'auc' is not finite .* leave it out") as caught:
        run(Odd)
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_a_score_that_is_no_number_is_refused():
    class Odd(Net):
        def score(self, batch):
            return {"error": self.net(batch[0])}

    with pytest.raises(ModelError, match=r"Odd.score: 'error' must be one number"):
        run(Odd)


@pytest.mark.parametrize("returned", [0.9, None])
def test_scores_without_names_are_refused(returned):
    class Odd(Net):
        def score(self, batch):
            return returned

    with pytest.raises(ModelError, match=r"Odd.score must return numbers by name, such as"):
        run(Odd)


def test_a_score_left_out_for_a_batch_is_the_mean_over_the_others():
    class Some(Net):
        def score(self, batch):
            return {"rows": len(batch[0])} if len(batch[0]) == 8 else {}

        def evaluation_method(self, data, result):
            return self.evaluate(result["model"], (data[0][:20], data[1][:20]))

    scores = run(Some, rounds=1).evaluations["node-0"]
    assert (scores["n"], scores["rows"]) == (20, 8)


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


def test_an_optimiser_on_the_server_leaves_the_buffers_of_batchnorm_alone():
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


@pytest.mark.parametrize("server", [FedAdam(eta=1.0), FedYogi(eta=1.0), FedAdagrad(eta=1.0)])
def test_no_optimiser_makes_a_variance_negative(server):
    strategy = WeightedFedAvg(server=server, convergence=MaxRounds(5))
    assert (run(Buffered, strategy=strategy).result["model"]["1.spread"] >= 0).all()


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


def test_what_returns_names_the_buffers_where_there_are_any():
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


def test_filters_with_noise_refuse_buffers_and_others_leave_them():
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


def test_layers_that_the_refusal_proposes_have_no_buffers():
    class Grouped(Net):
        def model(self):
            norms = torch.nn.GroupNorm(2, 8), torch.nn.LayerNorm(8)
            return torch.nn.Sequential(torch.nn.Linear(3, 8), *norms, torch.nn.Linear(8, 1))

    noise = GaussianNoise(norm=1.0, noise_multiplier=1.0)
    strategy = WeightedFedAvg(server=FedAdam(), convergence=MaxRounds(2))
    got = StarModelTester(SPLITS, Grouped, strategy, "s3", filters=[noise]).result["model"]
    assert all(np.isfinite(array).all() for array in got.values())


def filtered(each):
    strategy = WeightedFedAvg(convergence=MaxRounds(1))
    return StarModelTester(SPLITS, Net, strategy, "s3", filters=[each]).result["model"]


def test_counts_of_batches_are_whole_numbers_in_results_and_files():
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
def test_what_was_merged_fits_the_model_as_it_is(strategy):
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


def test_what_is_no_buffer_of_whole_numbers_gets_its_type_from_a_model():
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
def test_weights_that_numpy_has_not_are_named(function):
    pytest.importorskip("safetensors")
    with pytest.raises(ModelError, match=r"w is of the type torch.bfloat16.*use float32"):
        function({"w": torch.zeros(2, dtype=torch.bfloat16)})


def test_scoring_weights_that_numpy_has_not_names_them():
    class Line(Net):
        def analysis_method(self, data, aggregator_results):
            return self.evaluate(network().bfloat16().state_dict(), data)

    with pytest.raises(ModelError, match=r"0.weight is of the type torch.bfloat16"):
        run(Line)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"weight": np.zeros((1, 3))}, "bias is only in one of them"),
        ({"weight": np.zeros((1, 4)), "bias": np.zeros(1)}, r"\(1, 4\).*\(1, 3\).*features"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, says):
    strategy = WeightedFedAvg(initial={"model": weights}, convergence=MaxRounds(1))

    class Line(Net):
        def model(self):
            return torch.nn.Linear(3, 1)

    with pytest.raises(ModelError, match=says):
        run(Line, strategy=strategy)


@pytest.mark.parametrize(
    ("returned", "error", "says"),
    [
        ((np.zeros((0, 3), np.float32), np.zeros(0, np.float32)), DataError, "no samples"),
        ((np.zeros((4, 3)), np.zeros(3)), ModelError, "as many samples each"),
        ((np.array(["a", 1], object),), DataError, "does not hold numbers only"),
        ((np.float32(1),), ModelError, "a row per sample"),
        (iter([1]), ModelError, "dataset must return a dataset with a length"),
        ([np.zeros((4, 3)), np.zeros(4)], ModelError, "dataset: a list could be.*`x, y`"),
        ([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], ModelError, "dataset: a list could be.*`x, y`"),
        ({0: np.zeros((4, 3)), 1: np.zeros(4)}, ModelError, "tuple of arrays, not dict"),
        (pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 4.0]}), ModelError, "arrays, not DataFrame"),
        (pd.Series([1.0, 2.0]), ModelError, "arrays, not Series"),
        ("samples", ModelError, "arrays, not str"),
        ((pd.DataFrame({"a": [1.0], "b": ["x"]}),), DataError, "does not hold numbers only"),
    ],
)
def test_what_is_no_dataset_is_refused(returned, error, says):
    class Odd(Net):
        def dataset(self, data):
            return returned

    with pytest.raises(error, match=says):
        run(Odd)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (pd.DataFrame(x), pd.Series(y, index=range(5, 5 + len(y)))),
        lambda x, y: (pd.DataFrame(x, columns=list("abc")).astype("float64"), y),
        lambda x, y: (x[::-1][::-1], y[::-1].tolist()[::-1]),
        lambda x, y: [(each, float(value)) for each, value in zip(x, y, strict=True)],
    ],
)
def test_tables_and_lists_of_samples_are_as_good_as_arrays(change):
    class Changed(Net):
        def dataset(self, data):
            return change(*data)

        def loss(self, batch):
            x, y = batch
            return torch.nn.functional.mse_loss(self.net(x)[:, 0], y.float())

    one, two = run(rounds=1).result["model"], run(Changed, rounds=1).result["model"]
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value)


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(3, 2),
        [torch.zeros(3), torch.zeros(4)],
        {"id": ["a", "b"], "x": torch.zeros(3, 2)},
        (["a", "b"], [{"x": (torch.zeros(()), torch.zeros(3))}]),
    ],
)
def test_the_length_of_a_batch_is_that_of_its_first_tensor(batch):
    assert length(batch) == 3


@pytest.mark.parametrize("batch", ["a", ["a", "b"], {"id": ["a"]}, {}, [], None, 3])
def test_a_batch_without_a_tensor_is_told(batch):
    with pytest.raises(ModelError, match="a batch holds no tensor"):
        length(batch)


def test_texts_may_stand_first_in_a_sample():
    class Named(Net):
        def dataset(self, data):
            return [{"id": "p", "x": x, "y": y} for x, y in zip(*data, strict=True)]

        def loss(self, batch):
            return super().loss((batch["x"], batch["y"]))

    assert run(Named, rounds=1).result["loss"] == run(rounds=1).result["loss"]


def odd(**methods):
    """Return an analyzer with other methods."""
    return type("Odd", (Net,), methods)


NUMBER = "^Odd.loss must return a tensor with one number, "


@pytest.mark.parametrize(
    ("loss", "says", "detail"),
    [
        (
            lambda self, batch: self.net(batch[0]),
            "not one of 2 dimensions .*mean",
            "(8, 1)",
        ),
        (lambda self, batch: batch[1], r"not one of 1 dimension \(torch.float32", "(8,)"),
        (lambda self, batch: torch.zeros(0), "not one of 1 dimension ", "(0,)"),
        (lambda self, batch: 61.25, "computed from what self.net gives, not float\n", None),
        (lambda self, batch: None, "computed from what self.net gives, not NoneType\n", None),
        (lambda self, batch: torch.nn.MSELoss, ".*not the class MSELoss itself: call it", None),
    ],
)
def test_a_loss_that_is_no_number_is_refused(loss, says, detail):
    with pytest.raises(ModelError, match=NUMBER + says) as caught:
        run(odd(loss=loss))
    assert "in node-0, round 1" in caught.value.__notes__[0]
    assert "61.25" not in str(caught.value)
    assert caught.value.detail == (detail and f"its shape is {detail}")


@pytest.mark.parametrize(
    "loss",
    [
        lambda self, batch: self.net(batch[0]).mean().detach(),
        lambda self, batch: torch.tensor(3),
        lambda self, batch: torch.tensor(self.net(batch[0]).mean().item()),
    ],
)
def test_a_loss_that_does_not_come_from_the_weights_is_refused(loss):
    with pytest.raises(ModelError, match=r"^Odd.loss must .*require grad.*detach.*torch.tensor"):
        run(odd(loss=loss))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda self: None, "not NoneType\n"),
        (lambda self: "61.25", "not str\n"),
        (lambda self: torch.nn.Linear, "not the class Linear itself: call it, `Linear.*`"),
        (lambda self: network().state_dict(), "not OrderedDict\n"),
    ],
)
def test_what_is_no_model_is_refused(model, says):
    with pytest.raises(ModelError, match=r"^Odd.model must return .*torch.nn.Module, " + says):
        run(odd(model=model))


class Listed(torch.nn.Module):
    """Keeps its layers where PyTorch does not see them."""

    def __init__(self):
        super().__init__()
        self.layers = [torch.nn.Linear(3, 1)]

    def forward(self, x):
        return self.layers[0](x)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Listed, "^Odd.model has no parameters.*torch.nn.ModuleList"),
        (torch.nn.Identity, "^Odd.model has no parameters"),
        (lambda: network().requires_grad_(False), "^Odd.model: none .* requires_grad is False"),
    ],
)
def test_a_model_without_anything_to_train_is_refused(model, says):
    with pytest.raises(ModelError, match=says):
        run(odd(model=lambda self: model()))


def test_a_model_without_anything_to_train_may_be_scored():
    class Fixed(Net):
        def model(self):
            return Listed()

        def analysis_method(self, data, aggregator_results):
            n = self.evaluate({}, data)["n"]
            return {"model": {"w": np.zeros(1)}, "local_n_samples": n, "loss": float(n)}

    assert run(Fixed, rounds=1).result["loss"] == (40 * 40 + 24 * 24) / 64


@pytest.mark.parametrize(
    ("loader", "says"),
    [
        (
            lambda *_: None,
            "^Odd.loader must .*another iterable of batches, not NoneType",
        ),
        (lambda *_: 61.25, "^Odd.loader must return .*, not float\n"),
        (lambda *_: torch.utils.data.DataLoader, "^Odd.loader .*not the class DataLoader itself"),
        (lambda self, dataset, _: dataset, "^Odd.loader .*not the samples themselves: batches"),
        (lambda *_: [1, 2], "^a batch holds no tensor.*A `loader` of your own"),
        (lambda *_: ["61.25"], "^a batch holds no tensor"),
        (lambda self, dataset, _: range(len(dataset)), "^a batch holds no tensor"),
    ],
)
def test_what_gives_no_batches_is_refused(loader, says):
    with pytest.raises(ModelError, match=says) as caught:
        run(odd(loader=loader))
    assert "in node-0, round 1" in caught.value.__notes__[0]
    assert "61.25" not in str(caught.value)


def test_batches_that_are_used_up_after_an_epoch_are_told():
    def loader(self, dataset, generator):
        yield dataset[:]

    assert run(odd(loader=loader), rounds=1, epochs=1).result["loss"] > 0
    with pytest.raises(DataError, match=r"no batch in epoch 2: .*generator.*DataLoader"):
        run(odd(loader=loader))


def test_a_list_of_batches_is_a_loader():
    whole = odd(loader=lambda self, dataset, generator: [dataset[:]])
    one, two = run(whole, 1).result, run(Net, 1, batch_size=100, shuffle=False).result
    assert one["loss"] == two["loss"]


def test_types_that_numpy_has_not_are_named():
    class Half(Net):
        def model(self):
            return torch.nn.Linear(3, 1).to(torch.bfloat16)

        def loss(self, batch):
            return self.net(batch[0].to(torch.bfloat16)).mean()

    with pytest.raises(ModelError, match=r"weight is of the type torch.bfloat16"):
        run(Half)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"batch_size": 1.5}, "batch_size must be a whole number from 1"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": 2**64}, r"seed must be below 2\*\*63"),
        ({"threads": True}, "threads must be a whole number from 0"),
        ({"epochs": "2"}, "epochs must be a whole number from 1"),
        ({"learning_rate": "0.1"}, "learning_rate must be a number above 0"),
        ({"shuffle": "no"}, "shuffle must be True or False, not 'no'"),
        ({"keep_optimizer": 1}, "keep_optimizer must be True or False"),
    ],
)
def test_settings_that_cannot_be_meant(setting, says):
    with pytest.raises(ModelError, match=says):
        run(**setting)


def test_settings_may_be_of_numpys_types():
    settings = {
        "epochs": np.int64(2),
        "batch_size": np.int32(8),
        "learning_rate": np.float64(0.01),
        "shuffle": np.bool_(False),
        "seed": np.uint8(3),
    }
    one = run(rounds=1, **settings).result["model"]
    two = run(rounds=1, **{name: each.item() for name, each in settings.items()}).result["model"]
    np.testing.assert_array_equal(one["0.weight"], two["0.weight"])


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        (torch.optim.LBFGS, r"Odd.optimizer: LBFGS calls the loss itself \(a closure\).*Adam"),
        (lambda parameters: torch.optim.Adam, "optimizer must return an optimiser.*not type"),
        (lambda parameters: None, "optimizer must return an optimiser.*not NoneType"),
    ],
)
def test_an_optimiser_that_cannot_be_used_is_told(optimizer, says):
    class Odd(Net):
        def optimizer(self, parameters):
            return optimizer(parameters)

    with pytest.raises(ModelError, match=says):
        run(Odd)


@pytest.mark.parametrize("extra", [{"a": 1}, torch.zeros(1)])
def test_a_state_beside_the_weights_is_told(extra):
    class Layer(torch.nn.Linear):
        def get_extra_state(self):
            return extra

        def set_extra_state(self, state):
            pass

    class Odd(Net):
        def model(self):
            return torch.nn.Sequential(Layer(3, 1))

    with pytest.raises(ModelError, match=r"0._extra_state: .*get_extra_state.*register_buffer"):
        run(Odd)


def test_what_must_be_written_is_asked_for_when_the_model_is_built():
    class Half(TorchAnalyzer):
        def model(self):
            return network()

    with pytest.raises(ModelError, match="Half has no method dataset and loss"):
        StarModel(Half, WeightedFedAvg(convergence=MaxRounds(1)), "s3")


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


def test_nothing_of_the_model_is_kept_between_rounds():
    class Seen(Net):
        def analysis_method(self, data, aggregator_results):
            result = super().analysis_method(data, aggregator_results)
            assert not hasattr(self, "net")
            assert len(pickle.dumps(self._kept)) < 10
            return result

    run(Seen)


LEAN = """
import sys
sys.modules["torch"] = None  # as where it is not installed
import flame_flwr, flame_flwr.torch
from flame_flwr.errors import ModelError
heavy = {"pandas", "sklearn", "scipy", "matplotlib", "flwr", "safetensors", "polars"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
try:
    flame_flwr.torch.state_dict({})
except ModelError as error:
    print(error)
"""


def test_importing_it_is_cheap_and_without_pytorch_it_says_what_to_do():
    done = subprocess.run(
        [sys.executable, "-c", LEAN], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'flame-flwr[torch]'" in done.stdout
