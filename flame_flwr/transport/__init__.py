"""Asking nodes, and taking their replies: over Flower's Grid, or in this process."""

__all__: list[str] = []
