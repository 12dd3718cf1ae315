"""Descriptive statistics of one hospital, and of all of them side by side.

Every patient is counted in each of the three tables exactly once: an age of 100 or more, an
impossible one and a missing one have groups of their own, so a table's sum is the number of rows.
Nothing here hides small numbers; what is printed passes through :mod:`halta.disclosure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from halta.cohort import LABEL, Cohort, numbers, sexes
from halta.disclosure import count_text
from halta.features import OLDEST

__all__ = ["AGED", "AGE_GROUPS", "LABEL_GROUPS", "SEX_GROUPS", "Merged", "column_group"]
__all__ += ["describe", "merge"]

Counts = npt.NDArray[np.int64]

AGE_GROUPS: tuple[str, ...] = (
    *(f"{low}-{low + 4}" for low in range(0, 100, 5)),
    "100 or older",
    f"below 0 or over {OLDEST}",
    "not recorded",
)
AGED = 21  # so many of AGE_GROUPS, from the first, are ages
SEX_GROUPS: tuple[str, ...] = ("female", "male", "other", "not recorded")
LABEL_GROUPS: tuple[str, ...] = ("Long COVID", "no Long COVID", "not assessed")

_COLUMN_GROUPS: dict[str, str] = {
    "comorb": "other diseases",
    "acute": "acute symptoms",
    "visit1": "first visit",
    "visit2": "second visit",
    "visit3": "third visit",
    "treat": "treatments",
    "lab": "laboratory values",
    "vax": "vaccines",
}


@dataclass(frozen=True)
class Merged:
    """The statistics of all hospitals, one column of each array per hospital, in their order.

    Attributes
    ----------
    sites : list of str
    rows, columns : ndarray of int64, shape (n_sites,)
    age, sex, label : ndarray of int64, shape (n_groups, n_sites)
        Patients per group of ``AGE_GROUPS``, ``SEX_GROUPS``, ``LABEL_GROUPS``.
    missing : dict of str to ndarray of int64, shape (n_sites,)
        Empty cells per column, sorted by name; -1 where a hospital has no such column.
    hospitals : int, optional
        How many they are, where a column is of all hospitals together.
    """

    sites: list[str]
    rows: Counts
    columns: Counts
    age: Counts
    sex: Counts
    label: Counts
    missing: dict[str, Counts]
    hospitals: int | None = None

    @property
    def total(self) -> str:
        """How many hospitals and patients there are, in words."""
        count = self.hospitals or len(self.sites)
        hospitals = "1 hospital" if count == 1 else f"{count} hospitals"
        return f"{hospitals}, {count_text(int(self.rows.sum()))} patients"


def describe(cohort: Cohort) -> dict[str, Any]:
    """Count one hospital's patients.

    Returns
    -------
    dict
        ``n_rows``, ``n_columns`` (int); ``age``, ``sex``, ``label`` (ndarray of int64, patients
        per group); ``missing`` (dict of column name to number of empty cells).
    """
    table = cohort.table
    return {
        "n_rows": len(table),
        "n_columns": table.shape[1],
        "missing": {str(name): int(count) for name, count in table.isna().sum().items()},
        "age": _age_counts(cohort),
        "sex": _sex_counts(cohort),
        "label": _label_counts(cohort),
    }


def merge(sites: Mapping[str, Mapping[str, Any]]) -> Merged:
    """Put the hospitals' descriptions side by side; a sum over the last axis pools them."""
    answers = list(sites.values())
    names = sorted(set().union(*(answer["missing"] for answer in answers)))
    return Merged(
        sites=list(sites),
        rows=np.array([answer["n_rows"] for answer in answers]),
        columns=np.array([answer["n_columns"] for answer in answers]),
        age=np.stack([answer["age"] for answer in answers], axis=1),
        sex=np.stack([answer["sex"] for answer in answers], axis=1),
        label=np.stack([answer["label"] for answer in answers], axis=1),
        missing={
            name: np.array([answer["missing"].get(name, -1) for answer in answers])
            for name in names
        },
    )


def column_group(name: str) -> str:
    """Return the group a column is reported under, by the first word of its name."""
    if name == LABEL:
        return "label"
    if name.endswith("_date"):
        return "dates"
    return _COLUMN_GROUPS.get(name.split("_")[0], "other columns")


def _age_counts(cohort: Cohort) -> Counts:
    counts = np.zeros(len(AGE_GROUPS), dtype=np.int64)
    if "age" not in cohort.table.columns:
        counts[-1] = len(cohort.table)
        return counts
    ages = numbers(cohort.table, "age")
    known = ages[(ages >= 0) & (ages <= OLDEST)]
    groups = np.minimum(known // 5, AGED - 1).astype(np.int64)
    counts[:AGED] = np.bincount(groups, minlength=AGED)
    counts[-1] = np.isnan(ages).sum()
    counts[AGED] = len(ages) - counts.sum()
    return counts


def _sex_counts(cohort: Cohort) -> Counts:
    sex = sexes(cohort.table)
    if sex is None:
        return np.array([0, 0, 0, len(cohort.table)])
    named = [int(np.sum(sex == group)) for group in SEX_GROUPS[:-1]]
    return np.array([*named, len(sex) - sum(named)])


def _label_counts(cohort: Cohort) -> Counts:
    labels = cohort.labels
    return np.array([np.sum(labels == 1), np.sum(labels == 0), np.sum(np.isnan(labels))])
