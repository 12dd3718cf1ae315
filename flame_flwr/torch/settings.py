"""Checks of what an analyzer that trains a PyTorch model was given."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from flame_flwr.torch.analyzer import TorchAnalyzer

__all__ = ["check_settings"]


def check_settings(analyzer: TorchAnalyzer) -> None:
    """Check the parameters, and have them in Python's own types: loaders refuse NumPy's.

    Raises
    ------
    ModelError
        One is not what it must be.
    """
    name = type(analyzer).__name__
    for key, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("threads", 0)):
        value = getattr(analyzer, key)
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            raise ModelError(f"{name}: {key} must be a whole number from {least}, not {value!r}")
        _keep_as(analyzer, key, int(value))
    if analyzer.seed >= 2**63:  # the round's number is added, and PyTorch takes 64 bits
        raise ModelError(f"{name}: seed must be below 2**63, not {analyzer.seed!r}")
    for key in ("shuffle", "keep_optimizer"):
        value = getattr(analyzer, key)
        if not isinstance(value, bool | np.bool_):
            raise ModelError(f"{name}: {key} must be True or False, not {value!r}")
        _keep_as(analyzer, key, bool(value))
    rate = analyzer.learning_rate
    if isinstance(rate, bool) or not isinstance(rate, Real) or not rate > 0:
        raise ModelError(f"{name}: learning_rate must be a number above 0, not {rate!r}")
    _keep_as(analyzer, "learning_rate", float(rate))


def _keep_as(analyzer: TorchAnalyzer, key: str, value: Any) -> None:
    if type(getattr(analyzer, key)) is not type(value):
        setattr(analyzer, key, value)
