"""One hospital's ``survival.csv``, and the Cox regression on it.

A message tells names of columns that the analysis asks for, and numbers of cells, never a value;
what was found stands in the error's detail, which stays at the hospital.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import TypedDict

import numpy as np
import pandas as pd

from fedstats.meta import Values
from flame_flwr.errors import ConfigError, DataError

__all__ = [
    "EVENTS_PER_COVARIATE",
    "FILE",
    "LIFELINES",
    "Columns",
    "CoxFit",
    "fit_cox",
    "load_table",
]

FILE = "survival.csv"

EVENTS_PER_COVARIATE = 5
"""Below it a Cox regression's intervals are too often wrong: Vittinghoff and McCulloch (2007),
Relaxing the rule of ten events per variable, American Journal of Epidemiology 165, 710-718."""

LIFELINES = "this example needs lifelines: pip install 'lifelines==0.30.0'"


class Columns(TypedDict):
    """Which columns the analysis asks for; see :func:`load_table`."""

    duration: str
    event: str
    covariates: list[str]


class CoxFit(TypedDict):
    """What a hospital tells: all that leaves it.

    ``log_hr`` and ``error`` are log hazard ratios and their standard errors, ndarrays of shape
    (n_covariates,) in the order of ``covariates``.
    """

    patients: int
    events: int
    covariates: list[str]
    log_hr: Values
    error: Values


def load_table(
    data: Iterable[Mapping[str, bytes]] | None,
    duration: str,
    event: str,
    covariates: Sequence[str],
) -> pd.DataFrame:
    """Find the file in a node's data, read it and check the columns that are asked for.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        What a STAR analyzer gets: one dict of files per data source.
    duration : str
        Column with the time observed, above 0.
    event : str
        Column that says how it ended: 1 with the event, 0 without.
    covariates : sequence of str
        Columns with numbers.

    Returns
    -------
    pandas.DataFrame
        Those columns, as float64.

    Raises
    ------
    DataError
        The file is missing or there twice, is no table, lacks a column, holds cells that are no
        finite number, times that are not above 0, other events than 0 and 1, too few events, or a
        covariate that never varies.
    """
    frame = _read(_file(data))
    names = [duration, event, *covariates]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(
            f"{FILE} lacks {', '.join(map(repr, missing))} among its {frame.shape[1]} columns. Is "
            "the file separated by commas, and is its first line the column names?",
            detail=f"columns: {list(frame.columns)}",
        )
    table = pd.DataFrame({name: _numbers(frame[name]) for name in names})
    late = (table[duration] <= 0).to_numpy()
    if late.any():
        raise DataError(
            f"{_cells(late)} of column '{duration}' in {FILE} must be above 0: time runs from "
            "when a patient enters.",
            detail=f"found: {table.loc[late, duration].head(3).tolist()}",
        )
    other = (~table[event].isin([0, 1])).to_numpy()
    if other.any():
        raise DataError(
            f"{_cells(other)} of column '{event}' in {FILE} must be 1 (event) or 0 (none).",
            detail=f"found: {table.loc[other, event].head(3).tolist()}",
        )
    needed = EVENTS_PER_COVARIATE * len(covariates)
    events = int(table[event].sum())
    if events < needed:
        raise DataError(
            f"{FILE} has fewer than {needed} events, {EVENTS_PER_COVARIATE} for each covariate. "
            "Ask for fewer covariates, or leave this hospital out.",
            detail=f"events: {events}",
        )
    constant = [name for name in covariates if table[name].nunique() == 1]
    if constant:
        raise DataError(
            f"Every patient in {FILE} has the same {', '.join(map(repr, constant))}: no effect of "
            "it can be estimated at this hospital.",
        )
    return table


def fit_cox(table: pd.DataFrame, duration: str, event: str, covariates: Sequence[str]) -> CoxFit:
    """Fit a Cox proportional hazards regression (Cox 1972), ties by Efron's method (1977).

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`load_table` returns it.
    duration, event, covariates
        As there.

    Raises
    ------
    DataError
        The regression has no solution that could be trusted.
    ConfigError
        lifelines is not installed.
    """
    try:
        from lifelines import CoxPHFitter  # type: ignore[import-untyped]
        from lifelines.exceptions import (  # type: ignore[import-untyped]
            ConvergenceError,
            ConvergenceWarning,
        )
    except ImportError as error:
        raise ConfigError(LIFELINES, detail=str(error)) from error
    names = [duration, event, *covariates]
    try:
        with warnings.catch_warnings():
            # What lifelines doubts must not enter the average unseen.
            warnings.simplefilter("error", ConvergenceWarning)
            fit = CoxPHFitter().fit(table[names], duration, event)
    except (ConvergenceError, ConvergenceWarning) as error:
        raise DataError(
            "The Cox regression has no solution to be trusted at this hospital: two covariates say "
            "the same, or one tells the patients with an event from those without. Leave a "
            "covariate out, or this hospital.",
            detail=str(error).strip().splitlines()[0],
        ) from None
    return {
        "patients": len(table),
        "events": int(table[event].sum()),
        "covariates": list(covariates),
        "log_hr": fit.params_[list(covariates)].to_numpy(dtype=np.float64),
        "error": fit.standard_errors_[list(covariates)].to_numpy(dtype=np.float64),
    }


def _file(data: Iterable[Mapping[str, bytes]] | None) -> bytes:
    sources = list(data or ())
    found = [files[FILE] for files in sources if FILE in files]
    if len(found) == 1:
        return found[0]
    names = [name for files in sources for name in files]
    if not found:
        raise DataError(
            f"There is no {FILE} among this node's {len(names)} files. The name must be exactly "
            "this one, and the file must not lie in a subfolder.",
            detail=f"files: {sorted(names)}",
        )
    raise DataError(f"{len(found)} of this node's data sources have a {FILE}, and it must be one.")


def _read(content: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_csv(BytesIO(content), encoding="utf-8-sig", low_memory=False)
    except pd.errors.EmptyDataError:
        raise DataError(f"{FILE} is empty.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{FILE} is not UTF-8 text. Save it as a CSV file in UTF-8.", detail=str(error)
        ) from None
    except pd.errors.ParserError as error:
        raise DataError(
            f"{FILE} is not a table: its lines have different numbers of cells.",
            detail=str(error),
        ) from None
    # of lines with more cells than names pandas makes the first cells an index, without a word
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{FILE} is not a table: its lines have more cells than column names.")
    if frame.empty:
        raise DataError(f"{FILE} has column names but not one patient.")
    return frame.rename(columns=lambda name: str(name).strip())


def _numbers(column: pd.Series) -> Values:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise DataError(
            f"{_cells(bad)} of column '{column.name}' in {FILE} must be a number. Nothing is "
            "guessed: fill empty cells in, or leave the patients out.",
            detail=f"found: {column[bad].head(3).tolist()}",
        )
    return values


def _cells(which: Values | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    count = int(which.sum())
    return "1 cell" if count == 1 else f"{count} cells"
