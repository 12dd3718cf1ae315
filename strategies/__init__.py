"""The server's side: Flower strategies that run STAR analyses."""

from typing import TYPE_CHECKING

from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.strategies.cyclic_training import CyclicTraining as CyclicTraining
    from flame_flwr.strategies.fednova import FedNova as FedNova
    from flame_flwr.strategies.merge_statistics import MergeStatistics as MergeStatistics
    from flame_flwr.strategies.reduce_strategy import ReduceStrategy as ReduceStrategy
    from flame_flwr.strategies.scaffold import Scaffold as Scaffold
    from flame_flwr.strategies.server_app import make_server_app as make_server_app
    from flame_flwr.strategies.star_strategy import StarResult as StarResult
    from flame_flwr.strategies.star_strategy import StarStrategy as StarStrategy
    from flame_flwr.strategies.weighted_fedavg import WeightedFedAvg as WeightedFedAvg

__all__, __dir__, __getattr__ = lazy_exports(
    __name__,
    {
        ".cyclic_training": ["CyclicTraining"],
        ".fednova": ["FedNova"],
        ".merge_statistics": ["MergeStatistics"],
        ".reduce_strategy": ["ReduceStrategy"],
        ".scaffold": ["Scaffold"],
        ".server_app": ["make_server_app"],
        ".star_strategy": ["StarResult", "StarStrategy"],
        ".weighted_fedavg": ["WeightedFedAvg"],
    },
)
