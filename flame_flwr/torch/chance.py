"""Chance that is the same on every node, in every round and every run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flame_flwr.torch.weights import pytorch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Have the process's chance begin at a seed, and go on afterwards where it was.

    That is PyTorch's on the CPU.

    Parameters
    ----------
    seed : int
        From 0 to below 2**64.
    """
    torch = pytorch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
