"""Where a model is trained: the device that is there, or the one that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError
from flame_flwr.torch.weights import pytorch

if TYPE_CHECKING:
    import torch

    from flame_flwr.torch.analyzer import TorchAnalyzer

__all__ = ["AUTO", "device_of", "moved"]

AUTO = "auto"


def device_of(analyzer: TorchAnalyzer) -> torch.device:
    """Return where an analyzer trains on this node.

    Raises
    ------
    ModelError
        There is no such device, or this node has none.
    """
    chosen, has_cuda = analyzer.device, pytorch().cuda.is_available
    if chosen == AUTO:
        chosen = "cuda" if has_cuda() else "cpu"
    try:
        device: torch.device = pytorch().device(chosen)
    except RuntimeError as error:
        raise ModelError(
            f"{type(analyzer).__name__}: PyTorch knows no device {chosen!r}: take 'auto', 'cpu' or "
            "'cuda'",
            detail=str(error),
        ) from None
    if device.type == "cuda" and not has_cuda():
        raise ModelError(
            f"{type(analyzer).__name__}: device is {chosen!r}, and this node has no graphics card "
            "that PyTorch can use. With 'auto' every node takes what it has"
        )
    return device


def moved(value: Any, device: torch.device) -> Any:
    """Return tensors, at any depth of a batch or of an optimiser's state, on a device.

    What is there already is returned as it is.
    """
    if isinstance(value, pytorch().Tensor):
        there: Any = value.to(device)
        return there
    if isinstance(value, Mapping):
        return {key: moved(part, device) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(part, device) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(moved(part, device) for part in value)
    return value
