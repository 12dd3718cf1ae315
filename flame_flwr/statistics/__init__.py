"""Mergeable statistics: computed at each node, merged to what the pooled data would give."""

from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.counts import Missingness, RowCount
from flame_flwr.statistics.histogram import Histogram
from flame_flwr.statistics.minmax import MinMax
from flame_flwr.statistics.moments import Covariance, Moments, Total
from flame_flwr.statistics.tables import ContingencyTable, ValueCounts

__all__ = [
    "ContingencyTable",
    "Covariance",
    "Histogram",
    "MinMax",
    "Missingness",
    "Moments",
    "RowCount",
    "Statistic",
    "Total",
    "ValueCounts",
]
