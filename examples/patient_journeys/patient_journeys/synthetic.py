"""Three centres' invented patients, in the files and columns that `tanat-synthea` writes.

``python -m patient_journeys.synthetic OUT_DIR`` writes ``OUT_DIR/center_0/patients.csv``,
``observations.csv`` and ``center_meta.yaml``, and so on, and for every centre the registry of a
node that has it, ``OUT_DIR/nodes/center_0/datasets.toml``. :func:`node_files` gives a simulated
node the same bytes without any file. The same seeds give the same bytes. Names, places and people
are drawn by chance.
"""

from __future__ import annotations

import argparse
from datetime import date
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
import polars as pl
from flwr.app import Context

from flame_flwr.errors import ConfigError
from flame_flwr.files import write_file
from patient_journeys.codes import PANELS, Code, Panel
from patient_journeys.events import OBSERVATIONS, PATIENTS

__all__ = ["CENTRES", "TAG", "Centre", "centre_files", "main", "node_files", "register"]

TAG = "tanat-obs"
TODAY = date(2026, 6, 11)
ALIVE, DEAD = 50, 10
OMITTED = 0.05
"""The share of a panel's codes that is not observed after all."""

Days = npt.NDArray[np.int64]


class Centre(NamedTuple):
    """A centre, as ``FedPatientJourney.demo()`` describes its three.

    Parameters
    ----------
    name, country, region, city : str
        Where it is; the country as a two-letter code.
    encounters : int
        How many all its patients have together.
    seed : int
        Of everything that is drawn.
    ages : tuple of int
        Of those who are alive: the youngest and the oldest.
    """

    name: str
    country: str
    region: str
    city: str
    encounters: int
    seed: int
    ages: tuple[int, int]


CENTRES = (
    Centre("Massachusetts General Hospital", "us", "Massachusetts", "Boston", 3555, 42, (20, 80)),
    Centre("CHU de Lyon", "fr", "Auvergne-Rhone-Alpes", "Lyon", 3760, 123, (40, 85)),
    Centre(
        "University College London Hospital", "gb", "Greater London", "London", 4150, 777, (20, 60)
    ),
)


def node_files(context: Context) -> dict[str, bytes]:
    """Return a simulated node's files: the source ``patient_journeys.synthetic:node_files``.

    Raises
    ------
    ConfigError
        The node has no partition id, as in a deployment, or there is no such centre.
    """
    partition = context.node_config.get("partition-id")
    if partition is None:
        raise ConfigError(
            "patient_journeys.synthetic:node_files needs a partition-id in the node config, which "
            "only simulated nodes have. Set the node's `data`, or `datasets`, to its own files."
        )
    if not 0 <= int(partition) < len(CENTRES):
        raise ConfigError(
            f"there are {len(CENTRES)} centres, and a node has the number {partition}: say "
            f'--federation-config "num-supernodes={len(CENTRES)}"'
        )
    return dict(centre_files(int(partition)))


@lru_cache(maxsize=8)
def centre_files(number: int) -> dict[str, bytes]:
    """Return a centre's two tables as CSV files, by name; do not change the dict.

    Parameters
    ----------
    number : int
        Which of :data:`CENTRES`.
    """
    centre = CENTRES[number]
    rng = np.random.default_rng(centre.seed)
    people = _people(centre, rng)
    front = [pl.lit(number).alias("CENTER_ID"), pl.lit(centre.name).alias("CENTER_NAME")]
    return {
        PATIENTS: _csv(people.drop("born", "end").select(*front, pl.all())),
        OBSERVATIONS: _csv(_observations(number, people, rng).select(*front, pl.all())),
    }


def register(folder: Path, number: int, datasets: Path) -> None:
    """Write the registry of a node that has a centre's folder, under :data:`TAG`.

    Parameters
    ----------
    folder : Path
        The centre's folder.
    number : int
        For the dataset's name.
    datasets : Path
        The file to write.
    """
    text = f"""\
[[dataset]]
name = "tanat_observations_{number}"
tags = ["{TAG}"]
type = "s3"                     # files, as opposed to FHIR searches
url = "{folder.resolve()}"
projects = ["examples"]
"""
    datasets.parent.mkdir(parents=True, exist_ok=True)
    write_file(datasets, text.encode())


