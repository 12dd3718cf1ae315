"""Flower's own strategies as reductions: their arithmetic over the arrays under one key.

Server optimisation (``FedAdam``, ``FedYogi``, ``FedAdagrad``, ``FedAvgM``) and robust means
(``FedMedian``, ``FedTrimmedAvg``, ``Krum`` and others) are Flower's; waiting, failures and
messages stay this framework's.
"""

from __future__ import annotations

import copy
import logging
import pickle
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.collect import Kept, Totals, choice
from flame_flwr.aggregation.reductions import Reduction
from flame_flwr.aggregation.values import Form, Key, apart, together
from flame_flwr.errors import FlameError, ModelError, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flwr.serverapp.strategy import Strategy

    from flame_flwr.aggregation.collect import Collector, Place

__all__ = ["FlowerReduction"]

_OPTIMIZERS = ("FedOpt", "FedAvgM", "FedProx")
"""Of these and their subclasses only the weighted mean of the replies counts."""


@dataclass(frozen=True)
class FlowerReduction(Reduction):
    """Merge arrays with one of Flower's strategies.

    Those that optimise on the server, ``FedOpt`` and ``FedAvgM`` with their subclasses, take a
    step from the last aggregate towards the nodes' weighted mean, which is merged as replies
    arrive. Every other strategy gets all replies of the round, in participant order, and they are
    kept until then. A first step needs a model to start from: a strategy's ``initial`` value;
    without one, the weighted mean of the first round is the first model.

    Parameters
    ----------
    strategy : flwr.serverapp.strategy.Strategy
        Built as for Flower. Its sampling of nodes and its keys have no effect here; it is copied
        for every run.
    by : str, int, callable or None
        The weight's key, as for ``WeightedMean``; ``None``: all nodes count the same.
    bad_weight : {'error', 'skip'}
        As for ``WeightedMean``.
    missing : {'error', 'skip'}
        What to do about a node that has not the key.
    """

    strategy: Strategy
    by: Key = field(default=None, kw_only=True)
    bad_weight: str = field(default="error", kw_only=True)

    def __post_init__(self) -> None:
        """Check what was declared."""
        from flwr.serverapp.strategy import Strategy

        from flame_flwr.strategies import StarStrategy

        super().__post_init__()
        choice(self, "bad_weight", "error", "skip")
        if not isinstance(self.strategy, Strategy) or isinstance(self.strategy, StarStrategy):
            raise ModelError(
                "FlowerReduction takes one of Flower's strategies, such as FedAdam(eta=0.1), not "
                f"{self.strategy!r}"
            )

    def __str__(self) -> str:
        """Return the strategy's name."""
        return f"Flower's {type(self.strategy).__name__}"

    def for_run(self) -> Reduction:
        """Return one that remembers, as an optimiser does."""
        return _InRun(self)


class _InRun(Reduction):
    """A Flower strategy in one run, with what it remembers from round to round."""

    def __init__(self, declared: FlowerReduction) -> None:
        object.__setattr__(self, "_declared", vars(declared.strategy))
        object.__setattr__(self, "_strategy", copy.deepcopy(declared.strategy))
        object.__setattr__(self, "missing", declared.missing)

    def collector(self, place: Place) -> Collector:
        """Return what merges one round."""
        strategy: Any = vars(self)["_strategy"]
        kinds = {kind.__name__ for kind in type(strategy).__mro__}
        if kinds.intersection(_OPTIMIZERS):
            return _Optimized(strategy, place)
        return _Gathered(strategy, place)

    def save(self) -> bytes:
        """Return what the strategy remembers: what is not as it was declared."""
        strategy, declared = vars(self)["_strategy"], vars(self)["_declared"]
        changed = {
            key: value
            for key, value in vars(strategy).items()
            if not callable(value) and not _same(value, declared.get(key))
        }
        return pickle.dumps(changed)

    def load(self, data: bytes) -> None:
        """Remember what was saved."""
        vars(vars(self)["_strategy"]).update(pickle.loads(data))  # noqa: S301  (own checkpoint)


