"""The figure's example prints what its README says, and its numbers are those of all rows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from lifelines.statistics import logrank_test
from snippets import run_python, texts

EXAMPLE = Path(__file__).parents[1]
sys.path.insert(0, str(EXAMPLE))

import recurrence  # noqa: E402
import recurrence_free  # noqa: E402


def test_it_prints_its_readmes_words_and_draws(tmp_path):
    printed = run_python(tmp_path, EXAMPLE / "recurrence_free.py").splitlines()
    [shown] = texts(EXAMPLE / "README.md", "text", "recurrence_free")
    assert set(shown.splitlines()) <= {line.rstrip() for line in printed}
    picture = (tmp_path / "recurrence_free.svg").read_text()
    for text in ("Number at risk", "horTh", "440", "246"):
        assert f">{text}</text>" in picture
    assert (tmp_path / "recurrence_free.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_log_rank_is_that_of_all_rows():
    splits = [recurrence_free.by_month(table) for table in recurrence.hospitals()]
    found = recurrence_free.CURVES.test(splits, quiet=True).result
    women = recurrence_free.by_month(recurrence.women())
    yes, no = (women[women["horTh"] == group] for group in ("yes", "no"))
    wanted = logrank_test(yes["months"], no["months"], yes["cens"], no["cens"])
    np.testing.assert_allclose(found.p, wanted.p_value, rtol=1e-9)
    assert found.medians()["events"].tolist() == [no["cens"].sum(), yes["cens"].sum()]
