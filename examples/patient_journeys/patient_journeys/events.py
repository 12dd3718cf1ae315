"""One centre's journeys: read from its two files, counted by code, turned into a tensor.

The files are those that `tanat-synthea` writes: ``patients.csv``, a row per patient, and
``observations.csv``, a row per event. Messages of errors name files and columns, never a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from io import BytesIO

import numpy as np
import numpy.typing as npt
import polars as pl

from flame_flwr.errors import DataError, ModelError

__all__ = ["AXIS", "OBSERVATIONS", "PATIENTS"]
__all__ += ["Axis", "Journeys", "code_counts", "cohort_lines", "observation_data", "read_journeys"]
__all__ += ["read_table", "static_data", "temporal_tensor", "top_codes"]

PATIENTS = "patients.csv"
OBSERVATIONS = "observations.csv"

Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """The time axis that all centres share.

    Parameters
    ----------
    start : datetime.date
        Where the first bin begins.
    days : int
        How long a bin is.
    max_bins : int
        How many there are. Events outside are left out.
    fill_value : float
        What a bin holds, for every code, in which a patient has none of the codes.
    """

    start: date = date(2006, 1, 1)
    days: int = 360
    max_bins: int = 21
    fill_value: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no axis."""
        if self.days < 1 or self.max_bins < 1:
            raise ModelError("a time axis needs bins of at least one day, and at least one of them")

    @property
    def end(self) -> date:
        """The first day after the last bin."""
        return self.start + timedelta(self.days * self.max_bins)


AXIS = Axis()
"""21 bins of 360 days, from 2006-01-01 until 2026-09-12. Each centre taking its own first and last
event, as the tutorial does, gives means over another number of bins at each, and shares two dates
of patients."""


@dataclass(frozen=True)
class Journeys:
    """A centre's patients and what happened to them.

    Parameters
    ----------
    patients : polars.DataFrame
        ``PATIENT`` and ``GENDER``, in the order of the file.
    events : polars.DataFrame
        ``PATIENT``, ``DATE`` (a day) and ``CODE``, of these patients and on the axis only.
    """

    patients: pl.DataFrame
    events: pl.DataFrame

    @property
    def male(self) -> Tensor:
        """The target: 1 for male, 0 for female; shape (patients,)."""
        return (self.patients["GENDER"] == "M").cast(pl.Float32).to_numpy().copy()


def read_journeys(data: Iterable[Mapping[str, bytes]] | None, axis: Axis = AXIS) -> Journeys:
    """Read what the study needs of a node's files, and check it.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        What a STAR analyzer gets.
    axis : Axis
        Events outside are left out.

    Raises
    ------
    DataError
        A file or column is missing, there are no patients, one has no Id or is there twice, a sex
        is neither M nor F, a date cannot be read, or no event is of these patients and on the axis.

    Notes
    -----
    Blanks around an Id or a code do not count, and one of blanks only is missing.
    """
    patients = read_table(data, PATIENTS, ["Id", "GENDER"]).rename({"Id": "PATIENT"})
    events = read_table(data, OBSERVATIONS, ["PATIENT", "DATE", "CODE"])
    patients = patients.with_columns(_bare("PATIENT"))
    events = events.with_columns(_bare("PATIENT"), _bare("CODE"))
    _check_patients(patients)
    days = events["DATE"].str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if days.null_count():
        raise DataError(
            f"DATE in {OBSERVATIONS} cannot be read in some rows: it must begin like 2026-11-21.",
            detail=f"{days.null_count()} rows",
        )
    return Journeys(patients, _known(events.with_columns(DATE=days), patients, axis))


