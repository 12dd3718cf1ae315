"""``EarlyStopping``: any aggregation, and a convergence that may end the run too."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import Aggregation, Finished, as_aggregation, unmeasured
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.aggregation.pytree import look_up
from flame_flwr.aggregation.stop_reasons import check_unmeasured, measured_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flame_flwr.aggregation.convergence import Convergence
    from flame_flwr.errors import AnswerError

__all__ = ["EarlyStopping"]


class EarlyStopping(Aggregation):
    """An aggregation that also stops when a convergence says so.

    Parameters
    ----------
    inner : Aggregation
        What merges.
    convergence : Convergence
        Is copied.
    private : bool
        Whether only what is declared may be said of why it stopped, and nothing measured.
    hides : callable, optional
        Tells of a key of the aggregate whether nothing that is measured there may be shown.
    """

    def __init__(
        self,
        inner: Aggregation,
        convergence: Convergence,
        *,
        private: bool = False,
        hides: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self.inner = as_aggregation(inner)
        self.reads_only = self.inner.reads_only
        self._convergence = copy.deepcopy(convergence)
        self._private = private
        self._hides = hides
        self._last: Any = None
        self._number = 0

    @property
    def aggregator(self) -> Any:
        """The user's aggregator, where there is one."""
        return getattr(self.inner, "aggregator", self.inner)

    def begin(self, number: int) -> None:
        """Start a round."""
        self._number = number
        self.inner.begin(number)

    def add(self, node: str, value: Any) -> None:
        """Take one node's value."""
        self.inner.add(node, value)

    def odd_answers(self) -> dict[str, AnswerError]:
        """Return whose values cannot be merged with the others'."""
        return self.inner.odd_answers()

    def finish(self) -> Finished:
        """Merge, then ask the convergence; both reasons are said."""
        aggregate, converged, reason, change = Finished(*self.inner.finish())
        if self._private:
            reason = unmeasured(reason)

        def closed(part: Convergence) -> bool:
            return self._private or self._measures_hidden(part, aggregate)

        # Also where the run ends anyway: both reasons are said, and a convergence counts rounds.
        more = check_unmeasured(self._convergence, self._number, aggregate, self._last, closed)
        self._last = aggregate
        reasons = "; ".join(filter(None, (reason, more)))
        measured = measured_by(self._convergence, closed)
        return Finished(
            aggregate, converged or bool(more), reasons, change if measured is None else measured
        )

    def _measures_hidden(self, part: Convergence, aggregate: Any) -> bool:
        """Tell whether a norm is one of something hidden, or of what has that in it."""
        if not isinstance(part, DeltaNorm):
            return False
        # A function may have used anything, so it counts as of the whole aggregate.
        key = None if callable(part.key) else part.key
        if isinstance(key, str) and any(map(self._hides, (key, *key.split(".")))):
            return True
        try:
            return self._holds_hidden(look_up(aggregate, key))
        except LookupError:
            return False

    def _holds_hidden(self, value: Any) -> bool:
        if isinstance(value, dict):
            named = any(isinstance(key, str) and self._hides(key) for key in value)
            return named or any(map(self._holds_hidden, value.values()))
        return isinstance(value, list | tuple) and any(map(self._holds_hidden, value))

    def replace(self, aggregate: Any) -> None:
        """Take this as the last aggregate."""
        self._last = aggregate
        self.inner.replace(aggregate)

    def save(self) -> bytes | None:
        """Return everything that later rounds need, but for the last aggregate."""
        inner = self.inner.save()
        return None if inner is None else pickle.dumps((inner, self._convergence.state()))

    def load(self, data: bytes) -> None:
        """Continue from the state that :meth:`save` returned."""
        inner, state = pickle.loads(data)  # noqa: S301  (this user's own checkpoint)
        self._convergence.restore(state)
        self.inner.load(inner)

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Turn the last aggregate into what is written."""
        return self.inner.final(aggregate, evaluations)
