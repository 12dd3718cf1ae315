"""``MergeStatistics``: statistics are merged, and their figures are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.reductions.collecting import Merge
from flame_flwr.errors import ModelError
from flame_flwr.strategies.reduce_strategy import NOT_GIVEN, ReduceStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MergeStatistics"]


class MergeStatistics(ReduceStrategy):
    """Merge statistics, as those of :mod:`flame_flwr.statistics`, and report their figures.

    Nodes return a statistic, or dicts and lists of them. The aggregate is the same with merged
    statistics; what is written is the same with their results.

    Parameters
    ----------
    kind : type, optional
        The class that statistics must be of. ``None``: anything with ``merge`` and ``result``.
    missing : {'error', 'skip'}
        What to do about a statistic that a node has not.
    **more
        As for :class:`ReduceStrategy`: ``outputs`` and others, but for ``non_finite``, which would
        have no effect.

    Examples
    --------
    >>> from flame_flwr.star import StarAnalyzer, StarModelTester
    >>> from flame_flwr.statistics import Total
    >>> class Ages(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return {"age": Total.from_data(data)}
    >>> StarModelTester([[61, 70], [83]], Ages, MergeStatistics(), "s3").result
    {'age': {'n': 3, 'sum': 214.0, 'mean': 71.33333333333333, 'suppressed': 0}}
    """

    kind: Any = None
    missing: Any = "error"

    def __init__(
        self, kind: type[Any] | None = NOT_GIVEN, *, missing: str = NOT_GIVEN, **more: Any
    ) -> None:
        self._declare(kind=kind, missing=missing)
        if "non_finite" in more or type(self).non_finite != ReduceStrategy.non_finite:
            raise ModelError(
                f"{type(self).__name__}: non_finite has no effect: it is about numbers that a "
                "reduction computes with, and statistics merge whatever is in them. Leave it out"
            )
        super().__init__(Merge(self.kind, missing=self.missing), **more)

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return every statistic's figures."""
        return _results(aggregate)


def _results(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _results(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_results(part) for part in value)
    return None if value is None else value.result()
