"""The logistic regression beside the vector machine: its features, its numbers, its files."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from snippets import texts

from flame_flwr.star import StarModelTester
from halta.analysis import RESULT_FILENAMES
from halta.cohort import LABEL, load_cohort
from halta.features import feature_matrix
from halta.odds import FEATURES, STUDY, OddsAnalyzer, model


def odds(splits, secure):
    arguments = {"quiet": True, "secure": secure}
    return StarModelTester(splits, OddsAnalyzer, STUDY.strategy, "s3", **arguments).result


@pytest.fixture(scope="module")
def found(splits):
    """On the grid of masked sums, which loses no digit of these."""
    return odds(splits, secure=False)


def test_it_has_the_features_of_the_study(study):
    assert study.aggregate["features"] == FEATURES


def test_it_is_that_of_all_patients(splits, found):
    cohorts = [load_cohort(split) for split in splits]
    pooled = np.vstack([feature_matrix(c.table[c.known], FEATURES) for c in cohorts])
    filled = pd.DataFrame(pooled, columns=FEATURES)
    filled = sm.add_constant(filled.fillna(filled.mean()))
    labels = np.concatenate([c.labels[c.known] for c in cohorts])
    wanted = sm.GLM(labels, filled, family=sm.families.Binomial())
    wanted = wanted.fit(tol=1e-14, tol_criterion="params")
    assert found.nobs == len(labels)
    assert list(found.params.index) == ["Intercept", *FEATURES]
    bound = 1e-9 * np.maximum(np.abs(wanted.params), wanted.bse)
    assert (np.abs(found.params.to_numpy() - wanted.params.to_numpy()) <= bound.to_numpy()).all()
    np.testing.assert_allclose(found.bse, wanted.bse, rtol=1e-9)
    intervals = np.exp(wanted.conf_int()).to_numpy()
    ratios = found.to_frame()[["odds ratio, lower", "odds ratio, upper"]]
    np.testing.assert_allclose(ratios, intervals, rtol=1e-8)


def test_masked_it_has_the_same_bits(splits, found):
    masked = odds(splits, secure=True)
    assert masked.params.to_numpy().tobytes() == found.params.to_numpy().tobytes()
    assert (masked.covariance, masked.llf) == (found.covariance, found.llf)
    assert masked.nobs_at == {}  # nobody knows how many are at a hospital


def test_the_readme_has_its_odds_ratios(found, study):
    [quoted] = texts(Path(__file__).parents[1] / "README.md", "text", "odds")
    weights = dict(zip(study.aggregate["features"], study.aggregate["coef"], strict=True))
    strongest = sorted(weights, key=lambda name: -abs(weights[name]))[:8]
    lines = [line.split() for line in quoted.splitlines()[1:]]
    assert [line[0] for line in lines] == strongest
    columns = ["odds ratio", "odds ratio, lower", "odds ratio, upper"]
    for name, ratio, low, _, high, p in lines:
        shown = [f"{figure:.2f}" for figure in found.to_frame().loc[name, columns]]
        assert [ratio, low, high] == shown
        assert (p == "<0.0001") == (found.pvalues[name] < 1e-4)


def test_its_files_stand_beside_the_four(found):
    files = {name: make(found) for name, _, make in model.strategy().outputs}
    assert files.keys().isdisjoint(RESULT_FILENAMES)
    table = pd.read_csv(io.StringIO(files["coefficients.csv"]), index_col=0)
    assert list(table.index[1:]) == FEATURES
    assert f"{LABEL} ~ " in files["summary.txt"]
