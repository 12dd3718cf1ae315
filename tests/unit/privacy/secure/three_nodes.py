"""What three nodes declare to sum, and their values."""

import numpy as np

from flame_flwr.aggregation import MergeCounts, Sum, WeightedMean

DECLARED = {"coef": WeightedMean("n"), "n": Sum(), "sex": MergeCounts(labels=["f", "m"])}

VALUES = [
    {"coef": np.array([0.5, -0.25]), "n": 10, "sex": {"f": 4}},
    {"coef": np.array([1.5, 0.0]), "n": 30, "sex": {"m": 3, "f": 1}},
    {"coef": np.array([-2.0, 7.0]), "n": 0, "sex": {}},
]
