"""Flower's own strategies as reductions: their arithmetic over the arrays under one key.

Server optimisation (``FedAdam``, ``FedYogi``, ``FedAdagrad``, ``FedAvgM``) and robust means
(``FedMedian``, ``FedTrimmedAvg``, ``Krum`` and others) are Flower's; waiting, failures and
messages stay this framework's.
"""

from __future__ import annotations

import copy
import pickle
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from flame_flwr.aggregation.accumulators import AllValues, SameForm
from flame_flwr.aggregation.flower_merging import merged_by, start_from
from flame_flwr.aggregation.flower_supported import OPTIMIZERS, ROBUST, check_tried, is_one
from flame_flwr.aggregation.large_numbers import FLOAT_MAX, largest_to_square
from flame_flwr.aggregation.model_buffers import Buffers, ModelMean, ModelValue
from flame_flwr.aggregation.pytree import Key, TreeSpec, flatten, unflatten
from flame_flwr.aggregation.reductions.base import TREATMENT, Reduction, Treatment
from flame_flwr.aggregation.reductions.numeric import ZERO_TOTAL, OfModel
from flame_flwr.aggregation.sums import Totals
from flame_flwr.errors import ModelError
from flame_flwr.parameters import parameter

if TYPE_CHECKING:
    from flwr.serverapp.strategy import Strategy

    from flame_flwr.aggregation.accumulators import Accumulator, Forms, Where

__all__ = ["FlowerReduction"]


@dataclass(frozen=True)
class FlowerReduction(OfModel):
    """Merge arrays with one of Flower's strategies.

    Those that optimise on the server, ``FedOpt`` and ``FedAvgM`` with their subclasses, take a
    step from the last aggregate towards the nodes' weighted mean, which is merged as replies
    arrive. Every other strategy gets all replies of the round, in participant order, and they are
    kept until then. Nodes of weight 0 are not among them. A first step needs a model to start
    from: a strategy's ``initial`` value; without one, the weighted mean of the first round is the
    first model.

    Parameters
    ----------
    strategy : flwr.serverapp.strategy.Strategy
        Built as for Flower: ``FedAdagrad``, ``FedAdam``, ``FedAvg``, ``FedAvgM``, ``FedProx``,
        ``FedYogi``, ``Bulyan``, ``FedMedian``, ``FedTrimmedAvg``, ``Krum``, ``MultiKrum``, or a
        subclass of your own. Its sampling of nodes and its keys have no effect here; it is copied
        for every run.
    by : str, int, callable or None
        The weight's key, as for ``WeightedMean``; ``None``: all nodes count the same.
    buffers : str or sequence of str
        Which arrays are buffers, such as BatchNorm's running variance: no step is taken on them,
        they are the weighted mean, whole numbers rounded in their type. A text is the key, beside
        the value or further out, under which nodes name them, as ``TorchAnalyzer`` does; arrays
        that are called as in PyTorch's BatchNorm are buffers in any case. A list names them, and
        no others: ``()`` for none. A name is what leads to the array within the value, with dots
        between. The robust means (``FedMedian``, ``FedTrimmedAvg``, ``Krum``, ``MultiKrum``,
        ``Bulyan``) choose buffers as they choose the rest.
    bad_weight, zero_total, differing, non_finite
        As for ``WeightedMean``.
    missing : {'error', 'skip'}
        What to do about a node that has not the key.

    Raises
    ------
    ModelError
        The strategy would do less here than it says, such as one that wraps privacy; or one of
        the others is not what it must be.

    Examples
    --------
    >>> from flwr.serverapp.strategy import FedMedian
    >>> str(FlowerReduction(FedMedian(), by="n"))
    "Flower's FedMedian"
    """

    strategy: Strategy
    _: KW_ONLY
    by: Key = None
    bad_weight: Treatment = parameter(TREATMENT, "error")
    zero_total: Literal["error", "none"] = parameter(ZERO_TOTAL, "error")

    def __post_init__(self) -> None:
        """Check what was declared."""
        from flwr.serverapp.strategy import Strategy

        super().__post_init__()
        star = hasattr(self.strategy, "make_aggregation")  # a StarStrategy has a loop of its own
        if not isinstance(self.strategy, Strategy) or star:
            raise ModelError(
                "FlowerReduction takes one of Flower's strategies, such as FedAdam(eta=0.1), not "
                f"{self.strategy!r}"
            )
        check_tried(self.strategy)

    def __str__(self) -> str:
        """Return the strategy's name."""
        return f"Flower's {type(self.strategy).__name__}"

    def for_run(self) -> Reduction:
        """Return one that remembers, as an optimiser does."""
        return _InRun(declared=self, strategy=copy.deepcopy(self.strategy), missing=self.missing)


