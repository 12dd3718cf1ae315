"""Training scikit-learn's linear models: the base of analyzers, and a strategy that agrees first.

Importing this does not import scikit-learn: an analyzer does, when it trains.
"""

from flame_flwr.sklearn.analyzer import SklearnAnalyzer
from flame_flwr.sklearn.ditto import Ditto
from flame_flwr.sklearn.fedavg import SklearnCrossSite, SklearnFedAvg

__all__ = ["Ditto", "SklearnAnalyzer", "SklearnCrossSite", "SklearnFedAvg"]
