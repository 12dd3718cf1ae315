"""How a synthetic patient is drawn.

Two hidden numbers lie behind every record: the ``severity`` of the acute disease and the
``burden`` that stays afterwards. Burden has three parts: severity, sex, and a factor nobody
measures. Acute symptoms, treatments and laboratory values follow severity; visit
symptoms and questionnaires follow burden. The label ``pasc`` is drawn from a logistic model on a
handful of recorded features (:data:`LABEL_WEIGHTS`) and a second unmeasured factor, which bounds
what any model can learn. Then values go missing, at a rate of each hospital's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from halta import schema

__all__ = ["LABEL_WEIGHTS", "UNMEASURED_WEIGHT", "Hospital", "draw"]

Values = npt.NDArray[np.float64]

# Change of the log-odds of Long COVID per unit of a recorded feature.
LABEL_WEIGHTS: dict[str, float] = {
    "age_decades": 0.15,
    "female": 0.80,
    "acute_dyspnea": 0.60,
    "acute_muscle_weakness": 0.55,
    "visit1_fatigue": 1.30,
    "visit1_dyspnea": 1.00,
    "visit1_brain_fog": 1.20,
    "visit1_sleep_disorder": 0.70,
    "visit1_fatigue_score": 0.30,
    "visit2_brain_fog": 1.00,
    "visit2_fatigue_score": 0.40,
    "vax_doses_before_infection": -0.35,
}
UNMEASURED_WEIGHT = 0.8


@dataclass(frozen=True)
class Hospital:
    """What sets one hospital's patients and records apart from another's.

    Attributes
    ----------
    patients, waiting : int
        Patients with a label, and further ones still waiting for their last visit.
    age_mean, age_deviation : float
        Of the age in years, which lies in 18..103.
    female, label_rate, severe : float
        Share of women; target share of Long COVID; shift of the acute severity.
    missing : float
        Share of missing cells in symptom columns; other groups follow from it.
    lost_to_follow_up : float
        Share of patients without a second visit.
    lacks : tuple of str
        Visit symptoms this hospital does not ask for.
    own : dict
        Visit symptoms only this hospital asks for, with their share.
    """

    patients: int
    waiting: int
    age_mean: float
    age_deviation: float
    female: float
    label_rate: float
    severe: float
    missing: float
    lost_to_follow_up: float
    lacks: tuple[str, ...]
    own: Mapping[str, float]


def draw(
    site: Hospital, n: int, partition: int, first: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the patients of one hospital.

    Parameters
    ----------
    site : Hospital
    n : int
        Patients.
    partition : int
        The hospital's number, in ``center`` and in the patients' ids.
    first : int
        Number of the first patient.
    rng : numpy.random.Generator
        The only source of chance.

    Returns
    -------
    pandas.DataFrame
        One row per patient; whole numbers as ``Int64``, dates as text.
    """
    age = _ages(site, n, rng)
    female = (rng.random(n) < site.female).astype(float)
    days = rng.integers(0, 1200, n)  # since 2020-03-01
    severity = rng.normal(site.severe + 0.02 * (age - 58) - 0.15 * female, 1.0)
    burden = 0.45 * severity + 0.35 * female + rng.normal(0.0, 1.0, n)

    columns: dict[str, object] = {
        "patient_id": [f"H{partition}-{first + i:05d}" for i in range(n)],
        "center": f"hospital-{partition}",
    }
    columns |= _demographics(age, female, rng)
    columns |= _vaccines_and_variant(days, rng)
    columns |= _yes_no("comorb", schema.COMORBIDITIES, 0.025 * (age - 58), rng)
    columns |= _yes_no("acute", schema.ACUTE_SYMPTOMS, 0.7 * severity, rng)
    columns |= _hospital_stay(severity, rng)
    columns |= _yes_no("treat", schema.TREATMENTS, 0.8 * severity, rng)
    columns |= _measurements("lab", severity, rng)
    for visit in ("visit1", "visit2"):
        # A symptom nobody asks for is there all the same: the label may depend on it.
        columns |= _yes_no(visit, schema.VISIT_SYMPTOMS | dict(site.own), 0.8 * burden, rng)
    columns |= _questionnaires(burden, rng)
    columns["pasc"] = _labels(site, age, female, columns, rng)
    columns |= _dates(days, columns, rng)
    unasked = [f"{visit}_{name}" for visit in ("visit1", "visit2") for name in site.lacks]
    table = pd.DataFrame(columns).drop(columns=unasked)
    return _with_gaps(table, site, rng)


