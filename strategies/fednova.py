"""``FedNova``: models averaged so that nodes with more steps count no more than their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.reductions.numeric import Mean, Sum, WeightedMean
from flame_flwr.strategies.model_training import ModelTraining
from flame_flwr.strategies.reduce_strategy import NOT_GIVEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


__all__ = ["FedNova"]


class FedNova(ModelTraining):
    """Averages what nodes change of a model per step, weighted by their samples.

    A hospital with more rows goes more steps in a round, and pulls the plain average towards its
    own minimum further than its rows are worth. Here each node's change is divided by its steps,
    and the mean of that is multiplied by the mean number of steps.

    It needs an analyzer that says how many steps it went: a ``TorchAnalyzer`` with ``algorithm =
    "fednova"``. One of another kind returns ``model``, a dict of arrays by name;
    ``local_n_samples``; ``local_steps``; ``rows_per_step``, the first of these through the second;
    ``buffer_values``, what of the model is no parameter, such as BatchNorm's mean, ``{}`` for
    nothing; and in the first round, where there is no ``initial`` model, ``start``, the parameters
    that it began with. Each parameter may be a class attribute of a subclass instead.

    Parameters
    ----------
    metrics : sequence of str, or dict of str to str, callable or None
        Keys of numbers that are averaged, as for :class:`WeightedFedAvg`.
    **more
        As for :class:`ReduceStrategy`: ``convergence``, ``outputs``, ``initial`` and others.

    Notes
    -----
    Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated
    Optimization", NeurIPS 2020, equation 6 with plain gradient steps:
    ``w + sum(p * t) * sum(p * (w_k - w) / t)`` with ``p`` a node's share of the samples and ``t``
    its steps. Buffers are the mean weighted by samples.

    Examples
    --------
    The second node goes five times as many steps as the first one, and has as many rows. Plain
    averaging ends nearer to its minimum, at 6.7; here both count the same:

    >>> import numpy as np
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.star import StarAnalyzer, StarModelTester
    >>> class Steps(StarAnalyzer):
    ...     algorithm = "fednova"
    ...
    ...     def analysis_method(self, data, aggregator_results):
    ...         minimum, steps = data
    ...         x = np.zeros(1) if aggregator_results is None else aggregator_results["model"]["x"]
    ...         start = {} if aggregator_results else {"start": {"x": x}}
    ...         for _ in range(steps):
    ...             x = x - 0.004 * (x - minimum)
    ...         said = {"local_steps": steps, "rows_per_step": 50 / steps, "buffer_values": {}}
    ...         return {"model": {"x": x}, "local_n_samples": 50, **start, **said}
    >>> strategy = FedNova(convergence=MaxRounds(500))
    >>> tester = StarModelTester([(0.0, 1), (8.0, 5)], Steps, strategy, "s3", quiet=True)
    >>> tester.result["model"]["x"].round(1)
    array([4.])
    """

    _algorithm = "fednova"
    _fixed = frozenset({"reductions", "first"})

    def __init__(
        self, *, metrics: Iterable[str] | Mapping[str, Any] = NOT_GIVEN, **more: Any
    ) -> None:
        self._declare(metrics=metrics)
        rows = WeightedMean("local_n_samples")
        merged = {
            # so weighted, the mean's change is in the direction of all changes per step
            "model": WeightedMean("rows_per_step"),
            "buffer_values": rows,
            "local_steps": rows,
            "rows_per_step": Sum(),
            "local_n_samples": Sum(),
            **self._metric_means(),
        }
        # all nodes begin with the same weights, so that their mean is these
        initial = self._declared("initial", more.get("initial", NOT_GIVEN))
        begun = {"start": Mean()} if initial is None else {}
        super().__init__(merged, first={**merged, **begun}, **more)

    def update(self, merged: Any, last: Any) -> Any:
        """Return the model a step further, and the metrics."""
        merged = dict(merged)
        begun = merged.pop("start", None)
        before = begun if last is None else last["model"]
        # sum(p / t). Times the weighted mean's distance from w it is sum(p * (w_k - w) / t).
        shares = merged.pop("rows_per_step") / merged.pop("local_n_samples")
        scale = merged.pop("local_steps") * shares
        kept = merged.pop("buffer_values")
        model = {
            name: kept[name] if name in kept else _stepped(before[name], mean, scale)
            for name, mean in merged.pop("model").items()
        }
        return {"model": model, **merged}


def _stepped(before: Any, mean: Any, scale: float) -> Any:
    """Go from a weight towards the mean, in the mean's type."""
    wide = np.asarray(before, np.float64)
    return np.asarray(wide + scale * (mean - wide)).astype(np.asarray(mean).dtype)