@dataclass(frozen=True, kw_only=True)
class _InRun(Reduction):
    """A Flower strategy in one run, with what it remembers from round to round."""

    declared: FlowerReduction
    strategy: Any

    def collector(self, place: Where) -> Accumulator:
        """Return what merges one round."""
        merging = _Optimized if is_one(self.strategy, OPTIMIZERS) else _Compared
        return merging(self.strategy, place, self.declared)

    def save(self) -> bytes:
        """Return what the strategy remembers: what is not as it was declared."""
        declared = vars(self.declared.strategy)
        # Without callables, such as a lambda that was declared, which cannot be pickled.
        changed = {
            key: value
            for key, value in vars(self.strategy).items()
            if not callable(value) and not _same(value, declared.get(key))
        }
        return pickle.dumps(changed)

    def load(self, data: bytes) -> None:
        """Remember what was saved."""
        vars(self.strategy).update(pickle.loads(data))  # noqa: S301  (own checkpoint)


class _OfStrategy:
    """The base of what merges a round with a strategy, which is asked for the result."""

    mend = SameForm.mend

    def __init__(self, strategy: Any, place: Where, declared: FlowerReduction) -> None:
        self._strategy = strategy
        self._place = place
        self._declared = declared
        none = declared.zero_total == "none"
        self._mean = ModelMean(
            place, declared.differing, declared.buffers, weighted=True, none_of_zero=none
        )

    def check(self, node: str, value: ModelValue, weight: float) -> Forms:
        """See that it is made of numbers, if they count; return their form if all must have it."""
        return self._mean.check(node, value, weight)

    def large_size(self, value: ModelValue, weight: float) -> float | None:
        """Return the largest of a node's numbers and its weight, of those that could be too large.

        With others' they could; numbers are squared by some strategies.
        """
        if weight == 0:  # its value is not looked at
            return None
        sizes = [largest_to_square(flatten(value.value)[1])]
        sizes.append(weight if weight > FLOAT_MAX / len(self._place.nodes) else None)
        return max((size for size in sizes if size is not None), default=None)

    def check_fits(self) -> None:
        """See that nothing is too large for the strategy, nor the weights together."""
        # A copy, as an optimiser would remember the step that is only tried here.
        self._strategy = copy.deepcopy(self._strategy)
        self.result()

    def result(self) -> Any:
        """Return what the strategy makes of all values."""
        raise NotImplementedError


class _Optimized(_OfStrategy):
    """The weighted mean, and one step of the strategy from the last aggregate towards it."""

    def add(self, node: str, value: ModelValue, weight: float) -> None:
        """Add to the mean."""
        self._mean.add(node, value, weight)

    def merge(self, other: _Optimized) -> None:
        """Take what another has added up."""
        self._mean.merge(other._mean)

    def result(self) -> Any:
        """Return the model after the strategy's step towards the mean."""
        mean = self._mean.result()
        if mean is None:
            return None
        spec, leaves = flatten(mean)
        trained = self._mean.buffers.others(spec)
        # Without a model to start from there is no step: the first mean is the first model.
        if self._place.last is not None and trained:
            before, last = flatten(self._place.last)
            if before != spec:
                raise self._place.error(
                    f"the last aggregate is {before}, and the nodes sent {spec}"
                )
            start_from(self._strategy, self._place, [last[i] for i in trained])
            replies = {"mean": ([leaves[i] for i in trained], 1.0)}
            for i, leaf in zip(
                trained, merged_by(self._strategy, self._place, replies), strict=True
            ):
                leaves[i] = leaf
        return unflatten(spec, leaves)


