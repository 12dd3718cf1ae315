"""``Scaffold``: models averaged over nodes whose steps are corrected for their drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.drift_corrections import scaffold_update, zeros_like
from flame_flwr.aggregation.reductions.numeric import Mean, Sum
from flame_flwr.strategies.model_training import ModelTraining
from flame_flwr.strategies.reduce_strategy import NOT_GIVEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flame_flwr.aggregation import Aggregation
    from flame_flwr.star.handle import FlameHandle

__all__ = ["Scaffold"]


class Scaffold(ModelTraining):
    """Averages models, and the control variates that keep nodes with different data together.

    It needs an analyzer that corrects its steps: a ``TorchAnalyzer`` with ``algorithm =
    "scaffold"``. One of another kind gets ``{"model": ..., "control": ...}``, without a control in
    the first round, where it is zero. It returns ``model``, its weights, and ``control_change``, by
    how much its own control variate has changed, and keeps that: see ``scaffold_gradient`` and
    ``scaffold_control`` of :mod:`flame_flwr.aggregation`. Each parameter may be a class attribute
    of a subclass instead.

    Parameters
    ----------
    by : str, callable or None
        What weighs the metrics: a key, such as a sample count. ``None``: all nodes count the same.
    metrics : sequence of str, or dict of str to str, callable or None
        Keys of numbers that are averaged, as for :class:`WeightedFedAvg`.
    **more
        As for :class:`ReduceStrategy`: ``convergence``, ``outputs``, ``initial`` and others.

    Notes
    -----
    Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML
    2020, equations 3 to 5, with option II and 1 as the server's learning rate. All nodes count the
    same in the model's mean. The server's control variate moves by the share of the nodes that have
    answered.

    Examples
    --------
    Two nodes with different curves and minima. Plain averaging ends where neither of them wants to
    be; with their controls it ends where the sum of both losses is least, at 2.5:

    >>> from flame_flwr.aggregation import MaxRounds, scaffold_control, scaffold_gradient
    >>> from flame_flwr.star import StarAnalyzer, StarModelTester
    >>> class Steps(StarAnalyzer):
    ...     algorithm = "scaffold"
    ...     control = 0.0
    ...
    ...     def analysis_method(self, data, aggregator_results):
    ...         curve, minimum = data
    ...         received = aggregator_results or {"model": 0.0, "control": 0.0}
    ...         x, common = received["model"], received["control"]
    ...         for _ in range(5):
    ...             x = x - 0.1 * scaffold_gradient(curve * (x - minimum), self.control, common)
    ...         before = self.control
    ...         self.control = scaffold_control(
    ...             before, common, received["model"], x, steps=5, learning_rate=0.1
    ...         )
    ...         return {"model": float(x), "control_change": float(self.control - before)}
    >>> strategy = Scaffold(convergence=MaxRounds(60))
    >>> tester = StarModelTester([(3.0, 2.0), (1.0, 4.0)], Steps, strategy, "s3", quiet=True)
    >>> round(float(tester.result["model"]), 6)
    2.5
    """

    _nodes: int = 0
    _DECLARED = frozenset({"_nodes"})
    _algorithm = "scaffold"
    _fixed = frozenset({"reductions", "first"})

    def __init__(
        self,
        *,
        by: str | Callable[[Any], Any] | None = NOT_GIVEN,
        metrics: Iterable[str] | Mapping[str, Any] = NOT_GIVEN,
        **more: Any,
    ) -> None:
        self._declare(by=by, metrics=metrics)
        means = self._metric_means()
        super().__init__({"model": Mean(), "control_change": Sum(), **means}, **more)

    def update(self, merged: Any, last: Any) -> Any:
        """Return the mean model, the server's new control variate, and the metrics."""
        merged = dict(merged)
        total = merged.pop("control_change")
        # In the first round the server's control is zero, of shapes that only answers tell.
        before = (last or {}).get("control")
        before = zeros_like(total) if before is None else before
        model = merged.pop("model")
        # the mean of all nodes' changes, where those that have not answered have changed nothing
        _, control = scaffold_update(0.0, before, 0.0, total, share=1 / self._nodes)
        return {"model": model, "control": control, **merged}

    def make_aggregation(
        self, flame: FlameHandle, nodes: tuple[str, ...], simple_analysis: bool
    ) -> Aggregation:
        """Return what merges, once it is known how many nodes there are."""
        self._nodes = len(nodes)
        return super().make_aggregation(flame, nodes, simple_analysis)
