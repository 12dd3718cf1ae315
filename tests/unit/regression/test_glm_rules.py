"""Disclosure rules, secure sums, and the same bits whatever the runtime and the order."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from regression_data import hospitals, patients

from flame_flwr.analysis.local_run import run_local
from flame_flwr.config import RunSettings
from flame_flwr.errors import DataError, ModelError, PayloadError
from flame_flwr.privacy import MaxBins, MinCount, RowsPerParameter, Strict
from flame_flwr.regression import GLM
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarModelTester

TABLE = patients()
SITES = [TABLE.iloc[:80], TABLE.iloc[80:150], TABLE.iloc[150:]]
STUDY = GLM("died ~ age + sex + C(stage, levels=[1, 2, 3])", "binomial", levels={"sex": ["f", "m"]})


def bits(result):
    return result.params.to_numpy().tobytes(), result.covariance, result.llf


def run(study=STUDY, sites=SITES, **more):
    return study.test(sites, quiet=True, **more).result


def test_secure_sums_give_the_same_bits():
    plain, unmasked, masked = (run(secure=secure) for secure in (None, False, True))
    assert bits(unmasked) == bits(masked)
    np.testing.assert_allclose(plain.params, masked.params, rtol=1e-12)
    assert (plain.nobs_at, masked.nobs_at) == ({"node-0": 80, "node-1": 70, "node-2": 90}, {})


def test_the_run_config_may_ask_for_secure_sums():
    record, plan = RunRecord(), STUDY.model().plan
    settings = RunSettings.from_config({"secure": True})
    run_local(STUDY.strategy, plan, SITES, settings, record, simple_analysis=False)
    assert bits(record.result) == bits(run(secure=True))
    assert record.result.nobs_at == {}


def test_secure_robust_errors():
    study = GLM("died ~ age", "binomial", robust="cluster", subject="person")
    assert bits(run(study, secure=False)) == bits(run(study, secure=True))


def test_secure_sums_need_declared_levels():
    with pytest.raises(DataError, match="levels of categories must be declared: levels="):
        run(GLM("died ~ age + sex", "binomial"), secure=True)


def test_an_own_intercept_would_tell_a_part():
    with pytest.raises(ModelError, match="site_effects do not go with secure sums"):
        GLM("died ~ age", "binomial", site_effects=True).model(secure=True)


def test_order_of_hospitals_does_not_show():
    assert bits(run()) == bits(run(sites=SITES[::-1]))


def test_the_same_bits_through_messages_and_files():
    class Sent(type(STUDY.strategy)):
        def configure_train(self, server_round, arrays, config, grid):
            return list(super().configure_train(server_round, arrays, config, grid))

    files = [[{"rows.csv": site.to_csv(index=False).encode()}] for site in SITES]
    read = [pd.read_csv(io.BytesIO(split[0]["rows.csv"])) for split in files]
    sent = StarModelTester(files, STUDY.analyzer, Sent(STUDY), "s3", quiet=True).result
    assert bits(sent) == bits(run(sites=read))


def test_strict_nodes_know_all_that_is_sent():
    rules = [MinCount(3), Strict(), MaxBins(50), RowsPerParameter(2)]
    found = run(disclosure=rules)
    assert bits(found) == bits(run())
    assert found.nobs_at == {"node-0": 80, "node-1": 70, "node-2": 90}


@pytest.mark.parametrize(
    ("formula", "site", "words"),
    [
        ("died ~ age + sex", TABLE[(TABLE["sex"] == "f") | (TABLE["age"] > 78)], "sex=m"),
        ("died ~ age", TABLE.iloc[:3], "all rows"),
        ("died ~ smoker", TABLE.iloc[:60].assign(smoker=lambda t: (t["age"] > 78) * 1), "smoker o"),
        (
            "died ~ smoker",
            TABLE.iloc[:60].assign(smoker=lambda t: 1 + (t["age"] > 78)),
            "smoker of its rarest value",
        ),
        (
            "died ~ smoker",
            TABLE.iloc[:60].assign(smoker=lambda t: t["age"].where(t["age"] > 74, 1)),
            "smoker of another than its commonest value",
        ),
        (
            "died ~ age",
            TABLE[TABLE["died"] == 0].iloc[:30].assign(died=[1] * 2 + [0] * 28),
            "all rows",
        ),
    ],
)
def test_a_small_level_is_refused_by_name(formula, site, words):
    others = [other.assign(smoker=[0, 1] * (len(other) // 2)) for other in SITES[1:]]
    with pytest.raises(PayloadError) as caught:
        run(GLM(formula, "binomial"), [site, *others], disclosure=[MinCount(5)])
    assert words in caught.value.message
    assert any("node-0" in note for note in caught.value.__notes__)


def test_few_rows_for_each_parameter_are_refused():
    few = [TABLE.iloc[:20], *SITES[1:]]
    with pytest.raises(PayloadError, match="too few rows of one outcome for a regression of 5"):
        run(sites=few, disclosure=[RowsPerParameter(3)])
    study = GLM("pain ~ age", site_effects=True)  # two parameters at each hospital
    with pytest.raises(PayloadError, match="too few rows for a regression of 2 parameters"):
        run(study, few, disclosure=[RowsPerParameter(11)])
    assert run(study, few, disclosure=[RowsPerParameter(10)]).nobs


def test_people_count_and_not_rows():
    site = TABLE.iloc[:40].assign(person=[1, 2] * 20)
    study = GLM("died ~ age", "binomial", robust="cluster", subject="person")
    with pytest.raises(PayloadError, match="too few rows"):
        run(study, [site, *SITES[1:]], disclosure=[MinCount(5)])


def test_a_rare_level_that_no_hospital_may_name():
    site = TABLE.iloc[:60].assign(sex=["x"] * 2 + ["f", "m"] * 29)
    with pytest.raises(DataError, match="too rare to be named, or not declared"):
        run(GLM("died ~ sex", "binomial"), [site, *SITES[1:]], disclosure=[MinCount(5)])


def test_an_analyzer_is_subclassed_as_any_other():
    class Old(STUDY.analyzer):
        def table(self, data):
            return data[data["age"] > 50]

    found = StarModelTester(SITES, Old, STUDY.strategy, "s3", quiet=True).result
    assert found.nobs == (TABLE["age"] > 50).sum()


def test_a_model_writes_its_files(tmp_path):
    model = STUDY.model(disclosure=[MinCount(5)])
    names = model.outputs.names
    strategy = model.strategy()
    StarModelTester(SITES, STUDY.analyzer, strategy, "s3", filename=tmp_path, quiet=True)
    assert sorted(names) == sorted(p.name for p in tmp_path.iterdir() if p.name in names)
    assert "odds ratio" in (tmp_path / "coefficients.csv").read_text()


def test_hospitals_of_unlike_levels_agree():
    assert run(GLM("died ~ sex + C(stage)", "binomial"), hospitals(TABLE)).nobs == len(TABLE)
