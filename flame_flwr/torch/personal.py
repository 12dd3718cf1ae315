"""Ditto's personal model in PyTorch: one round of training beside the common one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.torch.corrections import Proximal, trained_parameters
from flame_flwr.torch.rounds import net_with
from flame_flwr.torch.samples import as_dataset
from flame_flwr.torch.training import mean_scores, train
from flame_flwr.torch.weights import arrays_of, pytorch

if TYPE_CHECKING:
    from flame_flwr.torch.weights import Weights

__all__ = ["train_personal"]


def train_personal(
    analyzer: Any, given: Any, held_back: Any, received: Weights | None
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Train a node's personal model, and score it.

    Parameters
    ----------
    analyzer : Ditto and TorchAnalyzer
        The node's.
    given, held_back : Any
        What its ``dataset`` and ``test_dataset`` have returned.
    received : mapping of str to ndarray or None
        The common model that it was sent; ``None``: the one that was drawn.

    Returns
    -------
    dict of str to ndarray, dict of str to dict
        The model; its scores on the samples as ``personal``, on those held back as
        ``test_personal``.
    """
    with net_with(analyzer, received if analyzer.personal is None else analyzer.personal):
        drawn = []
        if analyzer.lam:
            drawn.append(Proximal(analyzer.net, analyzer.lam, _common(analyzer, received)))
        samples = as_dataset(given, "dataset", analyzer.net)
        loss, analyzer._kept_beside, _ = train(analyzer, samples, analyzer._kept_beside, drawn)
        found = {"personal": {**mean_scores(analyzer, samples), "loss": loss}}
        if held_back is not None:
            tested = as_dataset(held_back, "test_dataset", analyzer.net)
            found["test_personal"] = mean_scores(analyzer, tested)
        return arrays_of(analyzer.net), found


def _common(analyzer: Any, received: Weights | None) -> list[Any] | None:
    """Return what of the common model is trained, as tensors; ``None``: what was drawn."""
    if received is None:
        return None
    weights = trained_parameters(analyzer.net).items()
    return [pytorch().as_tensor(received[name]).to(each) for name, each in weights]
