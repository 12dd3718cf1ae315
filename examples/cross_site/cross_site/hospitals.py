"""Four hospitals' files, made of the breast-cancer data that scikit-learn ships.

``python -m cross_site.hospitals OUT_DIR`` writes ``OUT_DIR/hospital-0/train.csv`` and ``test.csv``
and so on; :func:`node_files` gives a simulated node the same bytes without any file. The patients
are real (569 of Wisconsin, 30 measurements of cell nuclei each: Wolberg, Street and Mangasarian
1995). Which hospital they belong to is invented, and so is how its instruments measure.
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from flwr.app import Context
from sklearn.datasets import load_breast_cancer

from cross_site.table import LABEL, TEST, TRAIN
from flame_flwr.errors import ConfigError

__all__ = ["HOSPITALS", "MEASUREMENTS", "SEED", "Hospital", "hospital_files", "main", "node_files"]

SEED = 4649
TEST_SHARE = 0.3

MEASUREMENTS = [
    f"{which}_{what}"
    for which in ("mean", "error", "worst")
    for what in (
        *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
        *("concave_points", "symmetry", "fractal_dimension"),
    )
]
"""The 30 measurements of the data, in its order: mean, standard error, worst of ten properties."""


class Hospital(NamedTuple):
    """What is special about a hospital.

    Parameters
    ----------
    malignant, benign : int
        How many patients it has.
    gain : float
        How far its instruments are apart from others': each measurement is multiplied by a factor
        of its own, ``exp(gain * z)`` with a standard normal *z*.
    noise : float
        How exact they are: the standard deviation of what is added to each value, in standard
        deviations of the measurement.
    """

    malignant: int
    benign: int
    gain: float
    noise: float


HOSPITALS = (
    Hospital(40, 190, 0.3, 0.5),
    Hospital(100, 60, 0.3, 0.5),
    Hospital(52, 62, 0.4, 0.5),
    Hospital(20, 45, 0.3, 0.5),
)
"""A screening centre, a centre that others refer to, a district hospital and a practice."""


def node_files(context: Context) -> dict[str, bytes]:
    """Return the files of the simulated node: the data source ``cross_site.hospitals:node_files``.

    Raises
    ------
    ConfigError
        The node has no partition id, as in a deployment, or there is no such hospital.
    """
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError(
            "cross_site.hospitals:node_files needs a partition-id in the node config, which only "
            f"simulated nodes have. Set the node's data to the folder with its {TRAIN} and {TEST}."
        )
    if not 0 <= int(partition) < len(HOSPITALS):
        raise ConfigError(
            f"the breast-cancer data is split over {len(HOSPITALS)} hospitals, and a node has the "
            f'number {partition}: say --federation-config "num-supernodes={len(HOSPITALS)}"'
        )
    return hospital_files(int(partition))


def hospital_files(partition: int, seed: int = SEED) -> dict[str, bytes]:
    """Return one hospital's two CSV files; the same bytes for the same arguments.

    Parameters
    ----------
    partition : int
        Which of :data:`HOSPITALS`.
    seed : int
        Of the draw.

    Returns
    -------
    dict of str to bytes
        ``train.csv`` and ``test.csv``: :data:`MEASUREMENTS`, then ``label``, 1 for malignant and 0
        for benign. 30 % of each class are in the test file.
    """
    return dict(_files(partition, seed))


@lru_cache(maxsize=8)
def _files(partition: int, seed: int) -> tuple[tuple[str, bytes], ...]:
    source = load_breast_cancer()
    sick = 1 - source.target  # scikit-learn's 0 is malignant
    ours = HOSPITALS[partition]
    rng = np.random.default_rng([seed, 1 + partition])
    factors = np.exp(ours.gain * rng.standard_normal(source.data.shape[1]))
    test: list[npt.NDArray[np.int64]] = []
    train: list[npt.NDArray[np.int64]] = []
    for label in (1, 0):
        rows = rng.permutation(_rows(sick, label, partition, seed))
        cut = int(TEST_SHARE * len(rows))
        test.append(rows[:cut])
        train.append(rows[cut:])
    written = []
    for name, chosen in ((TRAIN, train), (TEST, test)):
        rows = np.sort(np.concatenate(chosen))
        noise = ours.noise * source.data.std(axis=0)
        values = source.data[rows] * factors
        values = np.abs(values + noise * rng.standard_normal(values.shape))  # no negative areas
        table = pd.DataFrame(values, columns=MEASUREMENTS)
        table[LABEL] = sick[rows]
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        written.append((name, text.encode()))
    return tuple(written)


def _rows(
    sick: npt.NDArray[np.int64], label: int, partition: int, seed: int
) -> npt.NDArray[np.int64]:
    """Return the rows of one class that are this hospital's: every patient is at one hospital."""
    rows = np.random.default_rng([seed, 0, label]).permutation(np.flatnonzero(sick == label))
    sizes = [hospital.malignant if label else hospital.benign for hospital in HOSPITALS]
    first = sum(sizes[:partition])
    return rows[first : first + sizes[partition]]


def main(arguments: list[str] | None = None) -> None:
    """Write ``OUT_DIR/hospital-0/train.csv``, ``OUT_DIR/hospital-0/test.csv`` and so on."""
    parser = argparse.ArgumentParser(prog="python -m cross_site.hospitals", description=__doc__)
    parser.add_argument("out_dir", type=Path)
    options = parser.parse_args(arguments)
    for partition, hospital in enumerate(HOSPITALS):
        folder = options.out_dir / f"hospital-{partition}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in hospital_files(partition).items():
            (folder / name).write_bytes(content)
        patients = hospital.malignant + hospital.benign
        print(f"{folder}: {patients} patients, {hospital.malignant} of them malignant")


if __name__ == "__main__":
    main()
