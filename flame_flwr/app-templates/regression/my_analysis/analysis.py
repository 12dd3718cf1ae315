"""What is asked: one description, which runs at every hospital and on the server."""

from flame_flwr.regression import GLM

LEVELS = {"sex": ["f", "m"], "stage": [1, 2, 3]}
"""Of each category, the reference first: declared, so that sums may also be masked."""

STUDY = GLM("died ~ age + sex + C(stage)", "binomial", levels=LEVELS)
"""Do patients die? ``Cox("days, died ~ age + sex + C(stage)", levels=LEVELS)`` asks when."""
