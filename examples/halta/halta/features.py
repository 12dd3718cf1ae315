"""From a table to the numbers a linear model learns from, and what hospitals must agree on.

Plain functions on arrays. A *feature* is a symptom column, ``age`` or ``female``. Hospitals ask
for different symptoms, so the aggregator keeps only the features every hospital has, and tells
all of them one mean and one deviation for each: the same number then means the same thing
everywhere, which an average of coefficients silently presumes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from flame_flwr.errors import DataError
from halta.cohort import LABEL, numbers, sexes

__all__ = ["OLDEST", "Agreement", "ages", "agree", "candidates", "feature_matrix", "held_out"]
__all__ += ["is_symptom", "moments", "standardize", "words_for"]

Values = npt.NDArray[np.float64]

OLDEST = 120  # years; an age beyond it, or below 0, is a slip of the keyboard

# Beginnings of words that make a column's name a symptom's.
_SYMPTOMS = (
    *("fatigue", "tired", "exhaust", "dyspn", "breath", "cough", "anosmi", "ageusi", "smell"),
    *("taste", "headache", "migraine", "brain_fog", "cognit", "memory", "concentrat", "confus"),
    *("chest_pain", "chest_tight", "palpit", "tachy", "arrhythm", "sleep", "insomni", "anxi"),
    *("depress", "mood", "myalg", "muscle", "joint", "arthralg", "pain", "fever", "chills"),
    *("nausea", "vomit", "diarr", "abdominal", "dizz", "rash", "hair_loss", "tinnitus", "throat"),
    *("sputum", "weakness", "tremor"),
)
_SYMPTOM = re.compile(rf"(?:^|[_0-9])(?:{'|'.join(_SYMPTOMS)})")
_NO_SYMPTOM = re.compile(r"^(?:comorb|treat|lab|vax|history)|_(?:date|onset|comment|text|id)$")


@dataclass(frozen=True)
class Agreement:
    """What every hospital uses from the second round on.

    Attributes
    ----------
    features : list of str
        Sorted; each is recorded at every hospital.
    means, deviations : ndarray of float64, shape (n_features,)
        Over the training rows of all hospitals together, in the features' own units.
    left_out : dict of str to str
        Each feature that was not agreed on, sorted, and why.
    """

    features: list[str]
    means: Values
    deviations: Values
    left_out: dict[str, str]


def is_symptom(column: str) -> bool:
    """Say whether a column's name is a symptom's.

    A word of it must begin with a symptom's: ``visit1_fatigue_score``, ``v1.cough`` and
    ``acuteFever`` are, ``hospain`` is not. Comorbidities, treatments, laboratory values, vaccines,
    dates and comments never are.
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", column).lower()
    return bool(_SYMPTOM.search(name)) and not _NO_SYMPTOM.search(name)


def candidates(table: pd.DataFrame) -> list[str]:
    """Return the names of all features this table could give, sorted."""
    names = {str(name) for name in table.columns if is_symptom(str(name))} - {LABEL}
    if "age" in table.columns:
        names.add("age")
    if "sex" in table.columns or "gender" in table.columns:
        names.add("female")
    return sorted(names)


