"""What the README shows is what happens."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from snippets import texts

import compare

EXAMPLE = Path(__file__).parents[1]
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_the_snippet_runs(tmp_path, monkeypatch, run, splits):
    monkeypatch.chdir(tmp_path)
    [snippet] = texts(EXAMPLE / "README.md", "python")
    exec(snippet, {})
    written = pickle.loads((tmp_path / "results" / "coefficients.pkl").read_bytes())
    np.testing.assert_array_equal(written, run(splits).result)


def test_the_counts_quoted_are_the_runs(run, splits):
    evaluations = run(splits).evaluations
    assert len(evaluations) == len(splits)
    for node, score in evaluations.items():
        assert f"{node}: right for {score['correct']} of {score['n_test']} held-out" in README


@pytest.mark.parametrize("column", range(3))
def test_the_table_is_the_runs(splits, column):
    """To two patients of 140 and two digits: another processor may round a step otherwise."""
    lines = [line.ljust(65) for line in re.findall(r"^ {3,4}\d+ .*$", README, re.MULTILINE)]
    assert [int(line[:5]) for line in lines] == list(range(1, 12))
    scaling = compare.SCALINGS[column]
    found = compare.aggregates(splits, scaling)
    shares = compare.accuracies(splits, scaling, found)
    change = compare.changes(found)
    for i, line in enumerate(lines):
        cell = line[6 + 9 * column : 15 + 9 * column].strip()
        assert bool(cell) == (not np.isnan(shares[i]))
        if cell:
            assert float(cell.rstrip("%")) / 100 == pytest.approx(shares[i], abs=2.5 / 140)
        cell = line[38 + 9 * column : 47 + 9 * column].strip()
        assert bool(cell) == (not np.isnan(change[i]))
        if cell:
            assert float(cell) == pytest.approx(change[i], rel=0.06)


def test_the_optimum_quoted(splits):
    quoted = re.search(r"trained to the optimum: ([\d.]+)%", README)[1]
    assert float(quoted) / 100 == pytest.approx(compare.pooled(splits), abs=0.001)


def test_merged_scaling_reaches_the_tutorials_tolerance(run, splits):
    tester = run(splits, scaling="merged", aggregator_kwargs={"max_iter": 1000})
    assert tester.rounds == pytest.approx(110, abs=20)


@pytest.mark.exhaustive
def test_one_draw_of_compare_follows_the_readme():
    """The same share of ill patients everywhere: both scalings do well; else only one does."""
    last = {}
    for hospitals in (compare.HOSPITALS, compare.SAME_MIX):
        for scaling in ("site", "merged"):
            shares = []
            for seed in range(4):
                drawn = compare._splits(hospitals, seed)
                found = compare.aggregates(drawn, scaling)[-1:]
                shares += compare.accuracies(drawn, scaling, found)
            last[hospitals, scaling] = np.mean(shares)
    assert last[compare.HOSPITALS, "merged"] - last[compare.HOSPITALS, "site"] > 0.02
    assert abs(last[compare.SAME_MIX, "merged"] - last[compare.SAME_MIX, "site"]) < 0.02
