"""Mergeable statistics: computed at each node, merged to what the pooled data would give."""

from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.counts import Missingness, RowCount
from flame_flwr.statistics.minmax import MinMax
from flame_flwr.statistics.moments import Covariance, Moments, Total

__all__ = ["Covariance", "MinMax", "Missingness", "Moments", "RowCount", "Statistic", "Total"]