def words_for(names: Iterable[str]) -> str:
    """Name columns, many of one beginning together.

    Examples
    --------
    >>> words_for(["lab_crp", "lab_ldh", "site", "lab_tsh", "visit_date"])
    'lab_* (3), site, visit_date'
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(re.split(r"[^A-Za-z0-9]", name)[0], []).append(name)
    return ", ".join(
        f"{group[0][: len(start) + 1]}* ({len(group)})" if len(group) > 2 else ", ".join(group)
        for start, group in groups.items()
    )


def feature_matrix(table: pd.DataFrame, features: Sequence[str]) -> Values:
    """Return the features' values.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features), C order
        NaN where nothing is known. ``female`` is 1, 0, or NaN for other and unknown.

    Raises
    ------
    DataError
        If a column is missing or holds text.
    """
    available = candidates(table)
    missing = [name for name in features if name not in available]
    if missing:
        raise DataError(
            f"{len(missing)} of the agreed features are not in this hospital's file. "
            "Did the file change during the run?",
            detail=f"missing: {missing}",
        )
    matrix = np.empty((len(table), len(features)))
    for place, name in enumerate(features):
        matrix[:, place] = _column(table, name)
    return matrix


def ages(table: pd.DataFrame) -> Values:
    """Return the ages in years, NaN where they are unknown or outside 0..``OLDEST``."""
    values = numbers(table, "age")
    return np.where((values >= 0) & (values <= OLDEST), values, np.nan)


def moments(matrix: Values) -> dict[str, npt.NDArray[np.generic]]:
    """Return what means and deviations can be merged from.

    Returns
    -------
    dict
        ``counts`` (int64), ``sums`` and ``sums_of_squares`` (float64), each of shape
        (n_features,), over the values that are known.
    """
    return {
        "counts": np.sum(~np.isnan(matrix), axis=0),
        "sums": np.nansum(matrix, axis=0),
        "sums_of_squares": np.nansum(matrix**2, axis=0),
    }


def agree(sites: Mapping[str, Mapping[str, object]]) -> Agreement:
    """Find the features of all hospitals, and their means and deviations over all patients.

    ``deviation = sqrt(sums_of_squares / counts - mean ** 2)``, the population formula that
    scikit-learn's ``StandardScaler`` uses, with sums over all hospitals.

    Parameters
    ----------
    sites : dict of str to dict
        For each hospital its ``features`` and the three arrays of :func:`moments`.

    Raises
    ------
    DataError
        If no feature is left.
    """
    per_site = {
        site: dict(zip(_names(answer), _rows(answer), strict=True))
        for site, answer in sites.items()
    }
    features, means, deviations = [], [], []
    left_out = {}
    for name in sorted(set().union(*per_site.values())):
        rows = [found.get(name) for found in per_site.values()]
        absent = [site for site, row in zip(per_site, rows, strict=True) if row is None]
        empty = [site for site, row in zip(per_site, rows, strict=True) if row and row[0] == 0]
        count, total, squares = (sum(row[k] for row in rows if row) for k in range(3))
        mean = total / count if count else np.nan
        variance = squares / count - mean**2 if count else 0.0
        if absent:
            left_out[name] = f"no such column at {', '.join(absent)}"
        elif empty:
            left_out[name] = f"never filled in at {', '.join(empty)}"
        elif variance <= 1e-12 * max(mean**2, 1e-300):
            left_out[name] = "the same for every patient"
        else:
            features.append(name)
            means.append(mean)
            deviations.append(np.sqrt(variance))
    if not features:
        raise DataError(
            "The hospitals' files have no feature in common: no symptom column, age or sex is "
            "recorded at every one of them. Give the same symptom the same column name everywhere."
        )
    return Agreement(features, np.array(means), np.array(deviations), left_out)


def standardize(matrix: Values, means: Values, deviations: Values) -> Values:
    """Scale the features; an unknown value becomes 0, which is the mean of all hospitals.

    Parameters
    ----------
    matrix : ndarray, shape (n_rows, n_features)
    means, deviations : ndarray, shape (n_features,)
    """
    return np.nan_to_num((matrix - means) / deviations, nan=0.0)


def held_out(labels: Values, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose the rows that test the model: the same share of each class, the same every time.

    Parameters
    ----------
    labels : ndarray, shape (n_rows,)
        Without NaN.
    share : float
        Of each class, rounded down, so that a class of one patient stays in training.
    seed : int

    Returns
    -------
    ndarray of bool, shape (n_rows,)
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for value in (0.0, 1.0):
        rows = rng.permutation(np.flatnonzero(labels == value))
        chosen[rows[: int(share * len(rows))]] = True
    return chosen


def _column(table: pd.DataFrame, name: str) -> Values:
    if name == "age":
        return ages(table)
    if name == "female":
        sex = sexes(table)
        assert sex is not None, "candidates() promised a sex column"
        return np.where(sex == "female", 1.0, np.where(sex == "male", 0.0, np.nan))
    return numbers(table, name)


def _names(answer: Mapping[str, object]) -> Iterable[str]:
    names = answer["features"]
    assert isinstance(names, list)
    return names


def _rows(answer: Mapping[str, object]) -> Iterable[tuple[float, ...]]:
    arrays = (np.asarray(answer[key]) for key in ("counts", "sums", "sums_of_squares"))
    return zip(*(array.tolist() for array in arrays), strict=True)
