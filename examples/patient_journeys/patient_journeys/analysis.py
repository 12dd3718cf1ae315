"""The tutorial's training on a centre's journeys, and what the server makes of it.

In the first round the centres agree on the codes; ten rounds of federated averaging follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation import MaxRounds, MergeCounts, PerNode, WeightedMean
from flame_flwr.errors import DataError, ModelError
from flame_flwr.strategies import ReduceStrategy
from flame_flwr.torch import TorchAnalyzer, safetensors_bytes, state_dict_bytes
from patient_journeys.events import (
    AXIS,
    OBSERVATIONS,
    Axis,
    Journeys,
    code_counts,
    cohort_lines,
    read_journeys,
    temporal_tensor,
    top_codes,
)

if TYPE_CHECKING:
    import torch

__all__ = ["MIN_PATIENTS", "ROUNDS", "TOP_K", "JourneyAnalyzer", "JourneyStrategy"]
__all__ += ["both_sexes", "held_out", "mlp"]

TOP_K = 30
MIN_PATIENTS = 5
ROUNDS = 10
TEST_SHARE = 0.25
SPLIT_SEED = 42

Values = npt.NDArray[np.float32]


class JourneyAnalyzer(TorchAnalyzer):
    """Learns to tell a patient's sex from what was observed of them, and when.

    Parameters
    ----------
    flame : object
        The framework's handle.
    axis : Axis
        The bins of time.
    min_patients : int
        A code that fewer of this centre's patients have is not named to the server.
    test_share : float
        The share of each sex that is kept for testing; 0 trains with everybody.
    epochs, batch_size, learning_rate, seed
        As for :class:`flame_flwr.torch.TorchAnalyzer`.
    """

    epochs = 5
    batch_size = 16
    learning_rate = 1e-3

    def __init__(
        self,
        flame: Any,
        axis: Axis = AXIS,
        min_patients: int = MIN_PATIENTS,
        test_share: float = TEST_SHARE,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            flame, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed
        )
        if not _is(min_patients, Integral, 1) or not _is(test_share, Real, 0) or test_share >= 1:
            raise ModelError(
                "min_patients is a whole number, 1 or more, and test_share one from 0 to below 1; "
                f"not {min_patients!r} and {test_share!r}"
            )
        self.axis = axis
        self.min_patients = min_patients
        self.test_share = test_share

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Name the centre's codes in the first round, then train.

        Raises
        ------
        flame_flwr.errors.DataError
            The files are not what the study needs, or the loss is not finite.
        """
        if aggregator_results is None:
            journeys = read_journeys(data, self.axis)
            both_sexes(journeys.male)
            return {"codes": code_counts(journeys, self.min_patients)}
        if "model" not in aggregator_results:  # the codes have just been agreed on
            journeys = read_journeys(data, self.axis)
            lines = cohort_lines(journeys, aggregator_results["codes"], self.axis)
            self.flame.flame_log("; ".join(lines))
        return super().analysis_method(data, aggregator_results)

    def model(self) -> torch.nn.Module:
        """Return the tutorial's network, with one input per code that was agreed on."""
        return mlp(len(self.latest_result["codes"]))

    def dataset(self, data: Any) -> tuple[Values, Values]:
        """Return features and target of the patients to train with."""
        return self._samples(data, kept=False)

    def test_dataset(self, data: Any) -> tuple[Values, Values] | None:
        """Return those of the patients that are kept for testing; ``None`` where there are none."""
        features, target = self._samples(data, kept=True)
        return (features, target) if len(target) else None

    def loss(self, batch: Any) -> torch.Tensor:
        """Return the binary cross-entropy."""
        from torch.nn.functional import binary_cross_entropy

        features, target = batch
        probability: torch.Tensor = self.net(features)
        loss: torch.Tensor = binary_cross_entropy(probability, target)
        return loss

    def score(self, batch: Any) -> dict[str, float]:
        """Return the share of patients whose sex is told rightly."""
        features, target = batch
        return {"accuracy": float(((self.net(features) >= 0.5) == target).double().mean())}

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Score the last model on the patients that were kept from training, where some were."""
        samples = self.test_dataset(data)
        return {"n": 0} if samples is None else self.evaluate(result["model"], samples)

    def _samples(self, data: Any, *, kept: bool) -> tuple[Values, Values]:
        journeys = read_journeys(data, self.axis)
        features, target = self.features(journeys), journeys.male
        chosen = held_out(target, self.test_share, SPLIT_SEED) == kept
        return features[chosen], target[chosen]

    def features(self, journeys: Journeys) -> Values:
        """Return the mean over time of each patient's tensor, shape (patients, codes).

        Raises
        ------
        flame_flwr.errors.DataError
            All of it is zero: nothing can be learned from that.
        """
        tensor = temporal_tensor(journeys, self.latest_result["codes"], self.axis)
        if not tensor.any():
            raise DataError(
                "This centre has none of the codes that were agreed on, so it would train on "
                f"zeros: look whether CODE in {OBSERVATIONS} is of the same code system as the "
                "other centres', or leave this centre out."
            )
        mean: Values = tensor.mean(axis=1)
        return mean


class JourneyStrategy(ReduceStrategy):
    """Agrees on the codes first, then averages the networks, weighted by patients.

    The aggregate, which the centres get, holds ``codes``, and from the second round on ``model``.
    What the centres say of their training stays on the server.

    Parameters
    ----------
    rounds : int
        Of training.
    top_k : int
        So many codes.
    """

    first = {"codes": MergeCounts()}
    reductions = {
        "model": WeightedMean("local_n_samples"),
        **{
            name: PerNode(missing="skip")
            for name in ("local_n_samples", "loss", "accuracy")
            + ("n_test", "test_loss", "test_accuracy")
        },
    }

    counts: dict[str, int]
    training: list[dict[str, Any]]

    def __init__(self, rounds: int = ROUNDS, top_k: int = TOP_K) -> None:
        from patient_journeys.report import codes_csv, draw_training, rounds_csv

        self.top_k = top_k
        super().__init__(
            convergence=MaxRounds(rounds + 1),
            outputs=[
                ("model.pt", "bytes", lambda final: state_dict_bytes(final["model"])),
                ("model.safetensors", "bytes", _safetensors),
                ("codes.csv", "str", codes_csv),
                ("rounds.csv", "str", rounds_csv),
                ("training.png", "bytes", draw_training),
            ],
        )

    def update(self, merged: Any, last: Any) -> dict[str, Any]:
        """Choose the codes after the first round; afterwards keep what the centres report."""
        if last is None:
            return self._agree(merged["codes"])
        said = {name: value for name, value in merged.items() if name not in ("model", "codes")}
        self.training = [*self.training, said]
        losses, weights = said["loss"], said["local_n_samples"]
        mean = sum(losses[node] * weights[node] for node in losses) / sum(weights.values())
        accuracies = ", ".join(f"{node} {value:.0%}" for node, value in said["accuracy"].items())
        self.flame.flame_log(
            f"training round {len(self.training):2d}: avg loss = {mean:.4f}, right: {accuracies}"
        )
        return {"codes": last["codes"], "model": merged["model"]}

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Hand over what the files are made of."""
        for node, scores in evaluations.items():
            if scores.get("n"):
                self.flame.flame_log(
                    f"{node}: the last model is right for {scores['accuracy']:.0%} of "
                    f"{scores['n']:.0f} patients that were kept from training"
                )
        return {
            **aggregate,
            "counts": self.counts,
            "training": self.training,
            "evaluations": dict(evaluations),
        }

    def _agree(self, counts: dict[str, int]) -> dict[str, Any]:
        if not counts:
            raise DataError(
                "no centre has a code that enough of its patients have: lower min_patients, or "
                "look whether the observation tables are complete"
            )
        codes = top_codes(counts, self.top_k)
        self.counts = {code: counts[code] for code in codes}
        self.training = []
        self.flame.flame_log(
            f"{len(codes)} codes agreed on, of {len(counts)} that the centres named"
        )
        return {"codes": codes}


