"""What federated algorithms change in a round of training: objects that the training loop calls.

They hold on to a model and its received weights for one round. The arithmetic is that of
:mod:`flame_flwr.aggregation.drift_corrections`; what merges the answers is a strategy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.drift_corrections import (
    proximal_term,
    scaffold_control,
    scaffold_gradient,
    zeros_like,
)
from flame_flwr.errors import ModelError
from flame_flwr.torch.weights import pytorch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from flame_flwr.torch.analyzer import TorchAnalyzer

__all__ = ["ALGORITHMS", "Correction", "Nova", "Proximal", "Scaffold", "corrections_for"]
__all__ += ["trained_parameters"]

ALGORITHMS = ("fedavg", "scaffold", "fednova")


class Correction:
    """Changes a round of training; every method does nothing by default."""

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at the optimiser that goes the steps, before the first one."""

    def added_loss(self) -> torch.Tensor | None:
        """Return what is added to a batch's loss; it is not in the loss that is told."""
        return None

    def change_gradients(self) -> None:
        """Change the gradients of a step, before the optimiser takes it."""

    def answer(self, steps: int, rows: int) -> dict[str, Any]:
        """Return what the node sends beside its model, after so many steps on so many samples."""
        return {}


class Proximal(Correction):
    """Draws a model to weights: FedProx's term (Li et al., MLSys 2020, equation 2).

    Parameters
    ----------
    net : torch.nn.Module
        The model, with the weights it begins with.
    mu : float
        How strongly.
    towards : sequence of torch.Tensor, optional
        Of the parameters that are trained, what they are drawn to; without it the weights that the
        model has now.
    """

    def __init__(
        self, net: torch.nn.Module, mu: float, towards: Sequence[torch.Tensor] | None = None
    ) -> None:
        self._weights = list(trained_parameters(net).values())
        self._mu = mu
        self._towards = [each.detach().clone() for each in towards or self._weights]

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """See that steps towards the weights do not end further beyond them each time.

        Raises
        ------
        ModelError
            They would, whatever the data: the strength is too large for plain gradient steps.
        """
        for group in optimizer.param_groups:
            plain = type(optimizer) is pytorch().optim.SGD and not group.get("momentum")
            # a step multiplies the distance by `1 - lr * mu`: from 2 on it shrinks no more
            if plain and self._mu * float(group["lr"]) >= 2:
                raise ModelError(
                    f"a model is drawn to the common one with {self._mu:g}, in plain gradient "
                    f"steps of the learning rate {float(group['lr']):g}. Where their product is 2 "
                    "or more, each step ends further beyond it: take a smaller learning_rate, "
                    "fedprox_mu or lam"
                )

    def added_loss(self) -> torch.Tensor:
        """Return the term."""
        term: torch.Tensor = proximal_term(self._weights, self._towards, self._mu)
        return term


class Scaffold(Correction):
    """Corrects gradients by control variates: Karimireddy et al., ICML 2020, equations 3 and 4.

    Parameters
    ----------
    analyzer : TorchAnalyzer
        With its model, which has the weights that it begins with. It keeps the node's control.
    common : mapping or None
        The server's control variate; ``None``: zero.
    """

    def __init__(self, analyzer: TorchAnalyzer, common: Mapping[str, Any] | None) -> None:
        self._analyzer = analyzer
        self._weights = trained_parameters(analyzer.net)
        self._received = {name: each.detach().clone() for name, each in self._weights.items()}
        self._common = self._tensors(common)
        self._control = self._tensors(analyzer._control)
        self._rate = 0.0

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the learning rate of the steps."""
        self._rate = rate_of_plain_steps(self._analyzer, optimizer)

    def change_gradients(self) -> None:
        """Take the node's control variate from the gradient, and add the common one."""
        for name, weight in self._weights.items():
            if weight.grad is not None:
                weight.grad = scaffold_gradient(
                    weight.grad, self._control[name], self._common[name]
                )

    def answer(self, steps: int, rows: int) -> dict[str, Any]:
        """Return by how much the node's control variate has changed, and keep the new one."""
        ends = {name: each.detach() for name, each in self._weights.items()}
        new = scaffold_control(
            self._control,
            self._common,
            self._received,
            ends,
            steps=steps,
            learning_rate=self._rate,
        )
        self._analyzer._control = {name: each.cpu().numpy() for name, each in new.items()}
        change = {name: (new[name] - self._control[name]).cpu().numpy() for name in new}
        return {"control_change": change}

    def _tensors(self, control: Mapping[str, Any] | None) -> dict[str, torch.Tensor]:
        """Return a control variate as tensors like the weights.

        Raises
        ------
        ModelError
            It is of another model.
        """
        if control is None:
            zeros: dict[str, torch.Tensor] = zeros_like(self._received)
            return zeros
        shapes = {name: tuple(each.shape) for name, each in self._received.items()}
        if {name: tuple(each.shape) for name, each in control.items()} != shapes:
            raise ModelError(
                "the control variate is of another model than this node's: `model` must be the "
                "same on every node and in every round"
            )
        return {name: each.new_tensor(control[name]) for name, each in self._received.items()}


