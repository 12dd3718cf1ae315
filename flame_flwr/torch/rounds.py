"""One round at a node: set up the model, score it, train it, and answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.buffer_names import BUFFERS
from flame_flwr.torch.checks import check_model
from flame_flwr.torch.corrections import corrections_for
from flame_flwr.torch.devices import device_of
from flame_flwr.torch.samples import as_dataset
from flame_flwr.torch.seeding import seeded
from flame_flwr.torch.training import mean_scores, train
from flame_flwr.torch.weights import arrays_of, buffers_of, check_state, load_into, pytorch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.torch.analyzer import TorchAnalyzer
    from flame_flwr.torch.weights import Weights

__all__ = ["net_with", "train_round"]


def train_round(analyzer: TorchAnalyzer, data: Any, aggregate: Any) -> dict[str, Any]:
    """Train from the aggregate's weights, and return what the node sends.

    Parameters
    ----------
    analyzer : TorchAnalyzer
        The node's.
    data : Any
        The node's data.
    aggregate : Any
        The last one.
    """
    weights = None if aggregate is None else aggregate.get("model")
    given, held_back = analyzer.dataset(data), analyzer._held_back(data)
    with net_with(analyzer, weights):
        net = analyzer.net
        samples = as_dataset(given, "dataset", net)
        # before training: these scores are of the model as it was received
        tested: dict[str, float] = {}
        if held_back is not None:
            tested = mean_scores(analyzer, as_dataset(held_back, "test_dataset", net))
        elif analyzer.test_dataset is not None:
            tested = {"n": 0}  # this node counts for no score of test data
        corrections = corrections_for(analyzer, aggregate)
        loss, analyzer._kept, steps = train(analyzer, samples, analyzer._kept, corrections)
        scores = {**mean_scores(analyzer, samples), "loss": loss}
        numbers = {name: value for name, value in scores.items() if name != "n"}
        numbers |= {f"test_{name}": value for name, value in tested.items() if name != "n"}
        rows = len(samples)  # type: ignore[arg-type]
        answer = {"model": arrays_of(net), "local_n_samples": rows}
        buffers = buffers_of(net)
        answer |= {"n_test": tested["n"]} if tested else {}
        answer |= {BUFFERS: buffers} if buffers else {}
        for each in corrections:
            answer |= each.answer(steps, rows)
    # when the common model is done with: Ditto sets up a net of its own
    numbers |= analyzer._beside(given, held_back, weights)
    analyzer.flame.report_metrics(numbers)
    return {**answer, **numbers}


@contextmanager
def net_with(analyzer: TorchAnalyzer, weights: Weights | None) -> Iterator[None]:
    """Set up the model with these weights, the round's seed, device and chosen threads."""
    torch = pytorch()
    before = torch.get_num_threads()
    torch.set_num_threads(analyzer.threads or before)
    try:
        analyzer.net = analyzer.model()
        check_model(analyzer, analyzer.net)
        check_state(analyzer.net)
        analyzer.net.to(device_of(analyzer))
        if weights is not None:
            load_into(analyzer.net, weights)
        with seeded(analyzer.seed + analyzer.num_iterations + 1):
            yield
    finally:
        torch.set_num_threads(before)
        analyzer.__dict__.pop("net", None)  # it is made anew: nothing of it is kept between rounds
