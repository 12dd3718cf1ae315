"""``Clip``: a bound on how far one node can move the model in a round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flame_flwr.parameters import ABOVE_ZERO, parameter
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_filter import BlockFilter

if TYPE_CHECKING:
    from flame_flwr.privacy.update_blocks import Part, Update

__all__ = ["Clip", "clipped"]


@dataclass(frozen=True)
class Clip(BlockFilter):
    """Shrinks a change whose L2 norm is above `norm` to that norm; its direction stays.

    The norm is that of all chosen arrays together, as in McMahan, Ramage, Talwar and Zhang,
    "Learning Differentially Private Recurrent Language Models" (ICLR 2018), "flat clipping".

    Parameters
    ----------
    norm : float
        Above 0, in the model's unit.
    keys, missing
        As for every :class:`UpdateFilter`.

    Raises
    ------
    ModelError
        `norm` is no number above 0.

    Notes
    -----
    It does not protect patients: a clipped change is exact up to its length, and says as much
    about them as before. It limits what one node can do to the common model.

    Examples
    --------
    >>> Clip(1.0).change(np.array([3.0, -4.0]), noise=None)
    array([ 0.6, -0.8])
    """

    words = "a change leaves shrunk to a norm of at most {norm}"

    norm: float = parameter(ABOVE_ZERO)

    def in_blocks(self, update: Update, noise: Noise) -> Part:
        """Return what shortens each block."""
        return clipped(update, float(self.norm))


def clipped(update: Update, norm: float) -> Part:
    """Return what shortens a change to an L2 norm of at most `norm`; its direction stays."""
    largest = max((float(np.abs(block).max()) for _, block in update), default=0.0)
    length = 0.0 if largest == 0.0 else largest * _norm(update, largest)
    factor = 1.0 if length <= norm else norm / length  # 1.0: the change leaves to the last bit
    return lambda start, block: np.multiply(block, factor, out=block)


def _norm(update: Update, unit: float) -> float:
    """Return the L2 norm in a unit, without which squares of large numbers overflow."""
    if update.is_small:
        numbers = update.whole()
        numbers /= unit
        return float(np.linalg.norm(numbers))
    scaled = (block / unit for _, block in update)
    return math.sqrt(math.fsum(float(block @ block) for block in scaled))
