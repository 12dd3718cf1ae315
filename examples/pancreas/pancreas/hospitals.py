"""Three hospitals' files, made of the breast-cancer data that scikit-learn ships.

``python -m pancreas.hospitals OUT_DIR`` writes ``OUT_DIR/hospital-0/pancreasData.csv`` and so on;
:func:`node_files` gives a simulated node the same bytes without any file. The patients are real
(569 of Wisconsin, 30 measurements of cell nuclei each: Wolberg, Street and Mangasarian 1995); which
hospital they belong to is invented here, by a seeded draw. There is no pancreas in it: the name is
the tutorial's.
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from flwr.app import Context
from sklearn.datasets import load_breast_cancer

from flame_flwr.errors import ConfigError
from pancreas.table import FILE

__all__ = ["HOSPITALS", "MEASUREMENTS", "SEED", "Hospital", "hospital_csv", "main", "node_files"]

SEED = 2024

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
    """How many patients a hospital has.

    Parameters
    ----------
    malignant, benign : int
    """

    malignant: int
    benign: int


HOSPITALS = (Hospital(150, 150), Hospital(45, 135), Hospital(17, 72))
"""A centre that others refer to, a district hospital, a practice: 300, 180 and 89 patients."""


def node_files(context: Context) -> dict[str, bytes]:
    """Return the file of the simulated node: the data source ``pancreas.hospitals:node_files``.

    Raises
    ------
    ConfigError
        The node has no partition id, as in a deployment, or there is no such hospital.
    """
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError(
            "pancreas.hospitals:node_files needs a partition-id in the node config, which only "
            f"simulated nodes have. Set the node's data to the folder with its {FILE}."
        )
    if not 0 <= int(partition) < len(HOSPITALS):
        raise ConfigError(
            f"the breast-cancer data is split over {len(HOSPITALS)} hospitals, and a node has the "
            f'number {partition}: say --federation-config "num-supernodes={len(HOSPITALS)}"'
        )
    return {FILE: hospital_csv(int(partition))}


@lru_cache(maxsize=8)
def hospital_csv(
    partition: int, hospitals: tuple[Hospital, ...] = HOSPITALS, seed: int = SEED
) -> bytes:
    """Return one hospital's CSV file; the same bytes for the same arguments.

    Parameters
    ----------
    partition : int
        Which of the hospitals.
    hospitals : tuple of Hospital
        Their sizes, which add up to at most 212 malignant and 357 benign patients.
    seed : int
        Of the draw.

    Returns
    -------
    bytes
        :data:`MEASUREMENTS`, then ``disease``: 1 for malignant, 0 for benign.
    """
    source = load_breast_cancer()
    disease = 1 - source.target  # scikit-learn's 0 is malignant
    rng = np.random.default_rng(seed)
    malignant = rng.permutation(np.flatnonzero(disease == 1))
    benign = rng.permutation(np.flatnonzero(disease == 0))
    before = hospitals[:partition]
    ours = hospitals[partition]
    first_malignant = sum(hospital.malignant for hospital in before)
    first_benign = sum(hospital.benign for hospital in before)
    rows = np.sort(
        np.concatenate(
            [
                malignant[first_malignant : first_malignant + ours.malignant],
                benign[first_benign : first_benign + ours.benign],
            ]
        )
    )
    table = pd.DataFrame(source.data[rows], columns=MEASUREMENTS)
    table["disease"] = disease[rows]
    return table.to_csv(index=False, lineterminator="\n").encode()


def main(arguments: list[str] | None = None) -> None:
    """Write ``OUT_DIR/hospital-0/pancreasData.csv`` and so on."""
    parser = argparse.ArgumentParser(prog="python -m pancreas.hospitals", description=__doc__)
    parser.add_argument("out_dir", type=Path)
    options = parser.parse_args(arguments)
    for partition, hospital in enumerate(HOSPITALS):
        folder = options.out_dir / f"hospital-{partition}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(hospital_csv(partition))
        print(f"{folder / FILE}: {sum(hospital)} patients, {hospital.malignant} of them malignant")


if __name__ == "__main__":
    main()