def main(arguments: list[str] | None = None) -> None:
    """Write the three centres' folders and registries."""
    parser = argparse.ArgumentParser(prog="python -m patient_journeys.synthetic")
    parser.add_argument("out_dir", type=Path)
    out = parser.parse_args(arguments).out_dir
    for number, centre in enumerate(CENTRES):
        folder = out / f"center_{number}"
        folder.mkdir(parents=True, exist_ok=True)
        files = centre_files(number)
        for name, content in files.items():
            write_file(folder / name, content)
        write_file(folder / "center_meta.yaml", _meta(number, centre).encode())
        register(folder, number, out / "nodes" / f"center_{number}" / "datasets.toml")
        rows = [content.count(b"\n") - 1 for content in files.values()]
        print(f"{folder}: {centre.name}, {rows[0]} patients, {rows[1]} observations")


def _people(centre: Centre, rng: np.random.Generator) -> pl.DataFrame:
    """Return Synthea's 28 columns of patients, and ``born`` and ``end`` of their record in days."""
    n = ALIVE + DEAD
    today = TODAY.toordinal()
    young, old = centre.ages
    age = np.concatenate([rng.integers(young, old, ALIVE), rng.integers(old - 15, old + 10, DEAD)])
    ended = np.full(n, today)
    ended[ALIVE:] -= rng.integers(200, 15 * 365, DEAD)
    born = ended - age * 365 - rng.integers(0, 365, n)
    male = rng.random(n) < 0.52
    order = rng.permutation(n)
    born, ended, male, dead = born[order], ended[order], male[order], (np.arange(n) >= ALIVE)[order]

    def drawn(*choices: str) -> list[str]:
        return [choices[i] for i in rng.integers(0, len(choices), n)]

    def numbered(stem: str) -> list[str]:
        return [f"{stem}{i}" for i in rng.integers(100, 999, n)]

    def money(most: int) -> npt.NDArray[np.float64]:
        return np.round(rng.random(n) * most, 2)

    given = [
        f"{'Ansel' if m else 'Beate'}{i}"
        for m, i in zip(male, rng.integers(100, 999, n), strict=True)
    ]
    columns: dict[str, Any] = {
        "Id": _uuids(rng, n),
        "BIRTHDATE": [_day(day) for day in born],
        "DEATHDATE": [_day(day) if gone else None for day, gone in zip(ended, dead, strict=True)],
        "SSN": [f"999-{i % 90 + 10}-{i}" for i in rng.integers(1000, 9999, n)],
        "DRIVERS": [f"S999{i}" for i in rng.integers(10000, 99999, n)],
        "PASSPORT": [f"X{i}X" for i in rng.integers(10**7, 10**8, n)],
        "PREFIX": ["Mr." if m else "Mrs." for m in male],
        "FIRST": given,
        "MIDDLE": numbered("Sam"),
        "LAST": numbered("Muster"),
        "SUFFIX": [None] * n,
        "MAIDEN": [
            None if m else f"Probe{i}" for m, i in zip(male, rng.integers(100, 999, n), strict=True)
        ],
        "MARITAL": drawn("M", "S", "D", "W"),
        "RACE": drawn("white", "black", "asian", "other"),
        "ETHNICITY": drawn("nonhispanic", "hispanic"),
        "GENDER": ["M" if m else "F" for m in male],
        "BIRTHPLACE": [f"{centre.city}  {centre.region}  {centre.country.upper()}"] * n,
        "ADDRESS": [f"{i} Example Street" for i in rng.integers(1, 999, n)],
        "CITY": [centre.city] * n,
        "STATE": [centre.region] * n,
        "COUNTY": [f"{centre.city} County"] * n,
        "FIPS": rng.integers(10000, 99999, n),
        "ZIP": rng.integers(1000, 99999, n),
        "LAT": np.round(40 + 10 * rng.random(n), 6),
        "LON": np.round(-70 + 75 * rng.random(n), 6),
        "HEALTHCARE_EXPENSES": money(400_000),
        "HEALTHCARE_COVERAGE": money(600_000),
        "INCOME": rng.integers(8_000, 160_000, n),
    }
    return pl.DataFrame({**columns, "born": born, "end": ended})