class _Compared(_OfStrategy):
    """All replies, for a strategy that compares them."""

    def __init__(self, strategy: Any, place: Where, declared: FlowerReduction) -> None:
        super().__init__(strategy, place, declared)
        self._weights: dict[str, float] = {}
        self._kept = AllValues(place, self._merged)

    def add(self, node: str, value: ModelValue, weight: float) -> None:
        """Keep one node's reply; one of weight 0 is not looked at."""
        if weight == 0:
            self._mean.add(node, value, 0.0)
            return
        self._weights[node] = weight
        self._kept.add(node, value, weight)

    def merge(self, other: _Compared) -> None:
        """Take what another has kept."""
        self._weights |= other._weights
        self._mean.merge(other._mean)
        self._kept.merge(other._kept)

    def result(self) -> Any:
        """Return what the strategy makes of all replies."""
        return self._kept.result() if self._weights else self._mean.result()

    def _merged(self, values: dict[str, ModelValue]) -> Any:
        flat = {node: flatten(each.value) for node, each in values.items()}
        spec = self._chosen({node: form for node, (form, _) in flat.items()})
        leaves = {node: each for node, (form, each) in flat.items() if form == spec}
        buffers = Buffers(self._declared.buffers)
        for node, each in leaves.items():
            buffers.name(values[node].buffers)
            buffers.note(spec, each)
        places = range(len(next(iter(leaves.values()))))
        # a robust mean chooses among whole answers; any other strategy steps on parameters only
        robust = is_one(self._strategy, ROBUST)
        asks = list(places) if robust else buffers.others(spec)
        merged = self._means(leaves, sorted(set(places) - set(asks)))
        merged |= self._asked(spec, leaves, asks)
        return unflatten(spec, buffers.rounded(spec, [merged[i] for i in places]))

    def _means(self, leaves: dict[str, list[Any]], places: list[int]) -> dict[int, Any]:
        """Return the weighted means of some places, by place."""
        totals = Totals(self._place, "error", mean=True, weighted=True)
        for node, each in leaves.items():
            totals.add(node, [each[i] for i in places], self._weights[node])
        return dict(zip(places, totals.result(), strict=True))

    def _asked(
        self, spec: TreeSpec, leaves: dict[str, list[Any]], places: list[int]
    ) -> dict[int, Any]:
        """Return what the strategy makes of some places, by place."""
        if not places:
            return {}
        if self._place.last is not None:
            before, last = flatten(self._place.last)
            if before == spec:
                start_from(self._strategy, self._place, [last[i] for i in places])
        replies = {
            node: ([each[i] for i in places], self._weights[node]) for node, each in leaves.items()
        }
        return dict(zip(places, merged_by(self._strategy, self._place, replies), strict=True))

    def _chosen(self, specs: dict[str, TreeSpec]) -> TreeSpec:
        """Return the form that counts: what most sent, of as many the first."""
        listed = list(specs.values())
        spec = max(specs.values(), key=listed.count)
        fewer = [node for node, other in specs.items() if other != spec]
        if fewer:
            self._place.leave_out("differs from the others", fewer)
        return spec


def _same(one: Any, other: Any) -> bool:
    # only plain values: `==` of arrays is an array, and one that has moved must be saved
    return isinstance(one, str | int | float | bool | None) and one == other
