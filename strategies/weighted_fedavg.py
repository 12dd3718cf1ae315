"""``WeightedFedAvg``: a model averaged over the nodes, or merged by one of Flower's strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.accumulators import check_choice
from flame_flwr.aggregation.flower_strategies import FlowerReduction
from flame_flwr.aggregation.reductions.base import Reduction
from flame_flwr.aggregation.reductions.numeric import Mean, WeightedMean
from flame_flwr.buffer_names import BUFFERS
from flame_flwr.strategies.model_training import ModelTraining
from flame_flwr.strategies.reduce_strategy import NOT_GIVEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flwr.serverapp.strategy import Strategy

    from flame_flwr.aggregation.grid import Grid

__all__ = ["WeightedFedAvg"]


class WeightedFedAvg(ModelTraining):
    """Federated averaging of a model, weighted by what nodes report.

    Nodes return a dict, such as ``{"model": [coef, intercept], "local_n_samples": 120}``; the
    aggregate is a dict with the same model and the metrics. Each parameter may be a class
    attribute of a subclass instead.

    Parameters
    ----------
    model : str
        The key of the model: an array, or lists and dicts of arrays.
    by : str, callable or None
        The key of the weight: a sample count, or a score. ``None``: all nodes count the same.
    metrics : sequence of str, or dict of str to str, callable or None
        Keys of numbers that are averaged too. In a list, scores of test data, whose names begin
        with ``test_``, are weighted by ``n_test``, how many rows a node has tested with; others
        as the model. A dict says of each what weighs it: ``{"loss": "local_n_samples",
        "test_auc": "n_tested"}``; ``None``: all nodes count the same. A node of weight 0, such as
        one without test rows, need not have the number.
    server : flwr.serverapp.strategy.Strategy, optional
        A strategy of Flower's that merges the model in place of the mean: ``FedAdam``,
        ``FedYogi``, ``FedAdagrad``, ``FedAvgM``, ``FedMedian``, ``FedTrimmedAvg``, ``Krum`` and
        others; see :class:`~flame_flwr.aggregation.FlowerReduction`.
    buffers : str or sequence of str
        Which arrays of the model are buffers, as for ``FlowerReduction``: they are the weighted
        mean also where a `server` optimises, and those of whole numbers are rounded in their type.
    bad_weight : {'error', 'skip'}
        What to do about a node whose weight is missing, negative or not finite.
    missing : {'error', 'skip'}
        What to do about a node that has not the model, or a metric.
    differing : {'error', 'skip'}
        What to do where the nodes' models, or metrics, differ in shape or keys.
    zero_total : {'error', 'none'}
        Where all weights together are zero: an error, or model and metrics are ``None``.
    grid : Grid, optional
        Where secure sums put the model times its weight: ``Grid(64, 32)`` without one, on which
        sums are below 2**31; ``Grid(128, 64)`` is larger and finer.
    **more
        As for :class:`ReduceStrategy`: ``convergence``, ``outputs``, ``initial``, ``non_finite``,
        ``secure`` and others.

    Notes
    -----
    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    AISTATS 2017, algorithm 1: ``sum(n_k * w_k) / sum(n_k)``.

    Examples
    --------
    >>> from flame_flwr.star import StarAnalyzer, StarModelTester
    >>> class Local(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         mean = sum(data) / len(data)
    ...         return {"model": [mean], "local_n_samples": len(data), "loss": abs(mean)}
    >>> strategy = WeightedFedAvg(metrics=["loss"])
    >>> StarModelTester([[1.0, 3.0, 5.0], [7.0]], Local, strategy, "s3").result
    {'model': [4.0], 'loss': 4.0}
    """

    model: Any = "model"
    server: Any = None
    buffers: Any = BUFFERS
    bad_weight: Any = "error"
    missing: Any = "error"
    differing: Any = "error"
    zero_total: Any = "error"
    grid: Any = None

    def __init__(
        self,
        model: str = NOT_GIVEN,
        *,
        by: str | Callable[[Any], Any] | None = NOT_GIVEN,
        metrics: Iterable[str] | Mapping[str, Any] = NOT_GIVEN,
        server: Strategy | None = NOT_GIVEN,
        buffers: str | Sequence[str] = NOT_GIVEN,
        bad_weight: str = NOT_GIVEN,
        missing: str = NOT_GIVEN,
        differing: str = NOT_GIVEN,
        zero_total: str = NOT_GIVEN,
        grid: Grid | None = NOT_GIVEN,
        **more: Any,
    ) -> None:
        self._declare(model=model, by=by, metrics=metrics, server=server, buffers=buffers)
        self._declare(bad_weight=bad_weight, missing=missing, differing=differing)
        self._declare(zero_total=zero_total, grid=grid)
        # Now, by the names that users know: the reductions below would name fields of their own.
        for name in ("bad_weight", "missing", "differing"):
            check_choice(self, name, "error", "skip")
        check_choice(self, "zero_total", "error", "none")
        whole = self._mean(self.by, buffers=self.buffers, grid=self.grid)
        if self.server is not None:
            whole = FlowerReduction(
                self.server, by=self.by, buffers=self.buffers, **self._treatments()
            )
        weights = self._metric_weights()
        means = {key: self._mean(by) for key, by in weights.items()}
        super().__init__({self.model: whole, **means}, **more)

    def _mean(self, by: Any, **more: Any) -> Reduction:
        if by is None:
            return Mean(missing=self.missing, differing=self.differing, **more)
        # a metric is a number, which a node of weight 0 need not have
        like = None if more else 0.0
        return WeightedMean(by, **self._treatments(), like=like, **more)

    def _treatments(self) -> dict[str, Any]:
        names = ("bad_weight", "missing", "differing", "zero_total")
        return {name: getattr(self, name) for name in names}
