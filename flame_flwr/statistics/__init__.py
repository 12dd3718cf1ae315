"""Mergeable statistics: computed at each node, merged to what the pooled data would give."""

from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.counts import RowCount

__all__ = ["RowCount", "Statistic"]