class _Optimized:
    """The weighted mean, and one step of the strategy from the last aggregate towards it."""

    def __init__(self, strategy: Any, place: Place) -> None:
        self._strategy = strategy
        self._place = place
        self._mean = Totals(place, "error", mean=True, weighted=True)

    def add(self, node: str, value: Any, weight: float) -> None:
        """Add to the mean."""
        self._mean.add(node, value, weight)

    def result(self) -> Any:
        """Take the step."""
        mean = self._mean.result()
        if mean is None or self._place.last is None:
            return mean
        form, arrays = apart(mean)
        before, last = apart(self._place.last)
        if before != form:
            raise self._place.error(f"the last aggregate is {before}, and the nodes sent {form}")
        _start_from(self._strategy, self._place, last)
        return _asked(self._strategy, self._place, form, {"mean": (arrays, 1.0)})


class _Gathered:
    """All replies, for a strategy that compares them."""

    def __init__(self, strategy: Any, place: Place) -> None:
        self._strategy = strategy
        self._place = place
        self._weights: dict[str, float] = {}
        self._kept = Kept(place, self._merge)

    def add(self, node: str, value: Any, weight: float) -> None:
        """Keep."""
        self._weights[node] = weight
        self._kept.add(node, value, weight)

    def result(self) -> Any:
        """Ask the strategy."""
        return self._kept.result()

    def _merge(self, values: dict[str, Any]) -> Any:
        forms, arrays = {}, {}
        for node, value in values.items():
            try:
                forms[node], arrays[node] = apart(value)
            except TypeError as error:
                raise self._place.error(f"what it sent {error}", node) from None
        first, form = next(iter(forms.items()))
        for node, other in forms.items():
            if other != form:
                raise self._place.error(f"it sent {other}, and {first} sent {form}", node)
        if self._place.last is not None:
            before, last = apart(self._place.last)
            if before == form:
                _start_from(self._strategy, self._place, last)
        replies = {node: (arrays[node], self._weights[node]) for node in values}
        return _asked(self._strategy, self._place, form, replies)


def _start_from(strategy: Any, place: Place, last: list[Any]) -> None:
    """Tell the strategy the model that the nodes started from, through its own method.

    With a share of 0 it samples no node and makes no message, and needs no Grid.
    """
    from flwr.app import ConfigRecord

    if not hasattr(strategy, "fraction_train"):
        return
    strategy.fraction_train = 0.0
    strategy.configure_train(place.round, _record(last), ConfigRecord(), None)


def _asked(
    strategy: Any, place: Place, form: Form, replies: dict[str, tuple[list[Any], float]]
) -> Any:
    """Return what the strategy makes of the replies.

    Raises
    ------
    DataError
        It raises an error of its own.
    """
    from flwr.app import MetricRecord, RecordDict

    from flame_flwr.flower import reply_of

    key = getattr(strategy, "weighted_by_key", "num-examples")
    messages = [
        reply_of(
            RecordDict({"arrays": _record(arrays), "metrics": MetricRecord({key: float(weight)})}),
            number,
        )
        for number, (arrays, weight) in enumerate(replies.values(), start=1)
    ]
    if sum(weight for _, weight in replies.values()) == 0:
        raise place.error("the weights of all nodes together are zero", *replies)
    try:
        with _quiet():
            record, _ = strategy.aggregate_train(place.round, messages)
    except FlameError:
        raise
    except Exception as error:
        raise place.error(
            f"{type(strategy).__name__} cannot merge the replies "
            f"({type(error).__name__}: {text_of(error)})"
        ) from error
    if record is None:
        raise place.error(f"{type(strategy).__name__} gave no aggregate")
    sent = next(iter(replies.values()))[0]
    return together(form, [_like(record[str(i)].numpy(), leaf) for i, leaf in enumerate(sent)])


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out Flower's lines on how many replies it got: here these need not be the nodes'."""
    log = logging.getLogger("flwr")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _record(leaves: list[Any]) -> Any:
    from flwr.app import Array, ArrayRecord

    return ArrayRecord(
        {str(i): Array(np.asarray(leaf, order="C")) for i, leaf in enumerate(leaves)}
    )


def _like(array: Any, leaf: Any) -> Any:
    """Return merged numbers in the precision in which nodes sent them; of whole ones as floats."""
    if not isinstance(leaf, np.ndarray):
        return array.item()
    return array.astype(leaf.dtype, copy=False) if leaf.dtype.kind in "fc" else array


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, str | int | float | bool | None) and one == other
