"""Invented patients, so that the app runs before there is data: ``data`` in ``pyproject.toml``.

``python -m my_analysis.sample FOLDER`` writes them as files, a folder per hospital.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def files(hospital):
    """Return the files of a hospital, 0, 1, 2, ...: names and contents."""
    random = np.random.default_rng(hospital)
    patients = 400 + 200 * (hospital % 4)
    haemoglobin = random.normal(13.5 - 0.4 * (hospital % 3), 1.8, patients).round(1)
    haemoglobin[random.uniform(size=patients) < 0.05] = np.nan
    table = pd.DataFrame({"haemoglobin": haemoglobin})
    return {"laboratory.csv": table.to_csv(index=False).encode()}


def node_files(context):
    """Return the files of a simulated node."""
    return files(int(context.node_config["partition-id"]))


if __name__ == "__main__":
    for hospital in range(2):
        for name, content in files(hospital).items():
            path = Path(sys.argv[1], f"hospital-{hospital}", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            print(path)
