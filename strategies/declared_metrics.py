"""The metrics beside a model that a strategy averages: what weighs each, and its reduction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.pytree import key_text
from flame_flwr.aggregation.reductions.numeric import Mean, WeightedMean
from flame_flwr.errors import ModelError
from flame_flwr.metrics import TEST_ROWS, check_names, is_of_tests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flame_flwr.aggregation.reductions.base import Reduction

__all__ = ["check_metrics", "metric_means", "metric_weights", "weight_names"]


def check_metrics(name: str, metrics: Iterable[Any] | Mapping[Any, Any]) -> None:
    """Check what is declared as `metrics` of a strategy.

    Parameters
    ----------
    name : str
        The strategy's.
    metrics : sequence of str, or dict
        What is declared.

    Raises
    ------
    ModelError
        It is a string, or has a name that cannot be one of a metric.
    """
    if isinstance(metrics, str):
        raise ModelError(
            f"{name}: metrics must be a list of keys, or a dict of keys and what weighs them, not "
            "a string"
        )
    check_names([key for key in metrics if isinstance(key, str)], f"{name}: metrics")


def metric_weights(metrics: Iterable[Any] | Mapping[Any, Any], by: Any) -> dict[Any, Any]:
    """Return what weighs each metric: what is said, else rows of tests for scores of tests.

    Parameters
    ----------
    metrics : sequence of str, or dict
        As declared.
    by : str, callable or None
        What weighs the others.
    """
    if isinstance(metrics, Mapping):
        return dict(metrics)
    return {key: TEST_ROWS if isinstance(key, str) and is_of_tests(key) else by for key in metrics}


def metric_means(metrics: Iterable[Any] | Mapping[Any, Any], by: Any) -> dict[Any, Reduction]:
    """Return the reduction of each metric; a node of weight 0 need not have the number."""
    weights = metric_weights(metrics, by).items()
    return {key: Mean() if of is None else WeightedMean(of, like=0.0) for key, of in weights}


def weight_names(weights: Mapping[Any, Any]) -> dict[str, str]:
    """Return by the name of each metric what it is weighted by, as it is shown."""
    return {
        key: "" if by is None else key_text(by).strip("`")
        for key, by in weights.items()
        if isinstance(key, str)
    }
