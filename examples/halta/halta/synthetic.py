"""Synthetic hospital files for the HALTA study: seeded, documented, never real patients.

``python -m halta.synthetic OUT_DIR [--seed N]`` writes the three hospitals' folders;
:func:`node_files` gives a simulated node the same bytes without any file. How a patient is drawn
stands in :mod:`halta.patients`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from flame_flwr.errors import ConfigError
from halta import schema
from halta.patients import Hospital, draw

__all__ = ["HOSPITALS", "SEED", "hospital", "hospital_files", "main", "node_files"]

SEED = 2024

# A university hospital, a district hospital with old patients, an outpatient clinic.
HOSPITALS: tuple[Hospital, ...] = (
    Hospital(1240, 310, 58, 16, 0.46, 0.44, 0.3, 0.03, 0.12, *schema.SITE_SYMPTOMS[0]),
    Hospital(610, 140, 69, 15, 0.51, 0.53, 0.5, 0.08, 0.22, *schema.SITE_SYMPTOMS[1]),
    Hospital(270, 95, 45, 14, 0.63, 0.36, -0.4, 0.14, 0.30, *schema.SITE_SYMPTOMS[2]),
)


def node_files(context: _HasNodeConfig) -> dict[str, bytes]:
    """Return the files of the simulated node: the data source ``halta.synthetic:node_files``.

    Parameters
    ----------
    context : flwr.app.Context
        Its ``node_config["partition-id"]`` says which hospital the node is.

    Returns
    -------
    dict of str to bytes
        ``hospital_labeled.csv`` and, as a trap, ``unlabeled.csv``.

    Raises
    ------
    ConfigError
        If the node has no partition id, as in a deployment.
    """
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError(
            "halta.synthetic:node_files needs a partition-id in the node config, which only "
            "simulated nodes have. Set the node's data to the folder with its CSV file."
        )
    return dict(hospital_files(int(partition)))


@lru_cache(maxsize=8)
def hospital_files(partition: int, seed: int = SEED) -> Mapping[str, bytes]:
    """Return one hospital's two CSV files; the same bytes for the same arguments.

    Parameters
    ----------
    partition : int
        0, 1 and 2 are :data:`HOSPITALS`; higher numbers are drawn by the same recipe.
    seed : int
        Of the whole study; each hospital has a stream of its own below it.
    """
    site = hospital(partition, seed)
    labeled, waiting = (np.random.default_rng([seed, partition, part]) for part in (0, 1))
    with_label = draw(site, site.patients, partition, 1, labeled)
    without = draw(site, site.waiting, partition, 1 + site.patients, waiting)
    return {
        "hospital_labeled.csv": _csv(with_label),
        "unlabeled.csv": _csv(without.drop(columns="pasc")),
    }


def hospital(partition: int, seed: int = SEED) -> Hospital:
    """Return the description of a hospital, drawing it where ``partition`` is 3 or more."""
    if partition < len(HOSPITALS):
        return HOSPITALS[partition]
    rng = np.random.default_rng([seed, partition, 2])
    symptoms = list(schema.VISIT_SYMPTOMS)
    lacks = tuple(symptoms[i] for i in sorted(rng.choice(len(symptoms), 2, replace=False)))
    patients = int(rng.integers(240, 900))
    return Hospital(
        patients=patients,
        waiting=patients // 4,
        age_mean=float(rng.uniform(46, 68)),
        age_deviation=float(rng.uniform(13, 17)),
        female=float(rng.uniform(0.42, 0.62)),
        label_rate=float(rng.uniform(0.38, 0.54)),
        severe=float(rng.uniform(-0.3, 0.5)),
        missing=float(rng.uniform(0.03, 0.14)),
        lost_to_follow_up=float(rng.uniform(0.1, 0.3)),
        lacks=lacks,
        own={},
    )


def main(arguments: list[str] | None = None) -> None:
    """Write ``OUT_DIR/hospital-0/`` and so on, each with its two CSV files."""
    parser = argparse.ArgumentParser(prog="python -m halta.synthetic", description=__doc__)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    for partition in range(len(HOSPITALS)):
        folder = options.out_dir / f"hospital-{partition}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in hospital_files(partition, options.seed).items():
            (folder / name).write_bytes(content)
        print(f"{folder}: {hospital(partition, options.seed).patients} labeled patients")


class _HasNodeConfig(Protocol):
    @property
    def node_config(self) -> Mapping[str, bool | bytes | float | int | str]: ...


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


if __name__ == "__main__":
    main()
