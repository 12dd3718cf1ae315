"""``Clip``: a bound on how far one node can move the model in a round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.parameters import ABOVE_ZERO, parameter
from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["Clip", "clipped"]


@dataclass(frozen=True)
class Clip(UpdateFilter):
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

    norm: float = parameter(ABOVE_ZERO)

    def change(self, update: np.ndarray, noise: Noise) -> np.ndarray:
        """Return the change, shortened where it is too long."""
        return clipped(update, float(self.norm))


def clipped(update: np.ndarray, norm: float) -> np.ndarray:
    """Return a change of the same direction, of an L2 norm of at most `norm`."""
    largest = float(np.max(np.abs(update), initial=0.0))
    if largest == 0.0:
        return update
    length = largest * float(np.linalg.norm(update / largest))  # squares of large numbers overflow
    return update if length <= norm else update * (norm / length)
