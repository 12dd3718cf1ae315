"""``EarlyStopping``: any aggregation, and a convergence that may end the run too."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import (
    Aggregation,
    Finished,
    Remembering,
    Resumable,
    unmeasured,
)
from flame_flwr.aggregation.convergence import DeltaNorm, check_unmeasured, measured_by
from flame_flwr.aggregation.pytree import look_up
from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flame_flwr.aggregation.convergence import Convergence

__all__ = ["EarlyStopping"]


class EarlyStopping:
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
        self.inner = inner
        self._convergence = copy.deepcopy(convergence)
        self._private = private
        self._hides = hides
        self._last: Any = None
        self._number = 0

    @property
    def aggregator(self) -> Any:
        """The user's aggregator, where there is one."""
        return getattr(self.inner, "aggregator", self.inner)

    @property
    def reads_only(self) -> bool:
        """Whether values may be views of what arrived."""
        return bool(getattr(self.inner, "reads_only", False))

    def begin(self, number: int) -> None:
        """Start a round."""
        self._number = number
        self.inner.begin(number)

    def add(self, node: str, value: Any) -> None:
        """Take one node's value."""
        self.inner.add(node, value)

    def finish(self) -> Finished:
        """Merge, then ask the convergence; both reasons are said."""
        aggregate, converged, reason, change = Finished(*self.inner.finish())
        if self._private:
            reason = unmeasured(reason)

        def closed(part: Convergence) -> bool:
            return self._private or self._measures_hidden(part, aggregate)

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
        if isinstance(self.inner, Remembering):
            self.inner.replace(aggregate)

    def save(self) -> bytes:
        """Return everything that later rounds need, but for the last aggregate.

        Raises
        ------
        ModelError
            The aggregation cannot be saved.
        """
        if not isinstance(self.inner, Resumable):
            raise ModelError(
                f"{type(self.inner).__name__} has no save() and load(), so there can be no "
                "`checkpoint` of this analysis"
            )
        return pickle.dumps((self.inner.save(), self._convergence.state()))

    def load(self, data: bytes) -> None:
        """Go on as the aggregation was that :meth:`save` was called on."""
        inner, state = pickle.loads(data)  # noqa: S301  (this user's own checkpoint)
        self._convergence.restore(state)
        if isinstance(self.inner, Resumable):
            self.inner.load(inner)

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Turn the last aggregate into what is written."""
        return self.inner.final(aggregate, evaluations)