class Nova(Correction):
    """Tells how many steps were gone: Wang et al., NeurIPS 2020.

    Parameters
    ----------
    analyzer : TorchAnalyzer
        With its model, which has the weights that it begins with.
    tells_start : bool
        Whether the server does not know these yet.
    """

    def __init__(self, analyzer: TorchAnalyzer, *, tells_start: bool) -> None:
        self._analyzer = analyzer
        begun = _by_every_name(analyzer.net) if tells_start else {}
        self._start = {name: each.detach().cpu().numpy().copy() for name, each in begun.items()}

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """See that a step is one of the length that the paper counts."""
        rate_of_plain_steps(self._analyzer, optimizer)

    def answer(self, steps: int, rows: int) -> dict[str, Any]:
        """Return the steps, and what else of the model is not trained by them."""
        net = self._analyzer.net
        own = _by_every_name(net)
        kept = {
            name: each.detach().cpu().numpy().copy()
            for name, each in net.state_dict().items()
            if name not in own
        }
        said = {"local_steps": steps, "rows_per_step": rows / steps, "buffer_values": kept}
        return {**said, "start": self._start} if self._start else said


def trained_parameters(net: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of a model that are trained, by name."""
    return {name: each for name, each in net.named_parameters() if each.requires_grad}


def _by_every_name(net: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters that are trained, those that layers share by each of their names."""
    named = net.named_parameters(remove_duplicate=False)
    return {name: each for name, each in named if each.requires_grad}


def corrections_for(analyzer: TorchAnalyzer, aggregate: Any) -> list[Correction]:
    """Return what an analyzer's settings change in a round that begins with an aggregate."""
    given = {} if aggregate is None else aggregate
    if analyzer.algorithm == "scaffold":
        return [Scaffold(analyzer, given.get("control"))]
    if analyzer.algorithm == "fednova":
        return [Nova(analyzer, tells_start=given.get("model") is None)]
    return [Proximal(analyzer.net, analyzer.fedprox_mu)] if analyzer.fedprox_mu else []


def rate_of_plain_steps(analyzer: TorchAnalyzer, optimizer: torch.optim.Optimizer) -> float:
    """Return the learning rate of an optimiser that goes plain gradient steps.

    Raises
    ------
    ModelError
        It goes others: then neither algorithm's formulas hold.
    """
    kind = type(optimizer)
    rates = {float(group["lr"]) for group in optimizer.param_groups}
    extra = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
    plain = kind is pytorch().optim.SGD and not any(
        group.get(name) for group in optimizer.param_groups for name in extra
    )
    if not plain or len(rates) != 1:
        raise ModelError(
            f"{type(analyzer).__name__}: {analyzer.algorithm!r} is made for plain gradient steps "
            f"of one learning rate, and its optimizer, {kind.__name__}, goes others: leave the "
            "method out, or return torch.optim.SGD(parameters, lr=self.learning_rate)"
        )
    return rates.pop()
