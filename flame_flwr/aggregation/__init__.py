"""What is done with the nodes' values of a round."""

from flame_flwr.aggregation.base import Aggregation, Finished, StarAggregation

__all__ = ["Aggregation", "Finished", "StarAggregation"]
