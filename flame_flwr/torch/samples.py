"""Samples as PyTorch takes them, and what to do where they do not fit the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, ModelError
from flame_flwr.torch.weights import pytorch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch.utils.data import Dataset

__all__ = ["as_dataset", "explained", "is_finite_batch", "length"]

_MISFITS = {
    r"shapes cannot be multiplied|[Ss]izes? of tensors?|[Tt]arget size|batch_size .* to match"
    r"|channels, but got|input\.size\(|normalized_shape|running_mean should contain": (
        "the samples do not fit the model: it, or the loss, takes another number of values than "
        "they have. Give every node the same columns, or make `model` as wide as what the nodes "
        "have agreed on"
    ),
    r"(same|mixed|target|Found) dtype|scalar type|Input type \(": (
        "the samples are numbers of another type than the model's weights, or than its loss "
        "takes: return float32 from `dataset`, and whole numbers only where the loss wants classes"
    ),
    "more than 1 value per channel": (
        "a batch has one sample only, and a layer such as BatchNorm needs two: choose another "
        "batch_size, or write a `loader` with drop_last=True"
    ),
}
"""What PyTorch says where one node's data does not fit, and what to do. Of other errors, their type
and place tell the analyst enough."""


def as_dataset(samples: Any, method: str, net: torch.nn.Module) -> Dataset[Any]:
    """Return samples as a dataset, a tuple's in the type of the model's weights.

    Parameters
    ----------
    samples : Dataset or tuple of arrays
        What an analyzer's method has returned. A list is a dataset where its items are tuples or
        dicts, a sample each; of arrays it could mean samples as well as parts, and is refused.
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
    _check_kind(samples, method)
    if not len(samples):
        raise DataError(f"this node has no samples: what {method} returned is empty")
    dataset: Dataset[Any] = samples
    return dataset


def length(batch: Any) -> int:
    """Return how many samples a batch has: the length of the first tensor in it.

    Raises
    ------
    ModelError
        There is none.
    """
    for tensor in _tensors(batch):
        return len(tensor)
    raise ModelError(
        "a batch holds no tensor: give each sample in `dataset` as numbers, arrays or tensors, "
        "which a DataLoader makes tensors of; texts may be beside them. A `loader` of your own "
        "gives batches of tensors, too"
    )


def is_finite_batch(batch: Any) -> bool:
    """Tell whether no number of a batch is NaN or infinite."""
    torch = pytorch()
    numbers = (each for each in _tensors(batch) if isinstance(each, torch.Tensor))
    return all(bool(each.isfinite().all()) for each in numbers)


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
    except (RuntimeError, ValueError, IndexError) as error:
        for pattern, meaning in _MISFITS.items():
            if re.search(pattern, str(error)):
                raise DataError(meaning, detail=str(error)) from error
        raise


def _check_kind(samples: Any, method: str) -> None:
    """Refuse what is no dataset, or not clearly one.

    Raises
    ------
    ModelError
        It is none.
    """
    kind = type(samples).__name__
    if isinstance(samples, list) and samples and not isinstance(samples[0], tuple | Mapping):
        raise ModelError(
            f"{method}: a list could be one of samples or one of arrays: give a tuple for arrays, "
            "`x, y`, and for samples a list of tuples or a dataset"
        )
    table = kind in ("DataFrame", "Series") or isinstance(samples, Mapping | str | bytes)
    if table or not hasattr(samples, "__getitem__") or not hasattr(samples, "__len__"):
        raise ModelError(
            f"{method} must return a dataset with a length, or a tuple of arrays, not {kind}"
        )


def _tensors(batch: Any) -> Iterator[Any]:
    """Yield what has a length of its own in a batch: tensors, at any depth."""
    if getattr(batch, "shape", ()):
        yield batch
    elif isinstance(batch, Mapping | list | tuple):
        for part in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _tensors(part)


def _tensor(part: Any, kind: torch.dtype | None, method: str) -> torch.Tensor:
    """Return an array as a tensor, floating numbers in the type of the model's weights."""
    try:
        if hasattr(part, "__array__") and not isinstance(part, pytorch().Tensor):
            part = np.require(part, requirements=["C", "W"])  # as PyTorch takes it: tables, too
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
