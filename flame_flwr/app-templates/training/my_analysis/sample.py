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
    patients = 200 + 100 * (hospital % 4)
    age = random.normal(50 + 5 * (hospital % 3), 15, patients).clip(18, 95).round()
    crp = random.gamma(2.0, 10.0, patients).round(1)
    temperature = random.normal(37.5, 1.0, patients).round(1)
    risk = 0.6 * (age - 55) / 15 + 1.2 * (crp - 20) / 15 + 0.8 * (temperature - 37.5) - 0.3
    ill = (random.uniform(size=patients) < 1 / (1 + np.exp(-risk))).astype(int)
    table = pd.DataFrame({"age": age, "crp": crp, "temperature": temperature, "ill": ill})
    return {"patients.csv": table.to_csv(index=False).encode()}


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
