"""What is done with the nodes' values of a round."""

from flame_flwr.aggregation.base import Aggregation, Finished, Resumable, StarAggregation

__all__ = ["Aggregation", "Finished", "Resumable", "StarAggregation"]
