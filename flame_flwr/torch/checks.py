"""Checks of what an analyzer is given, and of what its methods return.

Of the latter messages have no values, as they may travel.
"""

from __future__ import annotations

import inspect
from numbers import Real
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError
from flame_flwr.torch.corrections import ALGORITHMS
from flame_flwr.torch.weights import pytorch
from flame_flwr.training.checks import check_flag, check_strength, check_whole

if TYPE_CHECKING:
    import torch

    from flame_flwr.torch.analyzer import TorchAnalyzer

__all__ = ["check_gradient", "check_loader", "check_loss", "check_model", "check_optimizer"]
__all__ += ["check_parameters", "check_settings"]


def check_settings(analyzer: TorchAnalyzer) -> None:
    """Check the parameters, and have them in Python's own types: loaders refuse NumPy's.

    Raises
    ------
    ModelError
        One is not what it must be.
    """
    name = type(analyzer).__name__
    for key, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("threads", 0)):
        check_whole(analyzer, key, least)
    if analyzer.seed >= 2**63:  # the round's number is added, and PyTorch takes 64 bits
        raise ModelError(f"{name}: seed must be below 2**63, not {analyzer.seed!r}")
    for key in ("shuffle", "keep_optimizer"):
        check_flag(analyzer, key)
    rate = analyzer.learning_rate
    if isinstance(rate, bool) or not isinstance(rate, Real) or not rate > 0:
        raise ModelError(f"{name}: learning_rate must be a number above 0, not {rate!r}")
    analyzer.learning_rate = float(rate)
    check_strength(analyzer, "fedprox_mu")
    if analyzer.algorithm not in ALGORITHMS:
        raise ModelError(
            f"{name}: algorithm must be one of {', '.join(map(repr, ALGORITHMS))}, not "
            f"{analyzer.algorithm!r}"
        )
    if analyzer.fedprox_mu and analyzer.algorithm != "fedavg":
        raise ModelError(
            f"{name}: fedprox_mu goes with the algorithm 'fedavg' alone, not {analyzer.algorithm!r}"
        )
    if not isinstance(analyzer.device, str):
        raise ModelError(
            f"{name}: device must be a text, 'auto', 'cpu' or 'cuda', not {analyzer.device!r}"
        )


def check_model(analyzer: TorchAnalyzer, model: Any) -> None:
    """Refuse what is no model.

    Raises
    ------
    ModelError
        It is none.
    """
    if isinstance(model, type) or not isinstance(model, pytorch().nn.Module):
        raise ModelError(
            f"{type(analyzer).__name__}.model must return a model, a torch.nn.Module, "
            f"not {_kind(model)}"
        )


def check_parameters(analyzer: TorchAnalyzer) -> None:
    """Refuse to train a model that has nothing to train.

    Raises
    ------
    ModelError
        It has no parameters.
    """
    if next(analyzer.net.parameters(), None) is None:
        raise ModelError(
            f"{type(analyzer).__name__}.model has no parameters, so there is nothing to train: "
            "have its layers as attributes, or in a torch.nn.ModuleList instead of a list"
        )


def check_loader(analyzer: TorchAnalyzer, loader: Any, samples: Any) -> None:
    """Refuse what gives no batches.

    It is not begun, which would draw from the round's source of chance.

    Raises
    ------
    ModelError
        It cannot be gone through, or is the samples themselves.
    """
    called = f"{type(analyzer).__name__}.loader must return a DataLoader"
    if loader is samples:
        raise ModelError(
            f"{called}, not the samples themselves: batches are made of them by "
            "`DataLoader(dataset, self.batch_size, generator=generator)`"
        )
    iterable = hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")
    if isinstance(loader, type) or not iterable:
        raise ModelError(f"{called}, or another iterable of batches, not {_kind(loader)}")


def check_optimizer(analyzer: TorchAnalyzer, optimizer: Any) -> None:
    """Refuse what is no optimiser, or cannot go a step without being given the loss.

    Raises
    ------
    ModelError
        It is one of these.
    """
    name, kind = type(analyzer).__name__, type(optimizer).__name__
    if not isinstance(optimizer, pytorch().optim.Optimizer):
        raise ModelError(f"{name}.optimizer must return an optimiser of PyTorch, not {kind}")
    taken = inspect.signature(optimizer.step).parameters.values()
    if any(each.name == "closure" and each.default is each.empty for each in taken):
        raise ModelError(
            f"{name}.optimizer: {kind} calls the loss itself (a closure), which the base does not "
            "offer: take another, such as Adam or SGD"
        )


def check_loss(analyzer: TorchAnalyzer, loss: Any) -> None:
    """Refuse a loss that is no tensor with one number.

    Raises
    ------
    ModelError
        It is none; a shape, which tells how many samples there are, is in the detail.
    """
    called = f"{type(analyzer).__name__}.loss must return a tensor with one number"
    if not isinstance(loss, pytorch().Tensor):
        raise ModelError(f"{called}, computed from what self.net gives, not {_kind(loss)}")
    if loss.numel() != 1:
        raise ModelError(
            f"{called}, not one of {loss.ndim} dimension{'s'[loss.ndim == 1 :]} ({loss.dtype}): "
            "return the mean over the batch, such as `.mean()`",
            detail=f"its shape is {tuple(loss.shape)}",
        )


def check_gradient(analyzer: TorchAnalyzer, loss: torch.Tensor) -> None:
    """Refuse a loss that no weight can be trained with.

    Raises
    ------
    ModelError
        It does not come from the weights, or all of them are frozen.
    """
    name = type(analyzer).__name__
    if not any(each.requires_grad for each in analyzer.net.parameters()):
        raise ModelError(
            f"{name}.model: none of its parameters can be trained, as requires_grad is False for "
            "all of them: leave it True for those that are to be"
        )
    if not loss.requires_grad:
        raise ModelError(
            f"{name}.loss must return a tensor that is computed from what self.net gives: this one "
            "does not require grad, so it trains nothing. Look for detach(), item(), no_grad() or "
            "torch.tensor(...) on its way"
        )


def _kind(value: Any) -> str:
    """Return what a value is, without the value."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself: call it, `{value.__name__}(...)`"
    return type(value).__name__