def _bare(column: str) -> pl.Expr:
    """Return a column of names without blanks around them; an empty one is missing."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text != "").then(text)


def _check_patients(patients: pl.DataFrame) -> None:
    if patients.is_empty():
        raise DataError(f"{PATIENTS} has no patients: leave this centre out.")
    empty = patients["PATIENT"].null_count()
    if empty:
        raise DataError(
            f"{PATIENTS} has patients without an Id: give each one, or take them out.",
            detail=f"{empty} rows",
        )
    twice = len(patients) - patients["PATIENT"].n_unique()
    if twice:
        raise DataError(
            f"{PATIENTS} has patients whose Id is there twice: it must have one row per patient.",
            detail=f"{twice} rows",
        )
    odd = patients.filter(~pl.col("GENDER").is_in(["M", "F"]).fill_null(False))
    if len(odd):
        raise DataError(
            f"GENDER in {PATIENTS} is neither M nor F in some rows: write it so, or take these "
            "patients out.",
            detail=f"{len(odd)} rows: {odd['GENDER'].unique().to_list()[:5]}",
        )


def _known(events: pl.DataFrame, patients: pl.DataFrame, axis: Axis) -> pl.DataFrame:
    """Return the events that count: of these patients, with a code, and on the axis.

    Raises
    ------
    DataError
        There are none, so the centre would train on zeros.
    """
    if events.is_empty():
        raise DataError(f"{OBSERVATIONS} has no observations: fill it, or leave this centre out.")
    events = events.filter(pl.col("CODE").is_not_null())
    if events.is_empty():
        raise DataError(f"CODE in {OBSERVATIONS} is empty in every row: fill it.")
    events = events.filter(pl.col("PATIENT").is_in(patients["PATIENT"].implode()))
    if events.is_empty():
        raise DataError(
            f"No observation is of a patient of this centre: PATIENT in {OBSERVATIONS} must be an "
            f"Id in {PATIENTS}, written in the same way, upper and lower case too."
        )
    last = axis.end - timedelta(1)
    events = events.filter(pl.col("DATE").is_between(axis.start, last))
    if events.is_empty():
        raise DataError(
            f"No observation is on the study's time axis, {axis.start} to {last}: look at DATE in "
            f"{OBSERVATIONS}, or leave this centre out."
        )
    return events


def read_table(
    data: Iterable[Mapping[str, bytes]] | None, file: str, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return one of a centre's files, every cell as text.

    Parameters
    ----------
    data : iterable of dict of str to bytes
        A node's files, per source.
    file : str
        Its name.
    columns : sequence of str, optional
        Only these, which must be there.

    Raises
    ------
    DataError
        The file is missing, there twice, empty, in UTF-16, or no table with these columns.
    """
    found = [files[file] for files in data or () if file in files]
    if len(found) != 1:
        raise DataError(
            f"There is no {file} among this node's files: put it there, or leave this centre out."
            if not found
            else f"{len(found)} of this node's data sources have a {file}, and it must be one."
        )
    try:
        _check_encoding(found[0], file)
        header = pl.read_csv(BytesIO(found[0]), n_rows=0, infer_schema=False).columns
        missing = [name for name in columns or () if name not in header]
        if missing:
            raise DataError(
                f"{file} has no column {', '.join(missing)}. It must be separated by commas, with "
                "Synthea's names of columns in its first line."
            )
        return pl.read_csv(BytesIO(found[0]), columns=columns, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise DataError(f"{file} is empty: copy it again, or leave this centre out.") from None
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{file} is no CSV table in UTF-8: save it as one.", detail=str(error)
        ) from None


