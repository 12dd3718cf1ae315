"""``Ditto``: a personal model at every node, drawn to the common one, which never travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError
from flame_flwr.torch.analyzer import TorchAnalyzer
from flame_flwr.torch.checks import check_strength
from flame_flwr.torch.corrections import Proximal, trained
from flame_flwr.torch.rounds import net_with
from flame_flwr.torch.samples import as_dataset
from flame_flwr.torch.training import mean_scores, train
from flame_flwr.torch.weights import arrays_of, pytorch

if TYPE_CHECKING:
    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.torch.weights import Weights

__all__ = ["Ditto"]


class Ditto(TorchAnalyzer):
    """A :class:`TorchAnalyzer` that trains a personal model beside the common one.

    In every round it trains the common model as the base does, which is merged over the nodes. Then
    it trains its own one, from where that was, drawn to the common model that it was sent. The
    personal model stays at the node: it is kept there when the run ends, and only its scores leave.
    An analyzer that is there gets one as ``class Personal(Ditto, Mine)``.

    Parameters
    ----------
    flame : FlameHandle
        The framework's handle.
    lam : float
        How strongly the personal model is drawn to the common one; 1. With 0 it is the node's own
        model, trained on its samples alone; the larger, the closer to the common one. With plain
        gradient steps, times the learning rate, it must be below 2.
    **more
        As for :class:`TorchAnalyzer`.

    Attributes
    ----------
    personal : dict or None
        The personal model: arrays by the names of the ``state_dict``.
    personal_tag : str
        The tag under which it is kept: ``self.flame.get_local_tags()`` lists it, and
        ``self.flame.get_intermediate_data("local", tag="personal-model", tag_option="last")`` of a
        later analysis of the project gets it.

    Notes
    -----
    Li et al., "Ditto: Fair and Robust Federated Learning Through Personalization", ICML 2021,
    algorithm 1: a node's objective is ``F(v) + lam / 2 * ||v - w||**2``, with as many epochs for
    ``v`` as for the common model.

    Rounds return ``personal_loss`` and others, of the personal model after training on the node's
    samples, and with a :meth:`test_dataset` ``test_personal_loss`` and others on that. The
    evaluation scores both final models on these samples: ``common_loss``, ``personal_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.star import StarModelTester
    >>> from flame_flwr.strategies import WeightedFedAvg
    >>> class Line(Ditto):
    ...     epochs, learning_rate, lam = 20, 0.1, 0.01
    ...
    ...     def model(self):
    ...         return torch.nn.Linear(1, 1)
    ...
    ...     def dataset(self, data):
    ...         slope, points = data
    ...         return points, slope * points
    ...
    ...     def loss(self, batch):
    ...         x, y = batch
    ...         return torch.nn.functional.mse_loss(self.net(x), y)
    >>> points = np.linspace(-1, 1, 32)[:, None]
    >>> strategy = WeightedFedAvg(convergence=MaxRounds(5))
    >>> tester = StarModelTester([(2, points), (6, points)], Line, strategy, "s3", quiet=True)
    >>> tester.result["model"]["weight"].round()
    array([[4.]], dtype=float32)
    >>> scores = tester.evaluations["node-1"]
    >>> scores["personal_loss"] < 0.01 < scores["common_loss"]
    True
    """

    lam: float = 1.0
    personal_tag: str = "personal-model"

    def __init__(self, flame: FlameHandle, *, lam: float | None = None, **more: Any) -> None:
        super().__init__(flame, **more)
        if lam is not None:
            self.lam = lam
        check_strength(self, "lam")
        self.personal: dict[str, Any] | None = None
        self._kept_beside: dict[str, Any] | None = None

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Score the final common model and the personal one, and keep the personal one here.

        Returns
        -------
        dict of str to float
            ``n``, how many samples: those of :meth:`test_dataset` where there is one, else of
            :meth:`dataset`; ``common_...`` and ``personal_...`` of loss and scores.
        """
        held_back = self.test_dataset(data)
        samples = self.dataset(data) if held_back is None else held_back
        scores: dict[str, float] = {}
        for called, model in {"common": result["model"], "personal": self.personal}.items():
            if model is not None:  # a node that missed every round has no personal one
                found = self.evaluate(model, samples)
                scores["n"] = found.pop("n")
                scores |= {f"{called}_{name}": value for name, value in found.items()}
        if self.personal is not None:
            self._keep(self.personal)
        return scores

    def _beside(self, given: Any, held_back: Any, received: Weights | None) -> dict[str, float]:
        """Train the personal model, and score it."""
        with net_with(self, received if self.personal is None else self.personal):
            drawn = [Proximal(self.net, self.lam, self._common(received))] if self.lam else []
            samples = as_dataset(given, "dataset", self.net)
            loss, self._kept_beside, _ = train(self, samples, self._kept_beside, drawn)
            found = {"personal": {**mean_scores(self, samples), "loss": loss}}
            if held_back is not None:
                tested = as_dataset(held_back, "test_dataset", self.net)
                found["test_personal"] = mean_scores(self, tested)
            self.personal = arrays_of(self.net)
        return {
            f"{called}_{name}": value
            for called, scores in found.items()
            for name, value in scores.items()
            if name != "n"
        }

    def _common(self, received: Weights | None) -> list[Any] | None:
        """Return what of the common model is trained, as tensors; ``None``: what was drawn."""
        if received is None:
            return None
        weights = trained(self.net).items()
        return [pytorch().as_tensor(received[name]).to(each) for name, each in weights]

    def _keep(self, model: dict[str, Any]) -> None:
        try:
            self.flame.save_intermediate_data(model, "local", tag=self.personal_tag)
        except ConfigError as error:
            self.flame.flame_log(
                f"the personal model is not kept after this run: {error.message}",
                log_type="warning",
            )
