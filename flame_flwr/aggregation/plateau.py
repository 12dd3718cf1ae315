"""Stop when a number of the aggregate, such as a loss, no longer becomes better."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, Literal

from flame_flwr.aggregation.convergence import Convergence, is_missing, value_at
from flame_flwr.aggregation.large_numbers import rounded
from flame_flwr.aggregation.pytree import Key, key_text
from flame_flwr.errors import DataError
from flame_flwr.parameters import NOT_BELOW_0, WHOLE_FROM_1, check_parameters, one_of, parameter
from flame_flwr.text.words import value_in_words

__all__ = ["Plateau"]


@dataclass
class Plateau(Convergence):
    """Stop when a number has not become better for `patience` rounds.

    Parameters
    ----------
    metric : str, int or callable
        The number's key in the aggregate, or a function of the aggregate.
    patience : int
        Rounds without a better one, at least 1.
    mode : {'min', 'max'}
        Whether smaller or larger is better.
    min_delta : float
        By how much more than this it must be better.

    Examples
    --------
    >>> plateau = Plateau("loss", patience=2)
    >>> [plateau.check(number, {"loss": loss}, None) for number, loss in enumerate([5, 3, 4, 3], 1)]
    [None, None, None, '`loss` has not become better for 2 rounds']
    """

    metric: Key
    patience: int = parameter(WHOLE_FROM_1)
    mode: Literal["min", "max"] = parameter(one_of("min", "max"), "min")
    min_delta: float = parameter(NOT_BELOW_0, 0.0)

    def __post_init__(self) -> None:
        """Check what was declared."""
        check_parameters(self)
        self._best: float = math.inf
        self._waited: int = 0

    def in_words(self) -> str:
        """Name the number, and how long it is waited for."""
        better = "smaller" if self.mode == "min" else "larger"
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return (
            f"when {value_in_words(self.metric)} has not become {better}{more} for "
            f"{self.patience} rounds"
        )

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Compare with the best so far. NaN is never better."""
        if number == 1 and is_missing(aggregate, self.metric):
            return None
        value = value_at(aggregate, self.metric, self)
        if not isinstance(value, numbers.Real):
            raise DataError(
                f"Plateau: {key_text(self.metric)} of the aggregate must be a number, not "
                f"{type(value).__name__}"
            )
        found = rounded(value)
        signed = found if self.mode == "min" else -found  # so that smaller is always better
        # the first number is better than none, whatever `min_delta` is
        if signed < self._best - (self.min_delta if math.isfinite(self._best) else 0.0):
            self._best, self._waited = signed, 0
            return None
        self._waited += 1
        if self._waited < self.patience:
            return None
        return f"{key_text(self.metric)} has not become better for {self._waited} rounds"
