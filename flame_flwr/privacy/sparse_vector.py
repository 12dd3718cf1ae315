"""``SparseVector``: a few large changes, chosen and released with noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from flame_flwr.parameters import ABOVE_ZERO, FRACTION, SEED, parameter
from flame_flwr.privacy.budget import Mechanism
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.top_fraction import count_of
from flame_flwr.privacy.update_filter import BlockFilter

if TYPE_CHECKING:
    from flame_flwr.privacy.update_blocks import Part, Update

__all__ = ["SparseVector"]


@dataclass(frozen=True)
class SparseVector(BlockFilter):
    """Lets at most a fraction of the changes leave: those above a threshold, all with noise.

    The standard sparse vector technique of Lyu, Su and Li, "Understanding the Sparse Vector
    Technique for Differential Privacy" (VLDB 2017), algorithm 7, which is
    ``epsilon_select + epsilon_values`` differentially private in each round (their theorem 4).
    Changes are limited to `bound` and asked for in random order whether their absolute value,
    with noise, is above `threshold`, with noise. The first ``c = ceil(fraction * n)`` that are
    get noise of their own and leave; every other number goes back as it was received.

    Parameters
    ----------
    fraction : float
        Above 0, at most 1: of all numbers of the chosen arrays together, how many may leave.
    bound : float
        Above 0: every change is limited to ``-bound ... bound`` before and after the noise.
    threshold : float
        Above 0: which absolute change is worth sending. At most `bound` to be of use.
    epsilon_select, epsilon_values : float
        Above 0: the budget of a round for choosing, and that for the chosen values.
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
    Scales of the Laplace noise, with ``c`` as above, and ``epsilon_select`` divided as 1 to
    ``(2 c) ** (2/3)``, the paper's best: ``bound / epsilon_1`` on the threshold,
    ``2 c bound / epsilon_2`` on every question, ``2 c bound / epsilon_values`` on every value.
    An absolute change lies between 0 and `bound`, a change between ``-bound`` and ``bound``,
    whatever the data, so the budget is for any two data sets of this node. Rounds add up.

    The noise on a value grows with ``c``: with a hundred values and a budget of 1 it is 200 times
    `bound`, and what leaves is noise. That is what the technique really gives; it is of use where
    very few numbers of a model are to leave.

    A model with buffers, such as BatchNorm's running variance, is refused, as by
    :class:`GaussianNoise`.

    ``SVTPrivacy`` of NVFlare (read at its commit 0f9026b) has the name in common and less noise.
    Its `epsilon` is the threshold's part only, that of the questions is ``(2 c) ** (2/3)`` times
    as large, and each of ``c`` values has the noise of a single one, so a round costs at least
    ``epsilon * (1 + (2 c) ** (2/3)) + c * noise_var``. It may also choose more than ``c`` and then
    draw ``c`` of them, which the theorem does not cover.

    It does not protect what this filter does not act on: the rest of the result, the scores of
    ``evaluation_method``. It does not hide that the node takes part, and several analyses on the
    same patients add up. The noise is made of floats, see
    :class:`flame_flwr.privacy.noise.Noise`.

    Examples
    --------
    >>> rare = SparseVector(
    ...     0.01, bound=1.0, threshold=0.5, epsilon_select=0.25, epsilon_values=0.5
    ... )
    >>> rare.change(np.linspace(-1, 1, 200), Noise()).shape  # all but two of them are 0
    (200,)
    >>> rare.mechanism()
    Mechanism(kind='pure', value=0.75, delta=0.0)
    """

    words = (
        "only changes above a threshold of {threshold} leave, a share of {fraction} of all at "
        "most, limited to {bound} and with Laplace noise (sparse vector technique; epsilon of a "
        "round: {epsilon_select} to choose them, {epsilon_values} for their values)"
    )

    fraction: float = parameter(FRACTION)
    bound: float = parameter(ABOVE_ZERO)
    threshold: float = parameter(ABOVE_ZERO)
    epsilon_select: float = parameter(ABOVE_ZERO)
    epsilon_values: float = parameter(ABOVE_ZERO)
    seed: int | None = parameter(SEED, None)

    on_buffers: ClassVar[Literal["filter", "leave", "refuse"]] = "refuse"

    def in_blocks(self, update: Update, noise: Noise) -> Part:
        """Return what puts the noised values into each block, and zeros elsewhere."""
        if not update.size:
            return lambda start, block: block
        bound = float(self.bound)
        most = count_of(float(self.fraction), update.size)
        told, values = self._told(update, noise, most)
        values += noise.laplace(2 * most * bound / float(self.epsilon_values), told.size)
        # by place, for the search in each block
        in_order = np.argsort(told)
        told, values = told[in_order], np.clip(values, -bound, bound)[in_order]

        def released(start: int, block: np.ndarray) -> np.ndarray:
            first, last = np.searchsorted(told, [start, start + block.size])
            block[:] = 0.0  # no change: the number goes back as it was received
            block[told[first:last] - start] = values[first:last]
            return block

        return released

    def _told(self, update: Update, noise: Noise, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places, in random order, and the changes that are above the threshold."""
        bound, epsilon = float(self.bound), float(self.epsilon_select)
        share = 1 / (1 + (2 * most) ** (2 / 3))
        of_threshold = bound / (epsilon * share)
        of_question = 2 * most * bound / (epsilon * (1 - share))
        # Drawn once for all questions, as in algorithm 7: that is what its budget pays for.
        threshold = float(self.threshold) + noise.laplace(of_threshold, 1)[0]
        asked = noise.laplaces(of_question, update.size)
        turn = noise.uniforms(update.size)
        found, count = [], 0
        for start, block in update:
            stop = start + block.size
            bounded = np.clip(block, -bound, bound)
            above = np.flatnonzero(np.abs(bounded) + asked.part(start, stop) >= threshold)
            found.append((turn.part(start, stop)[above], above + start, bounded[above]))
            count += above.size
            if count > 2 * most + _HELD:  # all after the first `most` are of no use any more
                found, count = [_first(found, most)], most
        _, places, values = _first(found, most)
        return places, values

    def mechanism(self) -> Mechanism | None:
        """Return what one round costs."""
        if self.seed is not None:
            return None
        return Mechanism("pure", float(self.epsilon_select) + float(self.epsilon_values))


_HELD = 1 << 16
"""Candidates beyond those that can leave that are held before the later ones are dropped."""


def _first(
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]], most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the candidates whose turn comes first, in the order of their turns."""
    turns, places, values = map(np.concatenate, zip(*found, strict=True))
    order = np.argsort(turns)[:most]
    return turns[order], places[order], values[order]
