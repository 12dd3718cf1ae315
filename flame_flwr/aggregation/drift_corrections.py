"""Corrections that analyzers apply while they train, so that nodes with different data agree.

FedProx's proximal term and SCAFFOLD's control variates as plain functions. Every argument that
stands for weights is a NumPy array or a PyTorch tensor, or a list, tuple or dict of them, of one
shape throughout; where the first argument is of tensors, so is the result, and arrays among the
others become tensors like them. Nothing here keeps state or talks to anyone: an analyzer calls
these in its own training loop. A ``TorchAnalyzer`` does so by itself, where it is told to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from flame_flwr.errors import ModelError

__all__ = [
    "proximal_gradient",
    "proximal_term",
    "scaffold_control",
    "scaffold_gradient",
    "scaffold_update",
    "zeros_like",
]


def proximal_term(weights: Any, received: Any, mu: float) -> Any:
    """Return what FedProx adds to a node's loss: ``mu / 2 * ||weights - received||**2``.

    Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020, equation 2.

    Parameters
    ----------
    weights : arrays or tensors
        The node's own, in training, such as ``list(self.net.parameters())``.
    received : arrays or tensors
        The aggregate that the round began with.
    mu : float
        How strongly the node is held back; 0 is plain federated averaging.

    Returns
    -------
    float or torch.Tensor
        Of tensors a tensor, to be added to the loss: gradients go through it.

    Examples
    --------
    >>> proximal_term([np.array([1.0, 2.0])], [np.array([1.0, 4.0])], mu=0.1)
    0.2
    >>> import torch
    >>> weights = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> proximal_term(weights, torch.tensor([1.0, 4.0]), mu=0.5).backward()
    >>> weights.grad
    tensor([ 0., -1.])
    """
    squares: list[Any] = []

    # `_map` checks that the two fit each other; what it puts together is not used.
    def square(w: Any, r: Any) -> Any:
        squares.append(((w - r) ** 2).sum())
        return w

    _map(square, weights, received)
    term = mu / 2 * sum(squares)  # of tensors one, through which gradients go
    return term if _is_tensor(term) else float(term)


def proximal_gradient(weights: Any, received: Any, mu: float) -> Any:
    """Return the gradient of :func:`proximal_term`, to be added to the loss's own.

    ``mu * (weights - received)``, in the form of `weights`; arguments as there.

    Examples
    --------
    >>> proximal_gradient({"coef": np.array([1.0, 2.0])}, {"coef": np.array([1.0, 4.0])}, mu=0.5)
    {'coef': array([ 0., -1.])}
    """
    return _map(lambda w, r: mu * (w - r), weights, received)


def scaffold_gradient(gradient: Any, control: Any, server_control: Any) -> Any:
    """Return a node's gradient corrected for its drift: ``gradient - control + server_control``.

    Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML
    2020, equation 3.

    Parameters
    ----------
    gradient : arrays
        At the node's weights.
    control, server_control : arrays
        The node's control variate and the server's; both begin as :func:`zeros_like`.

    Examples
    --------
    >>> scaffold_gradient(np.array([1.0]), np.array([0.5]), np.array([0.2]))
    array([0.7])
    """
    return _map(lambda g, c, s: g - c + s, gradient, control, server_control)


def scaffold_control(
    control: Any,
    server_control: Any,
    received: Any,
    weights: Any,
    *,
    steps: int,
    learning_rate: float,
) -> Any:
    """Return a node's new control variate after its local steps.

    ``control - server_control + (received - weights) / (steps * learning_rate)``: option II of
    equation 4 of Karimireddy et al., ICML 2020.

    Parameters
    ----------
    control, server_control : arrays
        Those that the steps were corrected with.
    received, weights : arrays
        The aggregate that the round began with, and the node's weights at its end.
    steps : int
        Local steps in the round.
    learning_rate : float
        The learning rate of the local steps.

    Raises
    ------
    ModelError
        There was no step, or the learning rate is not above 0.

    Examples
    --------
    >>> zero, before, after = np.zeros(1), np.array([3.0]), np.array([2.0])
    >>> scaffold_control(zero, zero, before, after, steps=5, learning_rate=0.1)
    array([2.])
    """
    if not steps >= 1 or not learning_rate > 0:
        raise ModelError(
            "scaffold_control: steps must be at least 1 and learning_rate above 0; a node that "
            "made no step keeps its control variate"
        )
    scale = 1.0 / (steps * learning_rate)
    return _map(
        lambda c, s, r, w: c - s + (r - w) * scale,
        control,
        server_control,
        received,
        weights,
    )


def scaffold_update(
    weights: Any,
    server_control: Any,
    weights_change: Any,
    control_change: Any,
    *,
    learning_rate: float = 1.0,
    share: float = 1.0,
) -> tuple[Any, Any]:
    """Return the server's new weights and control variate, from the means over nodes.

    ``weights + learning_rate * weights_change`` and ``server_control + share * control_change``:
    equation 5 of Karimireddy et al., ICML 2020.

    Parameters
    ----------
    weights, server_control : arrays
        Of the last aggregate.
    weights_change, control_change : arrays
        The plain means of what nodes have changed of theirs.
    learning_rate : float
        The server's.
    share : float
        The nodes that answered, as a share of all.

    Examples
    --------
    >>> model, control = np.array([3.0]), np.array([0.0])
    >>> scaffold_update(model, control, np.array([-1.0]), np.array([0.5]), share=0.5)
    (array([2.]), array([0.25]))
    """
    new = _map(lambda w, d: w + learning_rate * d, weights, weights_change)
    control = _map(lambda c, d: c + share * d, server_control, control_change)
    return new, control


def zeros_like(weights: Any) -> Any:
    """Return zeros of the same form: where control variates begin.

    Examples
    --------
    >>> zeros_like({"coef": np.array([1, 2])})
    {'coef': array([0., 0.])}
    """
    return _map(_zeros, weights)


def _zeros(weights: Any) -> Any:
    if _is_tensor(weights):
        return weights.new_zeros(weights.shape)
    # at least float32: controls are of gradients, also where weights are whole numbers
    return np.zeros_like(weights, dtype=np.result_type(weights, np.float32))


def _map(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Apply a function to arrays that stand in the same places, all made of one kind."""
    first = _listed(first)
    others = tuple(map(_listed, others))
    if isinstance(first, Mapping):
        for other in others:
            if not isinstance(other, Mapping) or set(other) != set(first):
                raise ModelError(
                    "the weights to compare are no dicts with the same keys: give the same part "
                    "of both, such as received['model']"
                )
        return {key: _map(function, first[key], *(o[key] for o in others)) for key in first}
    if isinstance(first, list | tuple):
        for other in others:
            if not isinstance(other, list | tuple) or len(other) != len(first):
                raise ModelError("the weights to compare are no lists of the same length")
        parts = [_map(function, *parts) for parts in zip(first, *others, strict=True)]
        return parts if isinstance(first, list) else tuple(parts)
    for other in others:
        if np.shape(other) != np.shape(first):
            raise ModelError(f"weights of shapes {np.shape(first)} and {np.shape(other)}")
    if _is_tensor(first):
        return function(first, *(o if _is_tensor(o) else first.new_tensor(o) for o in others))
    return function(*map(np.asarray, (first, *others)))


def _listed(value: Any) -> Any:
    """Return the parameters of a model, which come one by one, as a list."""
    return list(value) if isinstance(value, Iterator) else value


def _is_tensor(value: Any) -> bool:
    """Tell a tensor, by what it has and arrays have not: PyTorch may not be installed."""
    return hasattr(value, "new_tensor")
