"""Samples as PyTorch takes them, and what to do where they do not fit the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import DataError, ModelError
from flame_flwr.torch.weights import pytorch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch.utils.data import Dataset

__all__ = ["as_dataset", "explained", "length"]

_MISFITS = {
    "more than 1 value per channel": (
        "a batch has one sample only, and a layer such as BatchNorm needs two: choose another "
        "batch_size, or write a `loader` with drop_last=True"
    ),
    "dtype|scalar type|Input type": (
        "the samples are numbers of another type than the model's weights, or than its loss "
        "takes: return float32 from `dataset`, and whole numbers only where the loss wants classes"
    ),
    "shape|size|dimension|channels": (
        "the samples do not fit the model: it, or the loss, takes another number of values than "
        "they have. Give every node the same columns, or make `model` as wide as what the nodes "
        "have agreed on"
    ),
}
"""What PyTorch says where samples and model do not fit, and what to do."""


def as_dataset(samples: Any, method: str, net: torch.nn.Module) -> Dataset[Any]:
    """Return samples as a dataset, a tuple's in the type of the model's weights.

    Parameters
    ----------
    samples : Dataset or tuple of arrays
        What an analyzer's method has returned.
    method : str
        Its name.
    net : torch.nn.Module
        The model.

    Raises
    ------
    DataError
        There are none, or an array is not of numbers.
    ModelError
        It is no dataset, or its parts differ in length.
    """
    if isinstance(samples, tuple):
        from torch.utils.data import TensorDataset

        own = (each.dtype for each in net.parameters() if each.is_floating_point())
        kind = next(own, None)
        parts = [_tensor(part, kind, method) for part in samples]
        if len({len(part) for part in parts}) != 1:
            raise ModelError(f"{method}: the arrays must have as many samples each as the others")
        samples = TensorDataset(*parts)
    if not hasattr(samples, "__getitem__") or not hasattr(samples, "__len__"):
        raise ModelError(
            f"{method} must return a dataset with a length, or a tuple of arrays, not "
            f"{type(samples).__name__}"
        )
    if not len(samples):
        raise DataError(f"this node has no samples: what {method} returned is empty")
    dataset: Dataset[Any] = samples
    return dataset


def length(batch: Any) -> int:
    """Return how many samples a batch has: the length of the first tensor in it."""
    while not hasattr(batch, "shape"):
        batch = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
    return len(batch)


@contextmanager
def explained() -> Iterator[None]:
    """Say in our words where PyTorch finds that samples and model do not fit.

    Raises
    ------
    DataError
        They do not. PyTorch's own words stay in the detail.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        for pattern, meaning in _MISFITS.items():
            if re.search(pattern, str(error)):
                raise DataError(meaning, detail=str(error)) from error
        raise


def _tensor(part: Any, kind: torch.dtype | None, method: str) -> torch.Tensor:
    """Return an array as a tensor, floating numbers in the type of the model's weights."""
    try:
        tensor: torch.Tensor = pytorch().as_tensor(part)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{method}: one of the arrays does not hold numbers only, or is no array: look for "
            "texts and empty cells in the data, and return NumPy arrays",
            detail=str(error),
        ) from None
    if not tensor.ndim:
        raise ModelError(f"{method}: each of the arrays needs a row per sample, and one has none")
    return tensor.to(kind) if kind is not None and tensor.is_floating_point() else tensor
