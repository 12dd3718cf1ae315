"""Protection of what is released."""

from flame_flwr.privacy.laplace import Laplace

__all__ = ["Laplace"]
