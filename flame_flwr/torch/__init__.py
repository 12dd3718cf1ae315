"""Training PyTorch models: the base of analyzers, and models as files.

Importing this does not import PyTorch: an analyzer does, when it trains.
"""

from flame_flwr.torch.analyzer import TorchAnalyzer
from flame_flwr.torch.weights import safetensors_bytes, state_dict, state_dict_bytes
from flame_flwr.training.ditto import Ditto

__preload__ = ("torch",)
"""What a node imports once that is started with ``--preload flame_flwr.torch``."""

__all__ = ["Ditto", "TorchAnalyzer", "safetensors_bytes", "state_dict", "state_dict_bytes"]