def _ages(site: Hospital, n: int, rng: np.random.Generator) -> Values:
    """Draw whole years in 18..103: a beta distribution with the hospital's mean and deviation."""
    mean = (site.age_mean - 18) / 86
    spread = mean * (1 - mean) / (site.age_deviation / 86) ** 2 - 1
    return np.floor(18 + 86 * rng.beta(mean * spread, (1 - mean) * spread, n))


def _yes_no(
    prefix: str, shares: Mapping[str, float], shift: Values, rng: np.random.Generator
) -> dict[str, object]:
    """Draw 0/1 columns; ``shift`` moves each patient's log-odds away from the column's share."""
    centred = shift - shift.mean()
    return {
        f"{prefix}_{name}": (rng.random(len(shift)) < _sigmoid(_logit(share) + centred)).astype(
            float
        )
        for name, share in shares.items()
    }


def _demographics(age: Values, female: Values, rng: np.random.Generator) -> dict[str, object]:
    n = len(age)
    height = np.round(rng.normal(177 - 12.5 * female, 7.0))
    bmi = np.round(np.clip(rng.normal(27.3, 4.6, n), 16, 52), 1)
    sex = np.where(female == 1, "female", "male").astype(object)
    sex[rng.random(n) < 0.012] = None
    return {
        "sex": sex,
        "age": age,
        "height_cm": height,
        "weight_kg": np.round(bmi * (height / 100) ** 2),
        "bmi": bmi,
        "ethnicity": _choice(rng, n, ("european", "african", "asian", "latin american")),
        "smoking_status": _choice(rng, n, ("never", "former", "current")),
        "pack_years": np.round(np.clip(rng.normal(4, 11, n), 0, 90)),
        "education_years": np.clip(np.round(rng.normal(12, 3, n)), 4, 24),
        "employment": np.where(age >= 67, "retired", "employed"),
        "health_worker": (rng.random(n) < np.where(age < 67, 0.12, 0.01)).astype(float),
        "lives_alone": (rng.random(n) < 0.2).astype(float),
    }


