"""The privacy budget that noise filters spend, over rounds and filters.

dp-accounting composes Gaussian mechanisms; budgets without a delta add up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from functools import lru_cache
from importlib.util import find_spec
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["Budget", "Mechanism", "can_account", "spent"]

_LOSSES = 1e5
"""Into how many steps a privacy loss is divided; more are exacter and slower."""

_LARGEST_SHIFT = 40.0
"""The sensitivity in standard deviations of the noise. From there on epsilon is 800 and more, and a
sum over losses overflows or takes long."""

_LEAST = 1e-9
"""Of what a node says of a mechanism: smaller and, inversely, larger values are no budget."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """The privacy cost of one release of a filter.

    Parameters
    ----------
    kind : {'gaussian', 'pure'}
        A Gaussian mechanism, or one with an epsilon and no delta.
    value : float
        Standard deviation of the noise in units of the L2 sensitivity; or epsilon.
    delta : float
        The delta at which a Gaussian mechanism's epsilon is wanted.
    """

    kind: Literal["gaussian", "pure"]
    value: float
    delta: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it for the wire and for ``run.json``."""
        return {"kind": self.kind, "value": self.value, "delta": self.delta}

    def rounded(self) -> Mechanism:
        """Return it in two digits, so that it costs no less: more digits could carry a message.

        Examples
        --------
        >>> Mechanism("gaussian", 2.519, 1.26e-5).rounded()
        Mechanism(kind='gaussian', value=2.5, delta=1.2e-05)
        >>> Mechanism("pure", 2.519).rounded()
        Mechanism(kind='pure', value=2.6, delta=0.0)
        """
        value = _in_two_digits(self.value, up=self.kind == "pure")
        value = max(_LEAST, min(value, 1 / _LEAST))
        return Mechanism(self.kind, value, _in_two_digits(self.delta, up=False))

    @classmethod
    def from_json(cls, about: object) -> Mechanism | None:
        """Read what a node sent; ``None`` where it is no mechanism."""
        if not isinstance(about, dict) or about.get("kind") not in ("gaussian", "pure"):
            return None
        value, delta = about.get("value"), about.get("delta", 0.0)
        if not isinstance(value, int | float) or not isinstance(delta, int | float):
            return None
        if not (_LEAST <= value <= 1 / _LEAST and 0 <= delta < 1):
            return None
        return cls(about["kind"], float(value), float(delta))


def _in_two_digits(value: float, *, up: bool) -> float:
    with localcontext(prec=2, rounding=ROUND_CEILING if up else ROUND_FLOOR):
        return float(+Decimal(value))  # the plus rounds to the context's precision


@dataclass(frozen=True, slots=True)
class Budget:
    """The privacy budget that a node has spent: ``(epsilon, delta)``-differential privacy.

    ``epsilon`` is ``None`` where dp-accounting is not installed.
    """

    epsilon: float | None
    delta: float


def spent(releases: Iterable[tuple[Mechanism, int]]) -> Budget:
    """Return the budget of releases of one node's data.

    Parameters
    ----------
    releases : iterable of (Mechanism, int)
        Mechanisms, and how many times each has released something.

    Returns
    -------
    Budget
        By basic composition of the Gaussian mechanisms, composed by their privacy loss
        distributions at the smallest of their deltas, with the others, whose epsilons add up.

    Examples
    --------
    >>> from flame_flwr.privacy import SparseVector
    >>> rare = SparseVector(
    ...     0.01, bound=1.0, threshold=0.5, epsilon_select=0.25, epsilon_values=0.5
    ... )
    >>> spent([(rare.mechanism(), 4)])
    Budget(epsilon=3.0, delta=0.0)
    """
    counts: Counter[Mechanism] = Counter()
    for mechanism, count in releases:
        counts[mechanism] += count
    pure = sum(m.value * count for m, count in counts.items() if m.kind == "pure")
    noised = [(m.value, count) for m, count in counts.items() if m.kind == "gaussian" and count]
    if not noised:
        return Budget(pure, 0.0)
    # All at one delta, the smallest: epsilons at several do not add up.
    delta = min(m.delta for m, count in counts.items() if m.kind == "gaussian" and count)
    if find_spec("dp_accounting") is None:
        return Budget(None, delta)
    return Budget(pure + _gaussian(tuple(sorted(noised)), delta), delta)


def can_account(filters: Iterable[UpdateFilter]) -> None:
    """See, before a run, that the budget of its filters can be told. Nodes do not need it.

    Raises
    ------
    ModelError
        dp-accounting is not installed.
    """
    private = [each.name for each in filters if each.mechanism() is not None]
    if private and find_spec("dp_accounting") is None:
        raise ModelError(
            f"the budget of {private[0]} needs dp-accounting here: pip install 'flame-flwr[dp]'"
        )


@lru_cache(maxsize=64)
def _gaussian(noised: tuple[tuple[float, int], ...], delta: float) -> float:
    # Gaussian mechanisms compose to one Gaussian: the squares of their shifts add up.
    shift = math.sqrt(sum(count / multiplier**2 for multiplier, count in noised))
    if shift > _LARGEST_SHIFT:
        return _bound(shift, delta)
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    largest = shift**2 / 2 + 10 * shift  # beyond it no loss is likelier than 1e-23
    accountant = PLDAccountant(value_discretization_interval=max(1e-4, largest / _LOSSES))
    for multiplier, count in noised:
        accountant.compose(GaussianDpEvent(multiplier), count)
    return float(accountant.get_epsilon(delta))


def _bound(shift: float, delta: float) -> float:
    """Return an upper bound of epsilon, for where there is hardly any noise.

    Of mechanisms that are one Gaussian with this shift together, ``delta`` is at most the chance
    that the privacy loss, which is normal with mean ``shift**2 / 2`` and standard deviation
    ``shift``, is above epsilon (Balle and Wang, 2018, theorem 5, without its second term).
    """
    if not delta:
        return math.inf
    return shift**2 / 2 - shift * NormalDist().inv_cdf(delta)
