"""What analyses keep in the node's memory from round to round, and how much that may be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from flwr.app import Array, RecordDict

from flame_flwr.clients.filter_counts import keep_counts
from flame_flwr.log import logger

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.config import NodeSettings

__all__ = ["ANALYSES", "KeptStates", "size_of_state"]

ANALYSES = 4
"""All of a node or project may keep as much together as so many analyses may."""


class KeptStates:
    """The contexts of all runs, and how much they keep.

    Parameters
    ----------
    most : float
        Bytes that they may keep together.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._kept: dict[int, tuple[Context, int]] = {}  # by run series, the last used at the end

    @classmethod
    def of(cls, settings: NodeSettings) -> Self:
        """Return what a node's config lets analyses keep."""
        return cls(ANALYSES * settings.state_mb * 1e6)

    def keep(self, context: Context) -> None:
        """Take a context; those unused for longest are emptied where all keep too much.

        The counts of their filters stay: else a run could begin its privacy budget anew.
        """
        self._kept.pop(context.series_id, None)  # to stand at the end, as the one used last
        self._kept[context.series_id] = context, size_of_state(context.state)
        for series_id in list(self._kept)[:-1]:
            if sum(size for _, size in self._kept.values()) <= self._most:
                return
            other, _ = self._kept.pop(series_id)
            keep_counts(other.state, counts := RecordDict())
            other.state = counts
            logger.warning(
                "run %d: what its analysis keeps in memory is forgotten, as all keep more than "
                "`state-mb` lets them",
                other.run_id,
            )


def size_of_state(state: RecordDict) -> int:
    """Return the bytes that a state takes; nothing in it is looked into.

    Examples
    --------
    >>> from flwr.app import ConfigRecord, RecordDict
    >>> kept = RecordDict({"kept": ConfigRecord({"text": 1000 * "a"})})
    >>> 1000 < size_of_state(kept) < 1500
    True
    """
    return sum(
        sys.getsizeof(name) + sum(sys.getsizeof(key) + _size(value) for key, value in each.items())
        for name, each in state.items()
    )


def _size(value: object) -> int:
    if isinstance(value, Array):
        parts = (value.data, value.dtype, value.stype, value.shape)
        return sum(map(sys.getsizeof, parts)) + sum(map(sys.getsizeof, value.shape))
    inner = sum(map(sys.getsizeof, value)) if isinstance(value, list) else 0
    return sys.getsizeof(value) + inner