def _vaccines_and_variant(
    days: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[str, object]:
    n = len(days)
    doses = rng.binomial(3, np.clip((days - 320) / 900, 0, 0.85)).astype(float)
    product = _choice(rng, n, ("BNT162b2", "mRNA-1273", "ChAdOx1", "Ad26.COV2.S"))
    infection = np.datetime64("2020-03-01") + days
    columns: dict[str, object] = {"vax_doses_before_infection": doses}
    for dose in (1, 2, 3):
        has = doses >= dose
        given = infection - rng.integers(20, 140, n) - 150 * (doses.astype(int) - dose)
        columns[f"vax_{dose}_date"] = _date_text(given, has)
        columns[f"vax_{dose}_product"] = _only_where(has, product)
    columns["vax_influenza"] = (rng.random(n) < 0.36).astype(float)
    wave = np.searchsorted([300, 480, 660], days, side="right")
    columns["variant"] = np.array(["wild type", "alpha", "delta", "omicron"], dtype=object)[wave]
    columns["variant_sequenced"] = (rng.random(n) < 0.3).astype(float)
    columns["viral_load_ct"] = np.round(np.clip(rng.normal(24, 5, n), 11, 40), 1)
    columns["reinfection"] = (rng.random(n) < 0.06).astype(float)
    return columns


def _hospital_stay(severity: Values, rng: np.random.Generator) -> dict[str, object]:
    n = len(severity)
    hospitalised = rng.random(n) < _sigmoid(0.6 + 1.3 * severity)
    icu = hospitalised & (rng.random(n) < _sigmoid(-3.2 + 1.2 * severity))
    oxygen = hospitalised & (rng.random(n) < _sigmoid(-0.3 + 1.2 * severity))
    stay = np.where(hospitalised, np.ceil(rng.gamma(2.2, 3.4, n) + 8 * icu), 0.0)
    return {
        "hospitalised": hospitalised.astype(float),
        "days_in_hospital": stay,
        "oxygen": oxygen.astype(float),
        "high_flow_oxygen": (oxygen & (rng.random(n) < 0.2)).astype(float),
        "icu": icu.astype(float),
        "ventilated": (icu & (rng.random(n) < 0.55)).astype(float),
        "pneumonia": (rng.random(n) < _sigmoid(-0.2 + severity)).astype(float),
        "who_severity": np.clip(np.round(2.6 + 1.1 * severity), 1, 9),
        "spo2_min_pct": np.clip(np.round(rng.normal(93 - 2.4 * severity, 3)), 60, 100),
        "news2_score": np.clip(np.round(rng.normal(3 + 1.5 * severity, 1.6)), 0, 18),
    }


def _measurements(prefix: str, severity: Values, rng: np.random.Generator) -> dict[str, object]:
    return {
        f"{prefix}_{name}": np.round(
            np.maximum(rng.normal(mean + slope * severity, deviation), lowest), decimals
        )
        for name, (mean, slope, deviation, lowest, decimals) in schema.LABS.items()
    }


def _questionnaires(burden: Values, rng: np.random.Generator) -> dict[str, object]:
    return {
        name: np.clip(np.round(rng.normal(mean + slope * burden, deviation)), low, high)
        for name, (mean, slope, deviation, low, high) in schema.QUESTIONNAIRES.items()
    }


def _labels(
    site: Hospital,
    age: Values,
    female: Values,
    columns: Mapping[str, object],
    rng: np.random.Generator,
) -> Values:
    """Draw ``pasc`` from the logistic model; 2 % of the patients are never assessed (NaN)."""
    known = {**columns, "age_decades": age / 10.0, "female": female}
    score = UNMEASURED_WEIGHT * rng.normal(0.0, 1.0, len(age))
    for name, weight in LABEL_WEIGHTS.items():
        score = score + weight * np.asarray(known[name], dtype=float)
    # Centring sets the rate; 2 makes up for the flattening by a score this wide.
    chance = _sigmoid(score - score.mean() + 2.0 * _logit(site.label_rate))
    label = (rng.random(len(age)) < chance).astype(float)
    label[rng.random(len(age)) < 0.02] = np.nan
    return label


def _dates(
    days: npt.NDArray[np.int64], columns: Mapping[str, object], rng: np.random.Generator
) -> dict[str, object]:
    n = len(days)
    index = np.datetime64("2020-03-01") + days
    stay = np.asarray(columns["days_in_hospital"], dtype=float).astype(int)
    everyone = np.ones(n, dtype=bool)
    admitted = stay > 0
    recovered = index + np.maximum(stay, 7) + rng.integers(0, 10, n)
    admission = index + rng.integers(0, 4, n)
    return {
        "index_date": _date_text(index, everyone),
        "symptom_onset_date": _date_text(index - rng.integers(0, 6, n), everyone),
        "admission_date": _date_text(admission, admitted),
        "discharge_date": _date_text(admission + stay, admitted),
        "recovery_date": _date_text(recovered, everyone),
        "visit1_date": _date_text(recovered + rng.integers(60, 95, n), everyone),
        "visit2_date": _date_text(recovered + rng.integers(180, 275, n), everyone),
        "visit3_date": _date_text(recovered + rng.integers(365, 460, n), everyone),
    }


def _with_gaps(table: pd.DataFrame, site: Hospital, rng: np.random.Generator) -> pd.DataFrame:
    """Take values away, then store whole numbers as such."""
    factor = {"lab": 2.5, "comorb": 0.3, "treat": 0.5, "visit2": 1.3, "vax": 0.5}
    kept = {"patient_id", "center", "sex", "pasc", "index_date"}
    no_second_visit = rng.random(len(table)) < site.lost_to_follow_up
    gaps = {}
    for name in table.columns:
        rate = site.missing * factor.get(name.split("_")[0], 1.0) * rng.uniform(0.4, 1.6)
        if name == "age":
            rate = 0.008
        gap = rng.random(len(table)) < rate
        if name.startswith("visit2_"):
            gap |= no_second_visit
        column = table[name]
        if name not in kept:
            column = column.mask(gap)
        if column.dtype == np.float64 and bool((column.dropna() % 1 == 0).all()):
            column = column.astype("Int64")
        gaps[name] = column
    return pd.DataFrame(gaps)


def _choice(rng: np.random.Generator, n: int, options: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """Draw one option per patient, each half as likely as the one before it."""
    weights = 0.5 ** np.arange(len(options))
    return rng.choice(np.array(options, dtype=object), n, p=weights / weights.sum())


def _date_text(
    dates: npt.NDArray[np.datetime64], has: npt.NDArray[np.bool_]
) -> npt.NDArray[np.object_]:
    return _only_where(has, dates.astype("datetime64[D]").astype(str).astype(object))


def _only_where(
    has: npt.NDArray[np.bool_], values: npt.NDArray[np.object_]
) -> npt.NDArray[np.object_]:
    """Replace the other entries by None."""
    kept = values.copy()
    kept[~has] = None
    return kept


def _sigmoid(x: Values) -> Values:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _logit(share: float) -> float:
    return float(np.log(share / (1.0 - share)))
