"""Data that does not fit, and methods that return what they must not: said without values."""

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from flame_flwr.aggregation import MaxRounds  # noqa: E402
from flame_flwr.errors import DataError, ModelError  # noqa: E402
from flame_flwr.strategies import WeightedFedAvg  # noqa: E402
from flame_flwr.torch.samples import explained, length  # noqa: E402

from .networks import SPLITS, Net, data, network, odd, run  # noqa: E402


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_not_finite_ends_the_round(bad):
    class Bad(Net):
        def loss(self, batch):
            return super().loss(batch) * (bad if self.id == "node-1" else 1)

    with pytest.raises(DataError, match=r"the loss is not finite .* in epoch 1") as caught:
        run(Bad)
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_a_loss_that_refuses_a_nan_is_told():
    def loss(self, batch):
        chance = torch.sigmoid(self.net(batch[0])[:, 0])
        return torch.nn.functional.binary_cross_entropy(chance, (batch[1] > 0).float())

    hole = SPLITS[1][0].copy()
    hole[0, 0] = float("nan")
    says = r"^the samples, the weights or what .* not finite .* in epoch 1.*missing or huge values"
    with pytest.raises(DataError, match=says) as caught:
        run(odd(loss=loss), splits=[SPLITS[0], (hole, SPLITS[1][1])])
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_weights_not_finite_do_not_leave():
    class Bad(Net):
        def loss(self, batch):
            loss = super().loss(batch)
            if self.net.training:
                self.net[0].bias.data[0] = float("inf")  # after the only step's forward pass
            return loss

    with pytest.raises(DataError, match=r"the weights are not finite .* in epoch 1"):
        run(Bad, epochs=1, batch_size=100)


def test_nodes_with_different_features_are_named():
    def model(self):
        return torch.nn.Linear(3 if self.id == "node-0" else 4, 1)

    def dataset(self, data):
        return (data[0] if self.id == "node-0" else np.c_[data[0], data[0][:, :1]], data[1])

    with pytest.raises(DataError, match=r"round 1, key `model`.*node-0.*node-1"):
        run(odd(model=model, dataset=dataset))


def test_misfits_are_told_without_values():
    def wide(self, data):
        return data if self.id == "node-0" else (np.c_[data[0], data[0][:, :1]], data[1])

    with pytest.raises(DataError, match=r"^the samples do not fit the model") as caught:
        run(odd(dataset=wide))
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
def test_other_errors_are_left_alone(raised):
    with pytest.raises(type(raised), match=str(raised)) as caught, explained():
        raise raised
    assert not isinstance(caught.value, DataError)


NUMBERS = torch.arange(12.0).reshape(4, 3)


CLASSES = torch.tensor([0, 1, 0, 1])


SIZES = {
    "linear": lambda: torch.nn.Linear(4, 1)(NUMBERS),
    "convolution": lambda: torch.nn.Conv1d(4, 1, 1)(NUMBERS.T[None]),
    "recurrent": lambda: torch.nn.LSTM(4, 1)(NUMBERS),
    "layer norm": lambda: torch.nn.LayerNorm(4)(NUMBERS),
    "batch norm": lambda: torch.nn.BatchNorm1d(4)(NUMBERS),
    "joined": lambda: torch.cat([NUMBERS, NUMBERS[:, :2]]),
    "added": lambda: NUMBERS + torch.rand(2),
    "cross-entropy": lambda: torch.nn.functional.cross_entropy(NUMBERS, CLASSES[:3]),
    "binary": lambda: torch.nn.functional.binary_cross_entropy(torch.rand(4), torch.rand(3)),
    "of logits": lambda: torch.nn.BCEWithLogitsLoss()(torch.rand(4), torch.rand(3)),
}


TYPES = {
    "linear": lambda: torch.nn.Linear(3, 1)(NUMBERS.double()),
    "whole numbers": lambda: torch.nn.Linear(3, 1)(NUMBERS.long()),
    "convolution": lambda: torch.nn.Conv1d(3, 1, 1)(NUMBERS.T[None].double()),
    "batch norm": lambda: torch.nn.BatchNorm1d(3)(NUMBERS.double()),
    "embedding": lambda: torch.nn.Embedding(3, 2)(NUMBERS),
    "classes": lambda: torch.nn.functional.cross_entropy(NUMBERS, torch.rand(4)),
    "binary": lambda: torch.nn.functional.binary_cross_entropy(torch.rand(4), CLASSES),
}


@pytest.mark.parametrize(
    ("called", "says"),
    [
        *[pytest.param(f, "^the samples do not fit", id=name) for name, f in SIZES.items()],
        *[pytest.param(f, "numbers of another type", id=name) for name, f in TYPES.items()],
    ],
)
def test_what_pytorch_says_of_misfits_is_explained(called, says):
    with pytest.raises(DataError, match=says), explained():
        called()