def _check_encoding(content: bytes, file: str) -> None:
    """Refuse UTF-16, as spreadsheets write it: by its mark, or by the zeros of plain letters.

    Raises
    ------
    DataError
        It is.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise DataError(f"{file} is in UTF-16 (Unicode): save it as CSV in UTF-8.")


def static_data(data: Iterable[Mapping[str, bytes]]) -> pl.DataFrame:
    """Return the whole static table, a row per patient, as `tanat-synthea` hands it out."""
    return read_table(data, PATIENTS).rename({"Id": "PATIENT"})


def observation_data(data: Iterable[Mapping[str, bytes]]) -> pl.DataFrame:
    """Return the whole observation table, a row per event, as `tanat-synthea` hands it out."""
    table = read_table(data, OBSERVATIONS)
    return table.insert_column(2, pl.lit("observation").alias("RECORD_TYPE"))


def code_counts(journeys: Journeys, min_patients: int) -> dict[str, int]:
    """Count a centre's observations by code: all that leaves it in the first round.

    Parameters
    ----------
    journeys : Journeys
        The centre's.
    min_patients : int
        A code that fewer patients have is left out.

    Returns
    -------
    dict of str to int
        By code, in the order of the codes.
    """
    counted = (
        journeys.events.group_by("CODE")
        .agg(rows=pl.len(), patients=pl.col("PATIENT").n_unique())
        .filter(pl.col("patients") >= min_patients)
        .sort("CODE")
    )
    return dict(zip(counted["CODE"].to_list(), counted["rows"].to_list(), strict=True))


def top_codes(counts: Mapping[str, int], k: int) -> list[str]:
    """Return the `k` most frequent codes, the most frequent first, of as many by name."""
    return sorted(counts, key=lambda code: (-counts[code], code))[:k]


def temporal_tensor(journeys: Journeys, codes: Sequence[str], axis: Axis = AXIS) -> Tensor:
    """Turn events into a tensor: 1 where a patient had a code in a bin of time, else 0.

    Parameters
    ----------
    journeys : Journeys
        A centre's.
    codes : sequence of str
        The vocabulary. A code that the centre has not is a column of zeros.
    axis : Axis
        The bins.

    Returns
    -------
    ndarray of float32, shape (patients, bins, codes)
        Patients in the order of their file.
    """
    rows = journeys.patients.select("PATIENT").with_row_index("row")
    columns = pl.DataFrame({"CODE": list(codes)}, schema={"CODE": pl.String})
    cells = (
        journeys.events.lazy()
        .join(columns.with_row_index("column").lazy(), on="CODE")
        .join(rows.lazy(), on="PATIENT")
        .with_columns(bin=(pl.col("DATE") - axis.start).dt.total_days() // axis.days)
        .filter(pl.col("bin").is_between(0, axis.max_bins - 1))
        .select("row", "bin", "column")
        .unique()
        .collect()
    )
    tensor = np.zeros((len(rows), axis.max_bins, len(codes)), np.float32)
    tensor[cells["row"].to_numpy(), cells["bin"].to_numpy(), cells["column"].to_numpy()] = 1.0
    if axis.fill_value:
        tensor[~tensor.any(axis=2)] = axis.fill_value
    return tensor


def cohort_lines(journeys: Journeys, codes: Sequence[str], axis: Axis = AXIS) -> list[str]:
    """Say what a centre's cohort has, as the tutorial prints it: for the centre's own eyes.

    Parameters
    ----------
    journeys : Journeys
        The centre's.
    codes : sequence of str
        The vocabulary.
    axis : Axis
        The bins.
    """
    cells = temporal_tensor(journeys, codes, replace(axis, fill_value=0.0))
    n, bins, k = cells.shape
    kept = int(journeys.events["CODE"].is_in(list(codes)).sum())
    events = len(journeys.events)
    with_events = int(cells.any(axis=(1, 2)).sum())
    return [
        f"Events : {kept:,} / {events:,} ({kept / events:.1%})",
        f"Codes : {k} of {journeys.events['CODE'].n_unique()}",
        f"Tensor shape : {(n, bins, k)}",
        f"Patients : {n}",
        f"Time bins : {bins} of {axis.days} days, from {axis.start}",
        f"Features : {k}",
        f"Sparsity : {(cells == 0).mean():.1%} empty cells",
        f"Non-zero cells : {int((cells != 0).sum())}",
        f"Patients with events : {with_events} / {n}",
    ]
