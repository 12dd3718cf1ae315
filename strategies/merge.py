"""``MergeStatistics``: statistics are merged, and their figures are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.reductions import Merge
from flame_flwr.strategies.reduce import NOT_GIVEN, ReduceStrategy

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
        As for :class:`ReduceStrategy`: ``outputs`` and others.
    """

    kind: Any = None
    missing: Any = "error"

    _DECLARED = ReduceStrategy._DECLARED | {"kind", "missing"}

    def __init__(
        self, kind: type[Any] | None = NOT_GIVEN, *, missing: str = NOT_GIVEN, **more: Any
    ) -> None:
        self.kind = self._declared("kind", kind)
        self.missing = self._declared("missing", missing)
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
