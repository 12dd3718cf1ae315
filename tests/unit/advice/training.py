"""Advice of what trains with PyTorch, and with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from flame_flwr.cross_site import CrossSite, CrossSiteFedAvg
from flame_flwr.sklearn import Ditto, SklearnAnalyzer
from flame_flwr.strategies import Scaffold, WeightedFedAvg
from flame_flwr.torch import TorchAnalyzer

from .case import Case, arguments, run, with_method


class _Net(TorchAnalyzer):
    """A linear model on a batch of three."""

    def model(self) -> Any:
        import torch

        return torch.nn.Linear(1, 1)

    def dataset(self, data: Any) -> Any:
        return np.ones((3, 1)), np.ones((3, 1))

    def loss(self, batch: Any) -> Any:
        return (self.net(batch[0]) - batch[1]) ** 2


def _torch_loss(code: str | None) -> None:
    loss = f"return ((self.net(batch[0]) - batch[1]) ** 2){code}"
    net = with_method(_Net, "loss", "self, batch", loss) if code else _Net
    run([1.0], WeightedFedAvg(), net)


def _torch_batch(code: str | None) -> None:
    model = (
        "import torch; return torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.BatchNorm1d(2))"
    )
    loss = "return self.net(batch[0]).square().mean()"
    net = with_method(with_method(_Net, "model", "self", model), "loss", "self, batch", loss)
    if code:
        load = (
            "from torch.utils.data import DataLoader; "
            f"return DataLoader(dataset, self.batch_size, generator=generator, {code})"
        )
        net = with_method(net, "loader", "self, dataset, generator", load)
    run([1.0], WeightedFedAvg(), net, analyzer_kwargs={"batch_size": 2})


def _torch_loader(code: str | None) -> None:
    load = f"from torch.utils.data import DataLoader; return {code or 'dataset'}"
    net = with_method(_Net, "loader", "self, dataset, generator", load)
    net = with_method(
        net, "loss", "self, batch", "return (self.net(batch[0]) - batch[1]).abs().mean()"
    )
    run([1.0], WeightedFedAvg(), net)


def _torch_model(code: str | None) -> None:
    made = code.replace("...", "1, 1") if code else "Linear"
    model = f"from torch.nn import Linear; return {made}"
    net = with_method(_Net, "model", "self", model)
    loss = "return (self.net(batch[0]) - batch[1]).abs().mean()"
    run([1.0], WeightedFedAvg(), with_method(net, "loss", "self, batch", loss))


def _torch_steps(code: str | None) -> None:
    steps = f"import torch; return {code or 'torch.optim.Adam(parameters)'}"
    net = with_method(_Net, "optimizer", "self, parameters", steps)
    loss = "return (self.net(batch[0]) - batch[1]).abs().mean()"
    net = with_method(net, "loss", "self, batch", loss)
    run([1.0], Scaffold(), net, analyzer_kwargs={"algorithm": "scaffold"})


TRAINING = [
    Case(
        "a model's class",
        r"itself: call it, `(?:(\w+\(\.\.\.\))|\{value\.__name__\})",
        _torch_model,
    ),
    Case("plain steps", r"or return (torch\.optim\.SGD\(.*?\))", _torch_steps),
    Case("samples for batches", r"made of them by `(DataLoader\(.*?\))`", _torch_loader),
    Case("a loss per sample", r"the mean over the batch, such as `(\.mean\(\))`", _torch_loss),
    Case("a batch of one", r"or write a `loader` with (drop_last=True)", _torch_batch),
]


class _Line(SklearnAnalyzer):
    """A linear model of four rows."""

    classes = (0, 1)

    def estimator(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression()

    def dataset(self, data: Any) -> Any:
        return np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0, 1, 0, 1])


def _sklearn_estimator(code: str | None) -> None:
    made = f"from sklearn.linear_model import LogisticRegression; return {code}"
    line = with_method(_Line, "estimator", "self", made) if code else _Line
    run([1.0], WeightedFedAvg(), line)


def _sklearn_length(code: str | None) -> None:
    made = code if code and code.startswith("SGD") else "SGDClassifier()"
    line = with_method(
        _Line, "estimator", "self", f"from sklearn.linear_model import SGDClassifier; return {made}"
    )
    if code and code.startswith("pass_length"):
        name, _, parameters = code.rstrip(")").partition("(")
        line = with_method(line, name, parameters, "return 0.1 * n_rows")
    run([1.0], WeightedFedAvg(), line, analyzer_kwargs={"fedprox_mu": 1.0})


def _cross_site(code: str | None) -> None:
    CrossSiteFedAvg(**arguments(code))


def _scored(code: str | None) -> None:
    bases = {"CrossSite": CrossSite, "WeightedFedAvg": WeightedFedAvg}
    type("Scored", eval(code or "(WeightedFedAvg, CrossSite)", bases), {})


def _personal(code: str | None) -> None:
    made = "SGDClassifier(learning_rate='constant', eta0=0.01)"
    line = with_method(
        _Line, "estimator", "self", f"from sklearn.linear_model import SGDClassifier; return {made}"
    )
    bases = eval(code or "(Ditto,)", {"Ditto": Ditto, "Mine": line})
    run([1.0], WeightedFedAvg(), type("Personal", bases, {"lam": 0.1}))


SCIKIT_LEARN = [
    Case(
        "an estimator that begins anew",
        r"with warm_start=True, such as (LogisticRegression\(.*?\))",
        _sklearn_estimator,
    ),
    Case("steps of one length", r"such as (SGDClassifier\(.*?\)), or write", _sklearn_length),
    Case("the end of a training", r"training ends, such as (convergence=.*?\))", _cross_site),
    Case("what stands in front of a strategy", r"`class \S+?(\(CrossSite, \S+\))`", _scored),
    Case("what stands in front of an analyzer", r"`class \S+?(\(Ditto, Mine\))`", _personal),
    Case("the length of a pass", r"write a method `(pass_length\(.*?\))`", _sklearn_length),
]
