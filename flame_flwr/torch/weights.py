"""Weights of a PyTorch model as arrays by name, and as the files that others read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["Weights", "arrays_of", "is_finite", "load_into", "pytorch", "safetensors_bytes"]
__all__ += ["state_dict", "state_dict_bytes"]

Weights = Mapping[str, npt.NDArray[Any]]
"""By the names of the ``state_dict``."""


def state_dict(weights: Weights) -> dict[str, torch.Tensor]:
    """Return weights as tensors, for ``Module.load_state_dict``; they share no memory."""
    torch = pytorch()
    return {name: torch.tensor(np.asarray(value)) for name, value in weights.items()}


def state_dict_bytes(weights: Weights) -> bytes:
    """Return weights as the content of a file that ``torch.load(..., weights_only=True)`` reads."""
    import io

    file = io.BytesIO()
    pytorch().save(state_dict(weights), file)
    return file.getvalue()


def safetensors_bytes(weights: Weights, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return weights as the content of a safetensors file, which runs no code where it is read.

    Parameters
    ----------
    weights : mapping of str to ndarray
        By the names of the ``state_dict``.
    metadata : mapping of str to str, optional
        What the file says beside them.

    Raises
    ------
    ModelError
        safetensors is not installed.
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ModelError(
            "a safetensors file needs safetensors: pip install 'flame-flwr[torch]'"
        ) from error
    arrays = {name: np.ascontiguousarray(value) for name, value in weights.items()}
    content: bytes = save(arrays, None if metadata is None else dict(metadata))
    return content


def pytorch() -> Any:
    """Return PyTorch.

    Raises
    ------
    ModelError
        It is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ModelError(
            "this analysis needs PyTorch, which is not installed here: "
            "pip install 'flame-flwr[torch]', on every node and on the server"
        ) from error
    return torch


def arrays_of(net: torch.nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Return copies of a model's weights and buffers.

    Raises
    ------
    ModelError
        One is of a type that NumPy has not, such as bfloat16.
    """
    found = {}
    for name, tensor in net.state_dict().items():
        try:
            found[name] = tensor.detach().cpu().numpy().copy()
        except TypeError:
            raise ModelError(
                f"{name} is of the type {tensor.dtype}, which cannot travel: use float32"
            ) from None
    return found


def load_into(net: torch.nn.Module, weights: Weights) -> None:
    """Put weights into a model.

    Raises
    ------
    ModelError
        Names or shapes are others than the model's.
    """
    torch = pytorch()
    own = net.state_dict()
    odd = sorted(set(own) ^ set(weights))
    if odd:
        raise ModelError(
            f"the model that was received has other parts than this node's: {odd[0]} is only in "
            "one of them. `model` must be the same on every node"
        )
    for name, tensor in own.items():
        value = np.asarray(weights[name])
        if value.shape != tuple(tensor.shape):
            raise ModelError(
                f"{name} has the shape {value.shape} in the model that was received and "
                f"{tuple(tensor.shape)} in this node's: do nodes have different features?"
            )
        if not tensor.is_floating_point() and not tensor.is_complex():
            value = np.rint(value)  # the mean of counts, as of seen batches
        with torch.no_grad():
            tensor.copy_(torch.tensor(value))


def is_finite(net: torch.nn.Module) -> bool:
    """Tell whether no weight of a model is NaN or infinite."""
    return all(
        bool(tensor.isfinite().all())
        for tensor in net.state_dict().values()
        if tensor.is_floating_point()
    )
