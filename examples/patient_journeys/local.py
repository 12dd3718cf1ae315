"""Stage A of the tutorial: the whole pipeline on one centre's files, without any federation.

``python local.py`` takes the first synthetic centre, ``python local.py FOLDER`` a folder with
``patients.csv`` and ``observations.csv``, such as `tanat-synthea` writes. ``--tanat`` does
the steps between with TanaT itself, where it is installed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch

from flame_flwr.errors import DataError, FlameError
from patient_journeys.analysis import TOP_K, mlp
from patient_journeys.events import (
    OBSERVATIONS,
    PATIENTS,
    code_counts,
    cohort_lines,
    observation_data,
    read_journeys,
    static_data,
    temporal_tensor,
    top_codes,
)
from patient_journeys.stage_a import by_tanat
from patient_journeys.synthetic import centre_files

EPOCHS = 10


def main(arguments: list[str] | None = None) -> None:
    """Read, count, make the tensor, and train the network on it for ten epochs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--tanat", action="store_true", help="with TanaT: pip install '.[tanat]'")
    asked = parser.parse_args(arguments)
    try:
        files = _files(asked.folder) if asked.folder else centre_files(0)
        if asked.tanat:
            x, y = by_tanat(files)
            train(torch.tensor(x), torch.tensor(y))
        else:
            _show(files)
    except FlameError as error:
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
    print(f"Retaining {len(codes)} codes out of {len(counts)}")
    print("Top codes:", codes[:5], "...")
    for line in cohort_lines(journeys, codes):
        print(line)

    x = torch.tensor(temporal_tensor(journeys, codes).mean(axis=1))
    y = torch.tensor(journeys.male)
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