def _observations(number: int, people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return Synthea's nine columns of observations, by patient and time."""
    n = len(people)
    born, end = people["born"].to_numpy(), people["end"].to_numpy()
    male = (people["GENDER"] == "M").to_numpy()
    share = rng.gamma(4.0, size=n)
    who = np.repeat(np.arange(n), rng.multinomial(CENTRES[number].encounters, share / share.sum()))
    lived = end[who] - born[who]
    recent = rng.random(len(who)) < 0.8  # Synthea keeps the last ten years, and what began before
    day = end[who] - np.minimum(lived * rng.random(len(who)), np.where(recent, 3650, 10**6))
    day = day.astype(np.int64)
    keen = rng.beta(2.0, 1.0, size=n)  # how readily somebody goes to a screening
    rows = []
    for place, panel in enumerate(PANELS):
        age = (day - born[who]) / 365.25
        chance = np.full(len(who), panel.rate[number])
        chance *= (age >= panel.ages[0]) & (age <= panel.ages[1])
        if panel.sex:
            chance *= (male[who] == (panel.sex == "M")) * keen[who] * 1.6
        taken = np.flatnonzero(rng.random(len(who)) < chance)
        rows.append(_panel_rows(place, panel, taken, rng))
    second = rng.integers(8 * 3600, 17 * 3600, len(who))
    encounters = pl.DataFrame(
        {
            "DATE": [f"{_day(d)}T{_time(s)}Z" for d, s in zip(day, second, strict=True)],
            "PATIENT": people["Id"].gather(who),
            "ENCOUNTER": _uuids(rng, len(who)),
        }
    ).with_row_index("encounter")
    joined = pl.concat(rows).join(encounters, on="encounter").sort("PATIENT", "DATE", "place")
    quality = pl.col("CATEGORY").is_null()  # Synthea's QALY and others belong to no encounter
    columns = ["CATEGORY", "CODE", "DESCRIPTION", "VALUE", "UNITS", "TYPE"]
    return joined.select(
        "DATE", "PATIENT", pl.when(~quality).then("ENCOUNTER").alias("ENCOUNTER"), *columns
    )


def _panel_rows(place: int, panel: Panel, taken: Days, rng: np.random.Generator) -> pl.DataFrame:
    """Return the rows that a panel gives at the encounters where it was taken."""
    parts = []
    for i, code in enumerate(panel.codes):
        seen = taken[rng.random(len(taken)) > OMITTED]
        part = pl.DataFrame(
            {"encounter": seen.astype(np.uint32), "VALUE": _values(code, len(seen), rng)}
        )
        kind = "numeric" if code.deviation else "text"
        parts.append(
            part.with_columns(
                place=pl.lit(100 * place + i, pl.UInt32),
                CATEGORY=pl.lit(panel.category or None, pl.String),
                CODE=pl.lit(code.code),
                DESCRIPTION=pl.lit(code.description),
                UNITS=pl.lit(code.units),
                TYPE=pl.lit(kind),
            )
        )
    return pl.concat(parts)


def _values(code: Code, n: int, rng: np.random.Generator) -> pl.Series:
    if code.deviation:
        digits = 2 if code.mean < 10 else 1
        values = np.round(np.abs(rng.normal(code.mean, code.deviation, n)), digits)
        return pl.Series(values).cast(pl.String)
    return pl.Series(["Negative (finding)", "Positive (finding)"]).gather(rng.integers(0, 2, n))


def _csv(table: pl.DataFrame) -> bytes:
    file = BytesIO()
    table.write_csv(file)
    return file.getvalue()


def _uuids(rng: np.random.Generator, n: int) -> list[str]:
    return [str(UUID(bytes=rng.bytes(16))) for _ in range(n)]


def _day(day: int | np.int64) -> str:
    return date.fromordinal(int(day)).isoformat()


def _time(second: int | np.int64) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _meta(number: int, centre: Centre) -> str:
    return f"""\
age_range: {centre.ages[0]}-{centre.ages[1]}
center_id: {number}
center_name: {centre.name}
city: null
country_code: {centre.country}
files:
- {OBSERVATIONS}
- {PATIENTS}
population: {ALIVE}
seed: {centre.seed}
state: {centre.region}
"""


if __name__ == "__main__":
    main()
