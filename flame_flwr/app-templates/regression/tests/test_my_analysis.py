"""The coefficients, by statsmodels over all patients together; and what would break on Flower."""

import io

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from my_analysis.analysis import STUDY
from my_analysis.local import run
from my_analysis.sample import files
from statsmodels.genmod.families import Binomial

from flame_flwr.errors import NodeFailedError, PayloadError
from flame_flwr.testing import check_analysis


def patients(hospital):
    return pd.read_csv(io.BytesIO(files(hospital)["patients.csv"]))


def as_files(table):
    return [{"patients.csv": table.to_csv(index=False).encode()}]


def test_the_coefficients_are_those_of_all_patients_together():
    pooled = pd.concat(map(patients, range(3)))
    wanted = smf.glm("died ~ age + sex + C(stage)", pooled, family=Binomial())
    wanted = wanted.fit(tol=1e-14, tol_criterion="params")
    found = run().result
    assert found.nobs == len(pooled)
    assert set(found.params.index) == set(wanted.params.index)
    np.testing.assert_allclose(found.params[wanted.params.index], wanted.params, rtol=1e-8)
    np.testing.assert_allclose(found.bse[wanted.params.index], wanted.bse, rtol=1e-8)


def test_masked_sums_give_the_same():
    plain, masked = run().result, run(secure=True).result
    np.testing.assert_allclose(masked.params, plain.params, rtol=1e-10)
    assert masked.nobs_at == {}


def test_a_stage_of_few_patients_does_not_leave():
    few = patients(1).query("stage < 3 or age > 85")
    with pytest.raises(PayloadError, match=r"too few rows.*stage=3"):
        run(splits=[[files(0)], as_files(few)])


def test_other_codes_are_found_before_round_1():
    odd = patients(1).assign(died=lambda table: table["died"] + 1)
    with pytest.raises(NodeFailedError, match="column 'died' holds other"):
        run(splits=[[files(0)], as_files(odd)])


def test_nothing_in_it_would_break_on_flower():
    check_analysis(STUDY.analyzer, STUDY.strategy, [[files(0)], [files(1)]], data_type="s3")
