"""Which arrays of a model are buffers: kept by a layer beside what is trained.

BatchNorm's running mean and variance are examples. After an optimiser's step, or with noise, a
variance may be negative and is none any more. So server optimisers, ``TopFraction`` and filters
with noise tell buffers from parameters: by the names that the answer gives beside the model, and
by PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["BUFFERS", "is_buffer", "is_counter", "names_in"]

BUFFERS = "buffers"
"""The key under which an answer names its model's buffers, a list of texts."""

_COUNTER = "num_batches_tracked"
_BATCH_NORM = frozenset({"running_mean", "running_var", _COUNTER})
"""What PyTorch calls the buffers of BatchNorm and InstanceNorm, also where nobody names them."""


def names_in(answer: Any, key: str = BUFFERS) -> tuple[str, ...]:
    """Return the names of buffers that an answer lists at a key; none where it has no such list."""
    found = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        return ()
    return tuple(found)


def is_buffer(name: str, names: Iterable[str], *, known: bool = True) -> bool:
    """Tell whether an array is a buffer.

    Parameters
    ----------
    name : str
        The keys that lead to it, with dots between.
    names : iterable of str
        What buffers are called.
    known : bool
        Whether those are buffers, too, that are called as in PyTorch's BatchNorm.
    """
    return name in names or (known and name.rpartition(".")[2] in _BATCH_NORM)


def is_counter(name: str) -> bool:
    """Tell whether an array is called as what PyTorch's BatchNorm counts: batches, ever more."""
    return name.rpartition(".")[2] == _COUNTER
