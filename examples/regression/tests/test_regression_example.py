"""The example prints what its README says, and its numbers are those of all rows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from formulaic import Formula
from snippets import run_python, texts

EXAMPLE = Path(__file__).parents[1]
sys.path.insert(0, str(EXAMPLE))

import recurrence  # noqa: E402


def test_it_prints_its_readmes_words_and_draws(tmp_path):
    printed = run_python(tmp_path, EXAMPLE / "recurrence.py").splitlines()
    [shown] = texts(EXAMPLE / "README.md", "text", "recurrence")
    assert set(shown.splitlines()) <= {line.rstrip() for line in printed}
    drawn = {"table_one": "menostat, n (%)", "odds": "grade[T.III]", "hazards": "grade[T.III]"}
    for name, text in drawn.items():
        assert f">{text}</text>" in (tmp_path / f"{name}.svg").read_text()


def test_its_logistic_regression_is_that_of_all_rows():
    women = recurrence.women()
    found = recurrence.WITHIN_TWO_YEARS.test(recurrence.hospitals(), quiet=True).result
    design = Formula(recurrence.TERMS).get_model_matrix(women)
    model = sm.GLM(women["early"], design, family=sm.families.Binomial())
    wanted = model.fit(tol=1e-14, tol_criterion="params")
    np.testing.assert_allclose(found.params, wanted.params, rtol=1e-9)
    np.testing.assert_allclose(found.bse, wanted.bse, rtol=1e-10)
