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
    age = random.normal(62 + 3 * (hospital % 3), 11, patients).clip(18, 95).round()
    sex = random.choice(["f", "m"], patients)
    stage = random.choice([1, 2, 3], patients, p=[0.4, 0.35, 0.25])
    risk = 0.05 * (age - 65) + 0.4 * (sex == "m") + 0.7 * (stage == 3) - 0.6
    days = np.ceil(random.exponential(300 * np.exp(-risk)))
    died = (random.uniform(size=patients) < 1 / (1 + np.exp(-risk))).astype(int)
    table = pd.DataFrame({"age": age, "sex": sex, "stage": stage, "days": days, "died": died})
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
