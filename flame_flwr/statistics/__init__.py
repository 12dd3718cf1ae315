"""Mergeable statistics: computed at each node, merged to what the pooled data would give.

An analyzer returns them, alone or in a dict; they travel as they are. ``merge`` puts those of all
nodes together, in any order with the same bits, and ``result`` gives the figures by name.
"""

from flame_flwr.statistics.auc import AUC
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.baseline_hazards import BaselineHazards
from flame_flwr.statistics.counts import Missingness, RowCount
from flame_flwr.statistics.description import Description, describe
from flame_flwr.statistics.histogram import Histogram
from flame_flwr.statistics.log_rank import LogRank
from flame_flwr.statistics.meta_analysis import MetaAnalysis
from flame_flwr.statistics.minmax import MinMax
from flame_flwr.statistics.moments import Covariance, Moments, Total
from flame_flwr.statistics.quantiles import Quantiles
from flame_flwr.statistics.score_information import ScoreInformation
from flame_flwr.statistics.site_fits import SiteFits
from flame_flwr.statistics.survival import KaplanMeier
from flame_flwr.statistics.tables import ContingencyTable
from flame_flwr.statistics.value_counts import ValueCounts

__all__ = [
    "AUC",
    "BaselineHazards",
    "ContingencyTable",
    "Covariance",
    "Description",
    "Histogram",
    "KaplanMeier",
    "LogRank",
    "MetaAnalysis",
    "MinMax",
    "Missingness",
    "Moments",
    "Quantiles",
    "RowCount",
    "ScoreInformation",
    "SiteFits",
    "Statistic",
    "Total",
    "ValueCounts",
    "describe",
]
