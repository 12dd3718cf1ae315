"""``TorchAnalyzer`` trains as plain PyTorch does, the same in every run."""

import pickle
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hanging import HANGS

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds, Plateau  # noqa: E402
from flame_flwr.errors import DataError, ModelError  # noqa: E402
from flame_flwr.star import StarModel, StarModelTester  # noqa: E402
from flame_flwr.strategies import WeightedFedAvg  # noqa: E402
from flame_flwr.torch import TorchAnalyzer  # noqa: E402

from .networks import SPLITS, Net, data, network, odd, run  # noqa: E402
from .plain_loop import loop  # noqa: E402


class Kept(Net):
    keep_optimizer = True

    def optimizer(self, parameters):
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


@pytest.mark.parametrize(("analyzer", "momentum"), [(Net, False), (Kept, True)])
def test_it_trains_as_plain_pytorch_does(analyzer, momentum):
    result = run(analyzer).result
    common, losses = loop(3, momentum)
    assert list(result["model"]) == list(common)
    for name, value in common.items():
        np.testing.assert_array_equal(result["model"][name], value)
    assert result["loss"] == pytest.approx(np.average(losses, weights=[40, 24]), rel=1e-9)


def test_the_seed_decides_every_bit():
    one, two, other = run().result, run().result, run(seed=1).result
    for name in one["model"]:
        np.testing.assert_array_equal(one["model"][name], two["model"][name])
    assert not np.array_equal(one["model"]["0.weight"], other["model"]["0.weight"])


def test_settings_come_from_class_or_model():
    same = type("Same", (Net,), {"epochs": 4, "learning_rate": 0.01, "shuffle": False})
    one = run(same, 1).result["model"]
    two = run(Net, 1, epochs=4, learning_rate=0.01, shuffle=False).result["model"]
    np.testing.assert_array_equal(one["0.weight"], two["0.weight"])


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


CHANCES = {
    "torch": (torch.manual_seed, lambda: float(torch.rand(1))),
    "numpy": (np.random.seed, np.random.normal),
    "python": (random.seed, random.random),
}


@pytest.mark.parametrize(("seed", "draw"), CHANCES.values(), ids=CHANCES)
@pytest.mark.parametrize("broken", ["", "model", "dataset", "test_dataset", "loss"])
def test_the_users_chance_and_threads_stay(seed, draw, broken):
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

        def evaluation_method(self, data, result):
            self.test_dataset(data)
            return {"n": 1}

    def plain(number):
        seed(number)
        return draw()

    for _ in range(2):
        run(Drawing, rounds=2, seed=4, epochs=1, batch_size=100)
    assert {*drawn["dataset"], *drawn["test_dataset"]} == {plain(4)}
    assert (len(drawn["dataset"]), len(drawn["test_dataset"])) == (8, 12)
    assert len(set(drawn["model"])) == 1
    assert drawn["loss"][:8] == drawn["loss"][8:]
    if draw is not CHANCES["torch"][1]:  # it draws the weights first, and drops out
        assert drawn["model"][0] == plain(4)
        assert drawn["loss"][0] == plain(5)


def test_super_draws_from_the_same_stream():
    drawn = []

    class Once(Net):
        def dataset(self, data):
            drawn.append(float(torch.rand(1)))
            return super().dataset(data)

    class Twice(Once):
        def dataset(self, data):
            drawn.append(float(torch.rand(1)))
            return super().dataset(data)

    run(Twice, rounds=1, splits=SPLITS[:1], seed=3)
    assert drawn == torch.rand(2, generator=torch.Generator().manual_seed(3)).tolist()


def test_a_model_may_have_its_own_convergence():
    strategy = WeightedFedAvg(metrics=["loss"], convergence=MaxRounds(50))
    convergence = Plateau("loss", 2, min_delta=100)
    tester = StarModelTester(SPLITS, Net, strategy, "s3", convergence=convergence)
    assert tester.rounds == 3


def test_an_own_loader_makes_the_batches():
    class Halves(Net):
        def loader(self, dataset, generator):
            return torch.utils.data.DataLoader(dataset, 8, drop_last=True, generator=generator)

        def dataset(self, data):
            return data[0][:-1], data[1][:-1]

    assert run(Halves).result["loss"] > 0
    with pytest.raises(DataError, match="the loader gives no batch"):
        run(Halves, splits=[data(1, 8), data(2, 24)])


def test_a_used_up_loader_is_told():
    def loader(self, dataset, generator):
        yield dataset[:]

    assert run(odd(loader=loader), rounds=1, epochs=1).result["loss"] > 0
    with pytest.raises(DataError, match=r"no batch in epoch 2: .*generator.*DataLoader"):
        run(odd(loader=loader))


def test_a_list_of_batches_is_a_loader():
    whole = odd(loader=lambda self, dataset, generator: [dataset[:]])
    one, two = run(whole, 1).result, run(Net, 1, batch_size=100, shuffle=False).result
    assert one["loss"] == two["loss"]


def test_float64_arrays_take_the_models_type():
    doubles = [(x.astype(np.float64), y.astype(np.float64)) for x, y in SPLITS]
    one, two = run().result, run(splits=doubles).result
    for name, value in one["model"].items():
        np.testing.assert_array_equal(two["model"][name], value)
    double = run(odd(model=lambda self: network().double())).result
    assert double["model"]["0.weight"].dtype == np.float64


def test_whole_numbers_stay_what_they_are():
    class Classes(Net):
        def model(self):
            return torch.nn.Linear(3, 2)

        def dataset(self, data):
            return data[0], (data[1] > 0).astype(np.int64)

        def loss(self, batch):
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    assert run(Classes).result["loss"] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (pd.DataFrame(x), pd.Series(y, index=range(5, 5 + len(y)))),
        lambda x, y: (pd.DataFrame(x, columns=list("abc")).astype("float64"), y),
        lambda x, y: (x[::-1][::-1], y[::-1].tolist()[::-1]),
        lambda x, y: [(each, float(value)) for each, value in zip(x, y, strict=True)],
    ],
)
def test_tables_and_lists_train_as_arrays_do(change):
    class Changed(Net):
        def dataset(self, data):
            return change(*data)

        def loss(self, batch):
            x, y = batch
            return torch.nn.functional.mse_loss(self.net(x)[:, 0], y.float())

    one, two = run(rounds=1).result["model"], run(Changed, rounds=1).result["model"]
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value)


def test_texts_may_stand_first():
    class Named(Net):
        def dataset(self, data):
            return [{"id": "p", "x": x, "y": y} for x, y in zip(*data, strict=True)]

        def loss(self, batch):
            return super().loss((batch["x"], batch["y"]))

    assert run(Named, rounds=1).result["loss"] == run(rounds=1).result["loss"]


def test_no_model_is_kept_between_rounds():
    class Seen(Net):
        def analysis_method(self, data, aggregator_results):
            result = super().analysis_method(data, aggregator_results)
            assert not hasattr(self, "net")
            assert len(pickle.dumps(self._kept)) < 10
            return result

    run(Seen)


def test_missing_methods_are_named_at_building():
    class Half(TorchAnalyzer):
        def model(self):
            return network()

    with pytest.raises(ModelError, match="Half has no method dataset and loss"):
        StarModel(Half, WeightedFedAvg(convergence=MaxRounds(1)), "s3")


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


def test_importing_it_needs_no_pytorch():
    done = subprocess.run(
        [sys.executable, "-c", LEAN], capture_output=True, text=True, timeout=HANGS, check=True
    )
    assert "pip install 'flame-flwr[torch]'" in done.stdout
