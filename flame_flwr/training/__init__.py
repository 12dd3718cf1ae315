"""What the bases of analyzers that train have in common: settings, scores, personal models.

Importing this imports neither PyTorch nor scikit-learn.
"""

from flame_flwr.training.ditto import Ditto

__all__ = ["Ditto"]
