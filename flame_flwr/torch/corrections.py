"""What federated algorithms change in a round of training: objects that the training loop calls.

They hold on to a model and its received weights for one round. The arithmetic is that of
:mod:`flame_flwr.aggregation.drift_corrections`; what merges the answers is a strategy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.drift_corrections import proximal_term

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from flame_flwr.torch.analyzer import TorchAnalyzer

__all__ = ["Correction", "Proximal", "corrections_for", "trained"]


class Correction:
    """Changes a round of training; every method does nothing by default."""

    def begin(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at the optimiser that goes the steps, before the first one."""

    def added_loss(self) -> torch.Tensor | None:
        """Return what is added to a batch's loss; it is not in the loss that is told."""
        return None

    def change_gradients(self) -> None:
        """Change the gradients of a step, before the optimiser takes it."""

    def answer(self, steps: int) -> dict[str, Any]:
        """Return what the node sends beside its model, after so many steps."""
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
        self._weights = list(trained(net).values())
        self._mu = mu
        self._towards = [each.detach().clone() for each in towards or self._weights]

    def added_loss(self) -> torch.Tensor:
        """Return the term."""
        term: torch.Tensor = proximal_term(self._weights, self._towards, self._mu)
        return term


def trained(net: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of a model that are trained, by name."""
    return {name: each for name, each in net.named_parameters() if each.requires_grad}


def corrections_for(analyzer: TorchAnalyzer) -> list[Correction]:
    """Return what an analyzer's settings change in a round that begins."""
    return [Proximal(analyzer.net, analyzer.fedprox_mu)] if analyzer.fedprox_mu else []
