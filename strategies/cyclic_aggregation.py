"""``CyclicAggregation``: keeps the model that goes on, and merges the metrics beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.pytree import copy_arrays, flatten
from flame_flwr.aggregation.reductions.base import NonFinite, Reduction
from flame_flwr.errors import AnswerError
from flame_flwr.strategies.reduce_aggregation import ReduceAggregation

if TYPE_CHECKING:
    from flame_flwr.aggregation.accumulators import Accumulator, Where
    from flame_flwr.aggregation.pytree import TreeSpec
    from flame_flwr.strategies.cyclic_training import CyclicTraining

__all__ = ["CyclicAggregation", "GoesOn"]


@dataclass(frozen=True, kw_only=True)
class GoesOn(Reduction):
    """The model of the last node in line: it is what goes on to the next one."""

    non_finite: NonFinite | None = None

    def collector(self, place: Where) -> Accumulator:
        """Return what takes the models one after another."""
        return _Nothing()


class _Nothing:
    """Keeps nothing: the aggregation has the model already when the round ends."""

    def add(self, node: str, value: Any, weight: float) -> None:
        """Do nothing: the aggregation has taken the model itself."""

    def merge(self, other: _Nothing) -> None:
        """Do nothing: neither keeps anything."""

    def result(self) -> Any:
        """Return ``None``: the aggregation knows the model."""
        return None


class CyclicAggregation(ReduceAggregation):
    """Takes the answers of nodes that are asked one after another.

    It is a :class:`ReduceAggregation`, made from the same. What a node sends goes on to the next
    one at once, so it is looked at whole when it comes.
    """

    _strategy: CyclicTraining
    _newest: Any = None
    _form: TreeSpec | None = None

    def begin(self, number: int) -> None:
        """Begin a round with the model that the last one ended with."""
        super().begin(number)
        last = self._last if isinstance(self._last, Mapping) else {}
        self._keep(last.get(self.model))

    def add(self, node: str, value: Any) -> None:
        """Take one node's answer; its model is what the next node gets.

        Raises
        ------
        AnswerError
            It cannot go on: the next node gets what this one got.
        """
        if not self._has_model:
            super().add(node, value)
            return
        self._check(node, value)
        super().add(node, value)
        # A copy: the value may be a view of what arrived, and this goes on when that is gone.
        self._keep(copy_arrays(value[self.model]))

    def goes_on(self) -> Any:
        """Return what the next node gets: the last aggregate, with the newest model."""
        if self._newest is None:
            return self._last
        last = self._last if isinstance(self._last, Mapping) else {}
        return {**last, self.model: self._newest}

    def _merged(self) -> Any:
        merged = super()._merged()
        return {**merged, self.model: self._newest} if self._has_model else merged

    @property
    def model(self) -> Any:
        """The model's key."""
        return self._strategy.model

    @property
    def _has_model(self) -> bool:
        """Whether the model is asked for: not in a round of another kind, after the training."""
        return self.model in self._current.children

    def _keep(self, model: Any) -> None:
        self._newest = model
        self._form = None if model is None else _form_of(model)

    def _check(self, node: str, value: Any) -> None:
        """Refuse a model that no other node could go on with, and what would be refused later."""
        if not isinstance(value, Mapping) or self.model not in value:
            return  # the declared reductions say so
        form = _form_of(value[self.model])
        if None not in (form, self._form) and form != self._form:
            raise AnswerError(
                f"round {self._number}, key `{self.model}`, {node}: the model that it sent has "
                "another form than the one that it got, so no other node could go on with it. Mend "
                "it on the node"
            )
        for key in self._current.children:
            number = value.get(key, 0.0)
            is_number = isinstance(number, Real) or (
                isinstance(number, np.ndarray) and not number.ndim and number.dtype.kind in "biuf"
            )
            if key != self.model and not is_number:
                raise AnswerError(f"round {self._number}, key `{key}`, {node}: it sent no number")


def _form_of(model: Any) -> TreeSpec | None:
    """Return keys and shapes of a model of arrays; ``None`` of another, such as an estimator."""
    try:
        return flatten(model)[0]
    except TypeError:
        return None
