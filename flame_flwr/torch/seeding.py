"""Chance that is the same on every node, in every round and every run."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from flame_flwr.torch.weights import pytorch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the process's random numbers within the block, and restore their state afterwards.

    That is PyTorch's, also on graphics cards that this process uses, NumPy's ``np.random.normal``
    and the like, and that of Python's ``random``. Generators of their own, such as
    ``np.random.default_rng()``, are left alone.

    Parameters
    ----------
    seed : int
        From 0 to below 2**64; NumPy's is its lower 32 bits.
    """
    torch = pytorch()
    numpys, pythons = np.random.get_state(), random.getstate()
    # asking a card for its state would start CUDA there
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=cards):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)
