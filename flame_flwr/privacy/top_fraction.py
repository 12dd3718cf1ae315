"""``TopFraction``: only the largest changes leave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.parameters import FRACTION, parameter
from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["TopFraction"]


@dataclass(frozen=True)
class TopFraction(UpdateFilter):
    """Lets only the largest changes leave; every other number goes back as it was received.

    Of *n* numbers in all chosen arrays together, ``ceil(fraction * n)`` with the largest absolute
    change are kept; of equal ones those that come first. In Shokri and Shmatikov,
    "Privacy-Preserving Deep Learning" (CCS 2015), it is the selective sharing of the largest
    values.

    Parameters
    ----------
    fraction : float
        Above 0, at most 1. 0.25 is "only the top 25 %".
    keys, missing
        As for every :class:`UpdateFilter`.

    Raises
    ------
    ModelError
        `fraction` is something else.

    Notes
    -----
    It acts on parameters. A model's buffers, such as BatchNorm's running variance, leave as they
    are, unless `keys` name them in full.

    It gives no differential privacy. The changes that leave are exact, and the largest ones are
    those that a rare patient causes; which ones they are says something by itself. It makes
    reconstructing patients from a change harder, not impossible. Arrays keep their shape, so what
    is sent is as long as before.

    Examples
    --------
    >>> TopFraction(0.5).change(np.array([0.1, -3.0, 2.0, 0.0]), noise=None)
    array([ 0., -3.,  2.,  0.])
    """

    fraction: float = parameter(FRACTION)

    on_buffers: ClassVar[Literal["filter", "leave", "refuse"]] = "leave"

    def change(self, update: np.ndarray, noise: Noise) -> np.ndarray:
        """Return the change with zeros in place of the smaller ones."""
        kept = count_of(float(self.fraction), update.size)
        if kept == update.size:
            return update
        sizes = np.abs(update)
        limit = np.partition(sizes, update.size - kept)[update.size - kept]
        above = sizes > limit
        equal = np.flatnonzero(sizes == limit)[: kept - int(above.sum())]
        above[equal] = True
        return np.where(above, update, 0.0)


def count_of(share: float, size: int) -> int:
    """Return how many of `size` numbers a fraction of them is, rounded up; 30 % of 10 are 3.

    Of any number at least one.
    """
    exact = share * size
    return min(size, max(1, math.ceil(exact - 1e-9 * max(exact, 1.0))))