def test_a_batch_of_one_before_batchnorm_is_told():
    with pytest.raises(DataError, match=r"one sample only.*batch_size.*drop_last=True") as caught:
        run(splits=[data(1, 16), data(2, 17)])
    assert "in node-1, round 1" in caught.value.__notes__[0]


def test_misfits_are_told_at_scoring():
    class Only(Net):
        def analysis_method(self, data, aggregator_results):
            return self.evaluate(network().state_dict(), (data[0][:, :2], data[1]))

    with pytest.raises(DataError, match=r"^the samples do not fit the model"):
        run(Only)


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
    "batch",
    [
        torch.zeros(3, 2),
        [torch.zeros(3), torch.zeros(4)],
        {"id": ["a", "b"], "x": torch.zeros(3, 2)},
        (["a", "b"], [{"x": (torch.zeros(()), torch.zeros(3))}]),
    ],
)
def test_a_batch_counts_by_its_first_tensor(batch):
    assert length(batch) == 3


@pytest.mark.parametrize("batch", ["a", ["a", "b"], {"id": ["a"]}, {}, [], None, 3])
def test_a_batch_without_a_tensor_is_told(batch):
    with pytest.raises(ModelError, match="a batch holds no tensor"):
        length(batch)


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


class Layer(torch.nn.Linear):
    """Keeps something beside its weights."""

    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass


class Listed(torch.nn.Module):
    """Keeps its layers where PyTorch does not see them."""

    def __init__(self):
        super().__init__()
        self.layers = [torch.nn.Linear(3, 1)]

    def forward(self, x):
        return self.layers[0](x)


RETURNED = [
    ("model", None, "^Odd.model must return .*torch.nn.Module, not NoneType\n"),
    ("model", "61.25", "^Odd.model must return .*torch.nn.Module, not str\n"),
    ("model", torch.nn.Linear, "^Odd.model .*not the class Linear itself: call it, `Linear.*`"),
    ("model", Listed(), "^Odd.model has no parameters.*torch.nn.ModuleList"),
    ("model", torch.nn.Identity(), "^Odd.model has no parameters"),
    ("model", network().requires_grad_(False), "^Odd.model: none .* requires_grad is False"),
    ("model", torch.nn.Sequential(Layer(3, 1)), "0._extra_state: .*get_extra.*register_buffer"),
    ("model", torch.nn.Linear(3, 1).bfloat16(), "weight is of the type torch.bfloat16"),
    ("loader", None, "^Odd.loader must .*another iterable of batches, not NoneType"),
    ("loader", 61.25, "^Odd.loader must return .*, not float\n"),
    ("loader", torch.utils.data.DataLoader, "^Odd.loader .*not the class DataLoader itself"),
    ("loader", [1, 2], "^a batch holds no tensor.*A `loader` of your own"),
    ("loader", ["61.25"], "^a batch holds no tensor"),
    ("optimizer", torch.optim.Adam, "^Odd.optimizer must return an optimiser.*not type"),
    ("optimizer", None, "^Odd.optimizer must return an optimiser.*not NoneType"),
]


@pytest.mark.parametrize(("method", "returned", "says"), RETURNED)
def test_what_a_method_must_not_return(method, returned, says):
    made = {method: lambda self, *given: returned}
    if says.startswith("weight"):
        made["loss"] = lambda self, batch: self.net(batch[0].bfloat16()).mean()
    with pytest.raises(ModelError, match=says) as caught:
        run(odd(**made))
    assert "in node-0, round 1" in caught.value.__notes__[0]
    assert "61.25" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "returned", "says"),
    [
        ("loader", lambda self, dataset, _: dataset, "^Odd.loader .*not the samples themselves"),
        ("loader", lambda self, dataset, _: range(len(dataset)), "^a batch holds no tensor"),
        ("optimizer", lambda self, given: torch.optim.LBFGS(given), r"LBFGS .*\(a closure\).*Adam"),
        ("loss", lambda self, batch: self.net(batch[0]).mean().detach(), "require grad.*detach"),
        ("loss", lambda self, batch: torch.tensor(3), "^Odd.loss must .*require grad"),
    ],
)
def test_what_is_made_of_arguments_is_checked(method, returned, says):
    with pytest.raises(ModelError, match=says):
        run(odd(**{method: returned}))


def test_an_untrainable_model_may_be_scored():
    class Fixed(Net):
        def model(self):
            return Listed()

        def analysis_method(self, data, aggregator_results):
            n = self.evaluate({}, data)["n"]
            return {"model": {"w": np.zeros(1)}, "local_n_samples": n, "loss": float(n)}

    assert run(Fixed, rounds=1).result["loss"] == (40 * 40 + 24 * 24) / 64


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
def test_impossible_settings_are_refused(setting, says):
    with pytest.raises(ModelError, match=says):
        run(**setting)


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
