"""Weights of a PyTorch model as arrays by name, and as the files that others read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["Weights", "arrays_of", "buffers_of", "check_state", "is_finite", "load_into"]
__all__ += ["pytorch", "safetensors_bytes", "state_dict", "state_dict_bytes"]

Weights = Mapping[str, npt.NDArray[Any]]
"""By the names of the ``state_dict``."""


def state_dict(weights: Weights, *, like: torch.nn.Module | None = None) -> dict[str, torch.Tensor]:
    """Return weights as tensors, for ``Module.load_state_dict``; they share no memory.

    Means over nodes round buffers of whole numbers and bools in their type. Where something else
    made floats of them, BatchNorm's ``num_batches_tracked`` is rounded, and others with `like`.

    Parameters
    ----------
    weights : mapping of str to ndarray
        By the names of the ``state_dict``.
    like : torch.nn.Module, optional
        A model whose types they get, whole numbers and bools rounded.

    Raises
    ------
    ModelError
        One is of a type that NumPy has not, such as bfloat16.

    Examples
    --------
    >>> import numpy as np
    >>> state_dict({"weight": np.float32([[0.5, 2]])})
    {'weight': tensor([[0.5000, 2.0000]])}
    """
    torch = pytorch()
    return {name: torch.tensor(array) for name, array in _saved(weights, like).items()}


def state_dict_bytes(weights: Weights, *, like: torch.nn.Module | None = None) -> bytes:
    """Return weights as the content of a file that ``torch.load(..., weights_only=True)`` reads.

    `like` is as for :func:`state_dict`.

    Examples
    --------
    >>> import io
    >>> import torch
    >>> content = state_dict_bytes({"weight": np.float32([[0.5, 2]])})
    >>> torch.load(io.BytesIO(content), weights_only=True)
    {'weight': tensor([[0.5000, 2.0000]])}
    """
    import io

    file = io.BytesIO()
    pytorch().save(state_dict(weights, like=like), file)
    return file.getvalue()


def safetensors_bytes(
    weights: Weights,
    metadata: Mapping[str, str] | None = None,
    *,
    like: torch.nn.Module | None = None,
) -> bytes:
    """Return weights as the content of a safetensors file, which runs no code where it is read.

    Parameters
    ----------
    weights : mapping of str to ndarray
        By the names of the ``state_dict``.
    metadata : mapping of str to str, optional
        What the file says beside them.
    like : torch.nn.Module, optional
        As for :func:`state_dict`.

    Raises
    ------
    ModelError
        safetensors is not installed, or a weight is of a type that NumPy has not.

    Examples
    --------
    >>> from safetensors.numpy import load
    >>> load(safetensors_bytes({"weight": np.float32([[0.5, 2]])}))
    {'weight': array([[0.5, 2. ]], dtype=float32)}
    """
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ModelError(
            "a safetensors file needs safetensors: pip install 'flame-flwr[torch]'"
        ) from error
    arrays = {name: np.asarray(each, order="C") for name, each in _saved(weights, like).items()}
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
    return {name: _array(name, tensor).copy() for name, tensor in net.state_dict().items()}


def buffers_of(net: torch.nn.Module) -> list[str]:
    """Return what of a model's ``state_dict`` are buffers: nothing that an optimiser trains."""
    # a parameter that layers share stands in the state under each of its names
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    return [name for name in net.state_dict() if name not in parameters]


def load_into(net: torch.nn.Module, weights: Weights) -> None:
    """Put weights into a model.

    Raises
    ------
    ModelError
        Names or shapes are others than the model's, or a type is one that NumPy has not.
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
        value = _array(name, weights[name])
        if value.shape != tuple(tensor.shape):
            raise ModelError(
                f"{name} has the shape {value.shape} in the model that was received and "
                f"{tuple(tensor.shape)} in this node's: do nodes have different features?"
            )
        if not tensor.is_floating_point() and not tensor.is_complex():
            value = np.rint(value)  # the mean of counts, as of seen batches
        with torch.no_grad():
            # in place: layers that share a weight go on sharing it
            tensor.copy_(torch.tensor(value))


def check_state(net: torch.nn.Module) -> None:
    """Refuse a model whose ``state_dict`` holds more than parameters and buffers.

    Raises
    ------
    ModelError
        A layer has a ``get_extra_state``: what it returns may be anything.
    """
    for name in net.state_dict():
        if name.rpartition(".")[2] == "_extra_state":
            raise ModelError(
                f"{name}: a layer keeps a state beside its weights (get_extra_state), which cannot "
                "travel. Keep it as a buffer (register_buffer), or take the layer without it"
            )


def is_finite(net: torch.nn.Module) -> bool:
    """Tell whether no weight of a model is NaN or infinite."""
    return all(
        bool(tensor.isfinite().all())
        for tensor in net.state_dict().values()
        if tensor.is_floating_point()
    )


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return an array, also of a tensor.

    Raises
    ------
    ModelError
        It is of a type that NumPy has not, such as bfloat16.
    """
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except TypeError:
        array = np.empty(0, object)
    if array.dtype.kind not in "biufc":
        kind = getattr(value, "dtype", array.dtype)
        raise ModelError(f"{name} is of the type {kind}, which cannot travel: use float32")
    return array


def _saved(weights: Weights, like: torch.nn.Module | None) -> dict[str, npt.NDArray[Any]]:
    """Return arrays as files have them: in the types of a model, where one is given."""
    types = {} if like is None else {name: a.dtype for name, a in arrays_of(like).items()}
    count = np.dtype(np.int64)
    saved = {}
    for name, value in weights.items():
        array = _array(name, value)
        own = count if name.endswith("num_batches_tracked") else array.dtype
        saved[name] = _typed(array, types.get(name, own))
    return saved


def _typed(array: npt.NDArray[Any], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an array in a type; the mean of whole numbers or bools is rounded."""
    averaged = kind.kind in "biu" and array.dtype.kind == "f"
    return (np.rint(array) if averaged else array).astype(kind)
