"""Cox's baseline hazards are Breslow's: statsmodels, lifelines and a plain loop compute them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lifelines import CoxPHFitter
from regression_data import close, followed_patients
from statsmodels.duration.hazard_regression import PHReg

from flame_flwr.errors import DataError, ModelError
from flame_flwr.privacy import MinCount, Strict
from flame_flwr.regression import Cox
from flame_flwr.statistics import BaselineHazards, Statistic

TABLE = followed_patients()
SITES = [TABLE[TABLE["site"] == site] for site in range(4)]
GRID = [6.0, 12.0, 24.0, 48.0]
EVERY = np.arange(1.0, 80.0)


def cumulative(rows, risk, time, entry=None):
    """Sum up Breslow's estimator by a plain loop."""
    total = 0.0
    for moment in sorted(set(rows["months"][rows["died"] == 1])):
        if moment > time:
            break
        at_risk = rows["months"] >= moment
        if entry is not None:
            at_risk &= entry < moment
        deaths = ((rows["months"] == moment) & (rows["died"] == 1)).sum()
        total += deaths / risk[at_risk].sum()
    return total


def test_it_is_statsmodels_with_strata():
    found = Cox("months, died ~ age", baseline=EVERY).test(SITES, quiet=True).result
    model = PHReg(TABLE["months"], TABLE[["age"]], status=TABLE["died"], strata=TABLE["site"])
    wanted = model.baseline_cumulative_hazard(found.params.to_numpy())
    assert list(found.baseline_hazard) == [f"node-{site}" for site in range(4)]
    for (times, before, _), (_, hazards) in zip(wanted, found.baseline_hazard.items(), strict=True):
        # statsmodels has the hazard just before each time of an event
        close(hazards.loc[times].to_numpy()[:-1], before[1:], 1e-9)


@pytest.mark.parametrize("left", ["months, died", "since, months, died"])
def test_it_is_breslows_in_strata_within_hospitals(left):
    study = Cox(f"{left} ~ age + stage", strata="ward", baseline=GRID)
    found = study.test([*SITES, TABLE.iloc[:0]], quiet=True).result
    params, hazards = found.params, found.baseline_hazard
    assert list(hazards) == [f"node-{i}: ward={ward}" for i in range(4) for ward in "ab"]
    rows = SITES[1][SITES[1]["ward"] == "b"]
    risk = params["age"] * rows["age"]
    risk = np.exp(risk + rows["stage"].map(lambda s: params.get(f"stage[T.{s}]", 0.0)))
    entry = rows["since"] if "since" in left else None
    wanted = [cumulative(rows, risk, time, entry) for time in GRID]
    close(hazards["node-1: ward=b"], wanted, 1e-9)


def test_survival_is_predicted():
    found = Cox("months, died ~ age", baseline=GRID).test(SITES, quiet=True).result
    survival = found.predict_survival(SITES[2].iloc[:3], "node-2")
    assert survival.index.tolist() == SITES[2].index[:3].tolist()
    table = TABLE[["months", "died", "age", "site"]]
    fitted = CoxPHFitter().fit(
        table, "months", "died", strata=["site"], fit_options={"precision": 1e-12}
    )
    wanted = fitted.predict_survival_function(table[table["site"] == 2].iloc[:3], times=GRID)
    close(survival.T, wanted, 1e-6)
    risk = np.exp(found.params["age"] * SITES[2]["age"])
    wanted = np.exp(-cumulative(SITES[2], risk, 12.0) * risk.iloc[0])
    close(survival.loc[SITES[2].index[0], 12.0], wanted, 1e-9)
    # far from 0, where the hazard of a row of zeros is too small for a float
    far = [site.assign(age=site["age"] + 60_000) for site in SITES]
    moved = Cox("months, died ~ age", baseline=GRID).test(far, quiet=True).result
    close(moved.predict_survival(far[2].iloc[:3], "node-2"), survival, 1e-7)
    with pytest.raises(DataError, match="no baseline hazard of node-7"):
        found.predict_survival(SITES[2], "node-7")


def test_it_is_absent_with_secure_sums_or_unasked():
    study = Cox("months, died ~ age", baseline=GRID)
    for found in (
        study.test(SITES, quiet=True, secure=True).result,
        Cox("months, died ~ age").test(SITES, quiet=True).result,
    ):
        assert found.baseline_hazard.empty
        with pytest.raises(DataError, match="without secure sums"):
            found.predict_survival(TABLE, "node-0")
    assert [name for name, _, _ in study.files][-1] == "baseline-hazard.csv"
    assert len(study.files) == len(Cox("months, died ~ age").files) + 1


def test_rules_keep_back_times_and_strata_of_few():
    study = Cox("months, died ~ age", strata="ward", baseline=GRID)
    rare = [SITES[0].assign(ward=["a"] * 17 + ["b"] * 3), *SITES[1:]]
    plain = study.test(rare, quiet=True).result.baseline_hazard
    found = study.test(rare, quiet=True, disclosure=[MinCount(4), Strict()]).result
    hazards = found.baseline_hazard
    assert "node-0: ward=b" not in hazards
    assert all(stratum.n == 0 and stratum.events == () for stratum in found.baseline.strata)
    for name in list(hazards)[1:]:
        site, ward = SITES[int(name[5])], name[-1]
        times = site["months"][(site["ward"] == ward) & (site["died"] == 1)]
        last = 0
        for time, hazard in hazards[name].items():
            events = (times <= time).sum()
            if 0 < events - last < 4:
                assert np.isnan(hazard)
            else:
                last = events
                assert hazard == pytest.approx(plain.loc[time, name], rel=1e-9)
    assert hazards.isna().any(axis=None)
    figures = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert None in [hazard for each in figures["baseline_hazard"].values() for hazard in each]


def test_impossible_grids_and_lost_strata_are_named():
    with pytest.raises(ModelError, match="each above the one before"):
        Cox("months, died ~ age", baseline=[2, 1])
    found = Cox("months, died ~ age", strata="ward", baseline=GRID).test(SITES, quiet=True).result
    with pytest.raises(DataError, match="no column ward"):
        found.predict_survival(TABLE.drop(columns="ward"), "node-0")


@pytest.mark.parametrize(
    "stratum",
    [
        ["a", "", [0.1, -0.2], 9, [1, 2]],
        ["a", "", [0.1], 9, [1, 2]],
        ["a", "", [0.1, 0.2], 9, [1]],
        ["a", 3, [0.1, 0.2], 9, [1, 2]],
        ["a", "", [0.1, 0.2], -9, [1, 2]],
        "a",
    ],
)
def test_forged_hazards_are_refused(stratum):
    form = BaselineHazards.from_data([1, 2], [("a", "", [0.1, 0.2], 9, [1, 2])]).to_json()
    assert Statistic.from_json(form).size == 9
    with pytest.raises(ModelError):
        Statistic.from_json(form | {"strata": [stratum]})
