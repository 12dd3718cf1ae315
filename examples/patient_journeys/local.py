"""Stage A of the tutorial: the whole pipeline on one centre's files, without any federation.

``python local.py`` takes the first synthetic centre, ``python local.py FOLDER`` a folder with
``patients.csv`` and ``observations.csv``, such as `tanat-synthea` writes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch

from flame_flwr.errors import DataError
from patient_journeys.analysis import TOP_K, mlp
from patient_journeys.events import (
    AXIS,
    OBSERVATIONS,
    PATIENTS,
    code_counts,
    observation_data,
    read_journeys,
    static_data,
    temporal_tensor,
    top_codes,
)
from patient_journeys.synthetic import centre_files

EPOCHS = 10


def main(arguments: list[str] | None = None) -> None:
    """Read, count, make the tensor, and train the network on it for ten epochs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    folder = parser.parse_args(arguments).folder
    try:
        _show(_files(folder) if folder else centre_files(0))
    except DataError as error:
        sys.exit(f"error: {error.message}")


def _files(folder: Path) -> dict[str, bytes]:
    """Return a folder's two files.

    Raises
    ------
    DataError
        One cannot be read.
    """
    try:
        return {name: (folder / name).read_bytes() for name in (PATIENTS, OBSERVATIONS)}
    except OSError as error:
        raise DataError(
            f"{error.filename} cannot be read ({error.strerror}): name a folder with {PATIENTS} "
            f"and {OBSERVATIONS}."
        ) from None


def _show(files: dict[str, bytes]) -> None:
    """Print every step's outcome for one centre's files."""
    print("Static data :", static_data([files]).shape)
    print("Observations :", observation_data([files]).shape)

    journeys = read_journeys([files])
    print(journeys.events.head(3))
    counts = code_counts(journeys, min_patients=1)
    codes = top_codes(counts, TOP_K)
    kept = sum(counts[code] for code in codes)
    print(f"Retaining {len(codes)} codes out of {len(counts)}")
    print("Top codes:", codes[:5], "...")
    print(f"{kept:,} / {len(journeys.events):,} events ({kept / len(journeys.events):.1%})")

    tensor = temporal_tensor(journeys, codes)
    n = len(tensor)
    print(f"Tensor shape : {tensor.shape}: patients, bins of {AXIS.days} days, codes")
    print(f"Sparsity : {(tensor == 0).mean():.1%} empty cells")
    print(f"Patients with events : {int((tensor.sum(axis=(1, 2)) != 0).sum())} / {n}")

    x, y = torch.tensor(tensor.mean(axis=1)), torch.tensor(journeys.male)
    print(f"X shape : {tuple(x.shape)}, y shape : {tuple(y.shape)}")
    print(f"Class balance : {y.mean():.0%} positive")
    train(x, y)


def train(x: torch.Tensor, y: torch.Tensor) -> list[float]:
    """Train the network, one step per epoch, and print the losses."""
    torch.manual_seed(0)
    model = mlp(x.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for epoch in range(1, EPOCHS + 1):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        print(f"Epoch {epoch:2d} loss={loss.item():.4f}")
    return losses


if __name__ == "__main__":
    main()
