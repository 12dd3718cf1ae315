"""Advice of what trains with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from flame_flwr.strategies import WeightedFedAvg
from flame_flwr.torch import TorchAnalyzer

from .case import Case, run, with_method


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


TRAINING = [
    Case("samples for batches", r"made of them by `(DataLoader\(.*?\))`", _torch_loader),
    Case("a loss per sample", r"the mean over the batch, such as `(\.mean\(\))`", _torch_loss),
    Case("a batch of one", r"or write a `loader` with (drop_last=True)", _torch_batch),
]
