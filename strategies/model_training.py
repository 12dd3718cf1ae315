"""``ModelTraining``: the base of strategies for models that nodes train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.aggregation.pytree import key_text
from flame_flwr.aggregation.reductions.numeric import Mean, WeightedMean
from flame_flwr.errors import ModelError
from flame_flwr.metrics import TEST_ROWS, check_names, is_of_tests
from flame_flwr.strategies.analyzer_checks import declared
from flame_flwr.strategies.reduce_strategy import ReduceStrategy

if TYPE_CHECKING:
    from flame_flwr.aggregation.reductions.base import Reduction
    from flame_flwr.star.nodes import StarAnalyzer

__all__ = ["ModelTraining"]

_MERGED_BY = {"scaffold": "Scaffold", "fednova": "FedNova"}
"""Which strategy merges what an analyzer sends beside its model, by the analyzer's `algorithm`."""


class ModelTraining(ReduceStrategy):
    """Averages numbers beside a model, and checks that analyzers train for it.

    How models are merged is a subclass's matter.
    """

    by: Any = "local_n_samples"
    metrics: Any = ()

    _algorithm: ClassVar[str] = "fedavg"
    """What an analyzer's `algorithm` must be; ``'fedavg'``: none that needs another strategy."""

    def metric_keys(self) -> Mapping[str, str]:
        """Return the declared metrics, and what weighs them: each node's own are shown too."""
        return {
            key: "" if by is None else key_text(by).strip("`")
            for key, by in self._metric_weights().items()
            if isinstance(key, str)
        }

    def check_analyzer(self, analyzer: type[StarAnalyzer], arguments: Mapping[str, Any]) -> None:
        """Check that an analyzer trains for this strategy, and for no other.

        Raises
        ------
        ModelError
            It does not say so.
        """
        super().check_analyzer(analyzer, arguments)
        name, needed = type(self).__name__, self._algorithm
        own = declared(analyzer, arguments, "algorithm", "fedavg")
        if needed != "fedavg" and own != needed:
            raise ModelError(
                f"{name} merges more than models, and {analyzer.__name__} does not train for it. "
                f'Say `algorithm = "{needed}"` in that class: a TorchAnalyzer then does. One of '
                f"another kind returns what the documentation of {name} names, and has the "
                "attribute so that this can be seen"
            )
        if needed == "fedavg" and own in _MERGED_BY:
            raise ModelError(
                f"{name} merges models alone, and {analyzer.__name__} has algorithm {own!r}: take "
                f"the strategy {_MERGED_BY[own]} of flame_flwr.strategies, or leave `algorithm` out"
            )

    def _metric_means(self) -> dict[Any, Reduction]:
        """Return the reduction of each metric; a node of weight 0 need not have the number."""
        weights = self._metric_weights().items()
        return {key: Mean() if of is None else WeightedMean(of, like=0.0) for key, of in weights}

    def _metric_weights(self) -> dict[Any, Any]:
        """Return what weighs each metric: as declared, or rows of tests for scores of tests.

        Raises
        ------
        ModelError
            `metrics` is a string, or has a name that cannot be one of a metric.
        """
        name = type(self).__name__
        if isinstance(self.metrics, str):
            raise ModelError(
                f"{name}: metrics must be a list of keys, or a dict of keys and what weighs them, "
                "not a string"
            )
        texts = [key for key in self.metrics if isinstance(key, str)]
        check_names(texts, f"{name}: metrics")
        if isinstance(self.metrics, Mapping):
            return dict(self.metrics)
        tests = filter(is_of_tests, texts)
        return {**dict.fromkeys(self.metrics, self.by), **dict.fromkeys(tests, TEST_ROWS)}
