"""Three hospitals' files, made of the ``rossi`` data that lifelines ships.

``python -m fedstats.hospitals OUT_DIR`` writes ``OUT_DIR/hospital-0/survival.csv`` and so on;
:func:`node_files` gives a simulated node the same bytes without any file. The data are real but no
patients: 432 men released from prison, weeks until a new arrest (Rossi, Berk and Lenihan 1980).
Which hospital somebody belongs to is invented here, by a seeded draw.
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.app import Context

from fedstats.survival import FILE, LIFELINES
from flame_flwr.errors import ConfigError

__all__ = ["SEED", "SIZES", "hospital_csv", "main", "node_files", "rossi"]

SEED = 2024
SIZES = (200, 140, 92)


def node_files(context: Context) -> dict[str, bytes]:
    """Return the file of the simulated node: the data source ``fedstats.hospitals:node_files``.

    Raises
    ------
    ConfigError
        The node has no partition id, as in a deployment, or there is no such hospital.
    """
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError(
            "fedstats.hospitals:node_files needs a partition-id in the node config, which only "
            f"simulated nodes have. Set the node's data to the folder with its {FILE}."
        )
    if not 0 <= int(partition) < len(SIZES):
        raise ConfigError(
            f"the rossi data is split over {len(SIZES)} hospitals, and a node has the number "
            f'{partition}: say --federation-config "num-supernodes={len(SIZES)}"'
        )
    return {FILE: hospital_csv(int(partition))}


def hospital_csv(partition: int, seed: int = SEED) -> bytes:
    """Return one hospital's CSV file; the same bytes for the same arguments."""
    order = np.random.default_rng(seed).permutation(sum(SIZES))
    first = sum(SIZES[:partition])
    rows = np.sort(order[first : first + SIZES[partition]])
    # Windows would end lines in another way: the same bytes everywhere
    return rossi().iloc[rows].to_csv(index=False, lineterminator="\n").encode()


@lru_cache(maxsize=1)
def rossi() -> pd.DataFrame:
    """Return the data in one place: 432 rows, 114 of them with an arrest.

    Raises
    ------
    ConfigError
        lifelines is not installed.
    """
    try:
        from lifelines.datasets import load_rossi  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(LIFELINES, detail=str(error)) from error
    table: pd.DataFrame = load_rossi()
    return table


def main(arguments: list[str] | None = None) -> None:
    """Write ``OUT_DIR/hospital-0/survival.csv`` and so on."""
    parser = argparse.ArgumentParser(prog="python -m fedstats.hospitals", description=__doc__)
    parser.add_argument("out_dir", type=Path)
    options = parser.parse_args(arguments)
    for partition, size in enumerate(SIZES):
        folder = options.out_dir / f"hospital-{partition}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(hospital_csv(partition))
        print(f"{folder / FILE}: {size} patients")


if __name__ == "__main__":
    main()
