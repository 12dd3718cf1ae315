"""What is asked: one description, which runs at every hospital and on the server."""

from flame_flwr.regression import TableOne

STUDY = TableOne(
    {"age": "mean", "days": "median", "sex": ["f", "m"], "stage": [1, 2, 3]},
    by="died",
    groups=[0, 1],
)
"""The columns with what is said of each, and the groups that are compared."""