def mlp(in_features: int) -> torch.nn.Module:
    """Return the tutorial's network: 32 hidden units, and a probability per patient."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(in_features, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid(), nn.Flatten(0)
    )


def held_out(target: Values, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose the patients that are kept for testing: the same share of each sex, rounded down.

    With a quarter, none is kept of a sex with fewer than four patients.

    Parameters
    ----------
    target : ndarray of float32, shape (patients,)
        0 or 1.
    share : float
        From 0 to below 1.
    seed : int
        The same patients are chosen for the same target and seed.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(target), dtype=np.bool_)
    for value in (0, 1):
        rows = rng.permutation(np.flatnonzero(target == value))
        chosen[rows[: int(len(rows) * share)]] = True
    return chosen


def both_sexes(male: Values) -> None:
    """Refuse a target with one value only.

    Parameters
    ----------
    male : ndarray of float32, shape (patients,)
        0 or 1.

    Raises
    ------
    flame_flwr.errors.DataError
        All patients have the same sex.
    """
    if male.min() == male.max():
        raise DataError(
            "all of this centre's patients have the same sex, so nothing can be learned from them "
            "of telling one from the other. Leave the centre out."
        )


def _is(value: Any, kind: Any, least: int) -> bool:
    return isinstance(value, kind) and bool(value >= least)


def _safetensors(final: Any) -> bytes:
    return safetensors_bytes(final["model"], {"codes": json.dumps(final["codes"])})
