"""``GaussianNoise``: Gaussian noise on a bounded change, with its budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from flame_flwr.errors import ModelError
from flame_flwr.parameters import ABOVE_ZERO, SEED, parameter
from flame_flwr.privacy.budget import Mechanism
from flame_flwr.privacy.clip import clipped
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_filter import BlockFilter

if TYPE_CHECKING:
    from flame_flwr.privacy.update_blocks import Part, Update

__all__ = ["GaussianNoise"]


@dataclass(frozen=True)
class GaussianNoise(BlockFilter):
    """Shrinks a change to an L2 norm of at most `norm`, and adds Gaussian noise to every number.

    The noise has the standard deviation ``noise_multiplier * norm``. It is the Gaussian mechanism
    (Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014, appendix A; the
    exact budget of one release: Balle and Wang, ICML 2018). Every node adds noise of its own, so
    the budget holds against the server, too.

    Parameters
    ----------
    norm : float
        Above 0, in the model's unit. Without a bound, noise would promise nothing.
    noise_multiplier : float
        Above 0: standard deviation of the noise in units of `norm`.
    delta : float
        For the budget that is reported: above 0, below 1, and well below 1 / patients.
    seed : int, optional
        The same noise again for the same seed, node and round, for tests. Whoever knows it takes
        the noise off, so no budget is reported.
    keys, missing
        As for every :class:`UpdateFilter`.

    Raises
    ------
    ModelError
        A parameter is something else.

    Notes
    -----
    Two data sets of this node that differ in any way, by one patient or by all of them, change
    what enters the noise by at most ``2 * norm``; the budget is for that, for all rounds together,
    as dp-accounting composes them.

    A model with buffers, such as BatchNorm's running variance, is refused: noise on a variance can
    make it negative, and without noise it says exact figures of patients. Name in `keys` the
    parameters one by one where buffers may leave as they are.

    It does not protect what this filter does not act on: the rest of the result, the scores of
    ``evaluation_method``, how many rounds there were, that the node takes part. Several analyses
    on the same patients add up, and nobody counts them. The noise is made of floats, see
    :class:`flame_flwr.privacy.noise.Noise`.

    Examples
    --------
    >>> noise = GaussianNoise(norm=1.0, noise_multiplier=2.0)
    >>> noise.change(np.array([3.0, -4.0]), Noise()).shape
    (2,)
    >>> noise.mechanism()
    Mechanism(kind='gaussian', value=1.0, delta=1e-05)
    """

    words = (
        "a change leaves shrunk to a norm of at most {norm}, with Gaussian noise of "
        "{noise_multiplier} times that as its standard deviation (delta {delta})"
    )

    norm: float = parameter(ABOVE_ZERO)
    noise_multiplier: float = parameter(ABOVE_ZERO)
    delta: float = parameter(ABOVE_ZERO, 1e-5)
    seed: int | None = parameter(SEED, None)

    on_buffers: ClassVar[Literal["filter", "leave", "refuse"]] = "refuse"

    def __post_init__(self) -> None:
        """Check before anything runs."""
        super().__post_init__()
        if self.delta >= 1:
            raise ModelError(f"GaussianNoise: delta must be below 1, not {self.delta!r}")

    def in_blocks(self, update: Update, noise: Noise) -> Part:
        """Return what bounds each block and adds noise to it."""
        norm = float(self.norm)
        drawn = noise.gaussians(float(self.noise_multiplier) * norm, update.size)
        bounded = clipped(update, norm)

        def noised(start: int, block: np.ndarray) -> np.ndarray:
            # bounded first: the noise is measured by what one node can change at most
            numbers = drawn.part(start, start + block.size)
            numbers += bounded(start, block)
            return numbers

        return noised

    def mechanism(self) -> Mechanism | None:
        """Return what one round costs: a Gaussian mechanism of sensitivity ``2 * norm``."""
        if self.seed is not None:
            return None
        return Mechanism("gaussian", float(self.noise_multiplier) / 2, float(self.delta))
