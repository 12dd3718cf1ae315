"""Analyzers that differ from the usual ward in a member."""

from flame_flwr.aggregation import MaxRounds
from flame_flwr.strategies import WeightedFedAvg

from .wards import Ward


def made(**members):
    return type("Odd", (Ward,), members)


def of(estimator):
    return made(estimator=lambda self: estimator())


ONE = WeightedFedAvg(convergence=MaxRounds(2))
