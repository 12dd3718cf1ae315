"""One round of training, and scoring without it: the loops over batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.buffer_names import BUFFERS
from flame_flwr.errors import DataError
from flame_flwr.torch.checks import (
    check_gradient,
    check_loader,
    check_loss,
    check_optimizer,
    check_parameters,
)
from flame_flwr.torch.devices import device_of, moved
from flame_flwr.torch.samples import explained, is_finite_batch, length
from flame_flwr.torch.weights import is_finite, pytorch
from flame_flwr.training.checks import check_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch.utils.data import Dataset

    from flame_flwr.torch.analyzer import TorchAnalyzer
    from flame_flwr.torch.corrections import Correction

__all__ = ["mean_scores", "train"]

_RESERVED = frozenset({"model", "local_n_samples", "loss", "n", "n_test", BUFFERS})


def train(
    analyzer: TorchAnalyzer,
    samples: Dataset[Any],
    kept: dict[str, Any] | None,
    corrections: Sequence[Correction] = (),
) -> tuple[float, dict[str, Any] | None, int]:
    """Train the analyzer's model on the samples, as many epochs as it says.

    Parameters
    ----------
    analyzer : TorchAnalyzer
        With its :attr:`net`.
    samples : Dataset
        The node's.
    kept : dict or None
        The optimiser's state after this node's last round.
    corrections : sequence of Correction
        What a federated algorithm changes of it.

    Returns
    -------
    float, dict or None, int
        The mean loss over the samples of the last epoch, the optimiser's state to keep, and how
        many steps were taken.

    Raises
    ------
    DataError
        The loader gives no batch, the samples do not fit the model, or the loss or the weights
        are not finite.
    ModelError
        A method of the analyzer returned what it must not.
    """
    check_parameters(analyzer)
    seed = analyzer.seed + analyzer.num_iterations + 1
    # its own generator: what layers draw meanwhile changes nothing in the order of the samples
    loader = _loader(analyzer, samples, pytorch().Generator().manual_seed(seed))
    check_loader(analyzer, loader, samples)
    optimizer = analyzer.optimizer(analyzer.net.parameters())
    check_optimizer(analyzer, optimizer)
    if analyzer.keep_optimizer and kept is not None:
        optimizer.load_state_dict(kept)
    for each in corrections:
        each.begin(optimizer)
    mean, steps = 0.0, 0
    for epoch in range(1, analyzer.epochs + 1):
        mean, taken = _epoch(analyzer, loader, optimizer, epoch, corrections)
        steps += taken
    if not is_finite(analyzer.net):  # the last step's gradient may have been
        raise _not_finite(f"epoch {analyzer.epochs}", "the weights are")
    # kept where any later process can read it
    state = moved(optimizer.state_dict(), pytorch().device("cpu"))
    return mean, state if analyzer.keep_optimizer else None, steps


def mean_scores(analyzer: TorchAnalyzer, samples: Dataset[Any]) -> dict[str, float]:
    """Return the number of samples as ``n``, and means of loss and scores over them."""
    from torch.utils.data import DataLoader

    analyzer.net.eval()  # nothing is dropped out, and BatchNorm takes the means it has learnt
    totals: dict[str, float] = {}
    seen: dict[str, int] = {"n": 0}
    device = device_of(analyzer)
    with pytorch().no_grad():
        for loaded in DataLoader(samples, batch_size=analyzer.batch_size):
            batch = _on(device, loaded)
            number = length(batch)
            seen["n"] += number
            with explained():
                loss = float(_loss(analyzer, batch, "scoring"))
                said = {} if analyzer.score is None else analyzer.score(batch)
                scores = check_scores(analyzer, said, _RESERVED)
            # Each has its own count: a score may be left out for a batch.
            for name, value in {**scores, "loss": loss}.items():
                totals[name] = totals.get(name, 0.0) + value * number
                seen[name] = seen.get(name, 0) + number
    return {"n": seen["n"], **{name: total / seen[name] for name, total in totals.items()}}


def _loader(analyzer: TorchAnalyzer, samples: Dataset[Any], generator: torch.Generator) -> Any:
    """Return what makes batches of the samples that are trained with, anew in every epoch."""
    if analyzer.loader is not None:
        return analyzer.loader(samples, generator)
    from torch.utils.data import DataLoader

    return DataLoader(
        samples, batch_size=analyzer.batch_size, shuffle=analyzer.shuffle, generator=generator
    )


def _epoch(
    analyzer: TorchAnalyzer,
    loader: Any,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    corrections: Sequence[Correction],
) -> tuple[float, int]:
    """Go through the batches once; return the mean loss over their samples, and the steps."""
    analyzer.net.train()  # scoring has switched it off
    device = device_of(analyzer)
    total, seen, steps = 0.0, 0, 0
    for loaded in loader:
        batch = _on(device, loaded)
        number = length(batch)
        optimizer.zero_grad()
        with explained():
            loss = _loss(analyzer, batch, f"epoch {epoch}")
            check_gradient(analyzer, loss)
            whole = loss
            for each in corrections:
                added = each.added_loss()
                whole = whole if added is None else whole + added
            whole.backward()  # type: ignore[no-untyped-call]
        for each in corrections:
            each.change_gradients()
        optimizer.step()
        # the user's own, so that it compares with that of another algorithm
        total += float(loss.detach()) * number
        seen += number
        steps += 1
    if not seen:
        raise _no_batch(epoch)
    return total / seen, steps


def _on(device: torch.device, batch: Any) -> Any:
    """Return a batch where the model is; on the CPU as the loader made it, of whatever types."""
    return batch if device.type == "cpu" else moved(batch, device)


def _loss(analyzer: TorchAnalyzer, batch: Any, when: str) -> torch.Tensor:
    """Return the loss of a batch.

    Raises
    ------
    DataError
        It is NaN or infinite, or cannot be computed as the samples or weights are.
    ModelError
        It is no number.
    """
    # Kept for the error alone: a NaN may come up within the model, from samples without one.
    outputs: list[Any] = []
    hook = analyzer.net.register_forward_hook(lambda _net, _given, output: outputs.append(output))
    try:
        loss: torch.Tensor = analyzer.loss(batch)
    except RuntimeError as error:
        # Some losses, such as binary_cross_entropy, refuse a NaN instead of returning one. Weights
        # that are huge and still finite give one too.
        if all(map(is_finite_batch, [batch, *outputs])) and is_finite(analyzer.net):
            raise
        what = "the samples, the weights or what the model makes of them are"
        raise _not_finite(when, what) from error
    finally:
        hook.remove()
    check_loss(analyzer, loss)
    if not bool(loss.detach().isfinite()):
        raise _not_finite(when, "the loss is")
    return loss


def _no_batch(epoch: int) -> DataError:
    if epoch == 1:
        return DataError("the loader gives no batch: are there fewer samples than in one?")
    return DataError(
        f"the loader gives no batch in epoch {epoch}: one such as a generator is used up after an "
        "epoch. Return a DataLoader from `loader`, which begins anew"
    )


def _not_finite(when: str, what: str) -> DataError:
    return DataError(
        f"{what} not finite (NaN or infinite) in {when}. Look for missing or huge values in the "
        "data, or make learning_rate smaller; nothing of this round has left the node"
    )
