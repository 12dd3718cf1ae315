"""FLAME's package, as far as a STAR analysis has it."""

from flame_flwr import star

__all__ = ["star"]
