"""What one answer costs the data that it is made of: figures, and epsilon where noise was added.

A node's ledger adds it up (:mod:`flame_flwr.privacy.ledger`). It is counted of what leaves, after
rules and filters, by the node's own gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.payload.opaque import Opaque, look_into
from flame_flwr.privacy.budget import Mechanism
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.rule_changes import members

if TYPE_CHECKING:
    from flame_flwr.privacy.gate import Passed

__all__ = ["DELTA", "Cost", "cost_of", "figures_in", "gaussian_epsilon"]

DELTA = 1e-5
"""The largest delta at which a ledger tells epsilon: an analysis might choose one that hides it."""

_BYTES_OF_A_FIGURE = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """What one answer, or several together, cost.

    Parameters
    ----------
    figures : int
        How many numbers leave.
    pure : float
        Epsilon of mechanisms without a delta, which adds up.
    shift : float
        Of Gaussian mechanisms the sum of ``1 / value ** 2``: together they are one mechanism, whose
        noise has a standard deviation of ``1 / sqrt(shift)`` sensitivities.
    delta : float
        The delta at which the epsilon of those is told.
    extremes : int
        Answers with smallest and largest values that :class:`.NoisyMinMax` has moved.
    exact : int
        Answers with figures to which nothing has added noise.

    Examples
    --------
    >>> (Cost(figures=3, pure=0.5) + Cost(figures=4, pure=0.25)).pure
    0.75
    """

    figures: int = 0
    pure: float = 0.0
    shift: float = 0.0
    delta: float = DELTA
    extremes: int = 0
    exact: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Return what both cost together."""
        return Cost(
            self.figures + other.figures,
            self.pure + other.pure,
            self.shift + other.shift,
            min(self.delta, other.delta),
            self.extremes + other.extremes,
            self.exact + other.exact,
        )

    @property
    def epsilon(self) -> float:
        """Epsilon of all mechanisms, and 1 for each answer with moved extremes.

        `NoisyMinMax` promises no epsilon; what such answers cost is set, so that they run out.
        """
        return self.pure + self.extremes + gaussian_epsilon(math.sqrt(self.shift), self.delta)


def gaussian_epsilon(shift: float, delta: float) -> float:
    """Return the exact epsilon of a Gaussian mechanism.

    Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy" (ICML 2018),
    theorem 8, solved for epsilon.

    Parameters
    ----------
    shift : float
        The sensitivity in standard deviations of the noise, 0 or more.
    delta : float
        Above 0, below 1.

    Examples
    --------
    >>> round(gaussian_epsilon(1.0, 1e-5), 4)
    4.3772
    """
    if not shift:
        return 0.0
    if not math.isfinite(shift) or not delta:
        return math.inf
    from scipy.optimize import brentq
    from scipy.special import log_ndtr, ndtr

    def excess(epsilon: float) -> float:
        own, other = shift / 2 - epsilon / shift, -shift / 2 - epsilon / shift
        # in logarithms, as exp(epsilon) alone overflows where its product is small
        return float(ndtr(own) - math.exp(epsilon + log_ndtr(other)) - delta)

    if excess(0.0) <= 0:
        return 0.0
    # Above the root: there the first term is ndtr(-x) with x**2 = -2 log(delta), which by the
    # normal's tail bound exp(-x**2 / 2) is at most delta.
    largest = shift**2 / 2 + shift * math.sqrt(-2 * math.log(delta))
    return float(brentq(excess, 0.0, largest, xtol=1e-12))


def cost_of(passed: Passed, beside: int = 0) -> Cost:
    """Return what a round's answer costs.

    Parameters
    ----------
    passed : Passed
        The result, as the gate lets it leave.
    beside : int
        How many numbers leave beside it.
    """
    try:
        value = look_into(passed.payload).value
    except PayloadError:  # too large to look into; without rules nobody needs to
        return Cost(passed.payload.nbytes // _BYTES_OF_A_FIGURE + beside, exact=1)
    figures = figures_in(value) + beside
    applied = [each["mechanism"] for each in passed.filters if each["applied"]]
    mechanisms = [each for each in map(Mechanism.from_json, applied) if each is not None]
    gaussian = [each for each in mechanisms if each.kind == "gaussian"]
    return Cost(
        figures,
        pure=sum(each.value for each in mechanisms if each.kind == "pure"),
        shift=sum(each.value**-2 for each in gaussian),
        delta=min([DELTA, *(each.delta for each in gaussian)]),  # the smallest costs most
        extremes=int(_has_extremes(value)),
        exact=int(bool(figures) and not mechanisms),
    )


def figures_in(value: Any) -> int:
    """Return how many numbers are in a value; a text is one, of bytes eight are.

    Examples
    --------
    >>> import numpy as np
    >>> figures_in({"coef": np.zeros((3, 2)), "n": 42, "none": None, "more": [1.5, "high"]})
    9
    """
    count, left = 0, [value]
    # with a list of its own, as a value may be nested deeper than functions may call themselves
    while left:
        each = left.pop()
        if isinstance(each, bytes | bytearray | memoryview):
            count += -(-len(each) // _BYTES_OF_A_FIGURE)
        elif (inside := _inside(each)) is not None:
            left += inside
        elif each is not None:
            size = getattr(each, "size", 1)
            count += size if isinstance(size, int) else 1
    return count


def _inside(value: Any) -> list[Any] | None:
    """Return what a container holds; ``None`` of what is none."""
    if isinstance(value, Mapping):
        return [*value.values(), *(key for key in value if not isinstance(key, str))]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, Statistic):
        return [getattr(value, each.name) for each in fields(value) if each.name != "suppressed"]
    if isinstance(value, Opaque):
        return [value.plain] if value.what == "type" else list(value.parts)
    return None


def _has_extremes(value: Any) -> bool:
    """Tell whether a statistic in a value has a smallest or largest value that a rule has moved."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, Statistic):
            if any(getattr(member, "noisy_at", 0) for _, member in members(each)):
                return True
        else:
            left += _inside(each) or []
    return False
