"""The study as a FLAME script: ``flame-flwr run study.py``, with or without ``--simulate``."""

from cross_site.app import model

__all__ = ["model"]
