"""The tutorial's Stage A by TanaT itself, on one centre: its pool, its filter, its tensor.

TanaT's time axis begins with the centre's own first event, so its means are over another number of
bins at each centre: for training together, :mod:`patient_journeys.events` has one axis for all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flame_flwr.errors import ModelError
from patient_journeys.analysis import TOP_K
from patient_journeys.events import AXIS, observation_data, static_data

__all__ = ["by_tanat"]

Values = npt.NDArray[np.float32]


def by_tanat(files: Mapping[str, bytes]) -> tuple[Values, Values]:
    """Build TanaT's pool of a centre's events, print what it says of it, and return X and y.

    Parameters
    ----------
    files : dict of str to bytes
        ``patients.csv`` and ``observations.csv``.

    Returns
    -------
    x : ndarray of float32, shape (patients, codes)
        The mean over the bins of time.
    y : ndarray of float32, shape (patients,)
        1 for male.

    Raises
    ------
    flame_flwr.errors.ModelError
        TanaT is not installed.
    """
    try:
        import tanat
        from tanat.criterion import EntityCriterion
        from tanat.sequence.shortcuts import build_events
    except ImportError as error:
        raise ModelError("--tanat needs TanaT: pip install '.[tanat]'") from error
    patients = static_data([files])
    dates = pl.col("DATE").str.to_datetime(time_zone="UTC")
    with tempfile.TemporaryDirectory() as folder:
        tanat.set_workspace(folder)  # its own is in the home folder, and stays
        pool = build_events(
            observation_data([files]).with_columns(dates),
            id_column="PATIENT",
            time_column="DATE",
            static_data=patients,
            store_name="observations",
        )
        print(pool)
        counts = pool.temporal_data().groupby("CODE").size().sort_values(ascending=False)
        codes = counts.head(TOP_K).index.tolist()
        print(f"Retaining {len(codes)} codes out of {len(counts)}")
        pool.filter_entities(EntityCriterion(query=pl.col("CODE").is_in(codes)), inplace=True)
        pool.cast_features({"CODE": pl.Categorical})
        tensor, ids, _ = pool.to_tensor(
            features="CODE", bin_size=f"{AXIS.days}D", fill_value=0, ohe=True
        )
    _show(tensor)
    sex = dict(patients.select("PATIENT", "GENDER").iter_rows())
    male = np.array([sex[patient] == "M" for patient in ids], np.float32)
    return tensor.mean(axis=1).astype(np.float32), male


def _show(tensor: npt.NDArray[Any]) -> None:
    patients, bins, codes = tensor.shape
    print(f"Tensor shape : {tensor.shape}")
    print(f"Patients : {patients}")
    print(f"Time bins : {bins}")
    print(f"Features : {codes}")
    print(f"Sparsity : {(tensor == 0).mean():.1%} empty bins")
    print(f"Non-zero cells : {(tensor != 0).sum()}")
    print(f"Patients with events : {(tensor.sum(axis=(1, 2)) != 0).sum()} / {patients}")
