"""Training scikit-learn's linear models: the base of analyzers, and a strategy that agrees first.

Importing this does not import scikit-learn: an analyzer does, when it trains.
"""

from flame_flwr.sklearn.agreement import rows_for
from flame_flwr.sklearn.analyzer import SklearnAnalyzer
from flame_flwr.sklearn.fedavg import SklearnCrossSite, SklearnFedAvg
from flame_flwr.sklearn.rows import Rows
from flame_flwr.sklearn.scores import evaluate
from flame_flwr.sklearn.training import train, zero_weights
from flame_flwr.training.ditto import Ditto

__preload__ = ("sklearn.linear_model",)
"""What a node imports once that is started with ``--preload flame_flwr.sklearn``."""

__all__ = ["Ditto", "Rows", "SklearnAnalyzer", "SklearnCrossSite", "SklearnFedAvg"]
__all__ += ["evaluate", "rows_for", "train", "zero_weights"]
