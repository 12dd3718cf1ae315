"""What the README shows is what happens."""

from pathlib import Path

import numpy as np
from snippets import texts

import pooled
from fedstats.hospitals import SEED

EXAMPLE = Path(__file__).parents[1]
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_the_report_quoted_is_the_report(study):
    [quoted] = texts(EXAMPLE / "README.md", "text", starts="Cox regressions")
    assert study.result.startswith(quoted)


def test_the_snippet_runs(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    [snippet] = texts(EXAMPLE / "README.md", "python")
    exec(snippet, {})
    report = tmp_path / "results" / "meta_analysis.txt"
    assert report.read_text(encoding="utf-8") == study.result


def test_the_comparison_quoted_is_what_it_prints(monkeypatch, capsys):
    monkeypatch.setattr(pooled, "DRAWS", 2)
    pooled.main()
    table = capsys.readouterr().out.split("\n\n")[0]
    assert len(table.splitlines()) == 6
    assert table in README


def test_a_sample_of_the_draws_is_as_quoted():
    estimate, error = pooled.one_place()
    worst = [
        np.abs((pooled.federated(seed)["estimate"] - estimate) / error).max()
        for seed in (0, 1, 2, 3, 5)
    ]
    assert max(worst) < 1.21
    assert 0.1 < np.median(worst) < 0.6


def test_the_largest_difference_is_the_quoted_one():
    estimate, error = pooled.one_place()
    away = (pooled.federated(SEED)["estimate"] - estimate) / error
    assert f"{away[np.abs(away).argmax()]:+.2f}" == "-0.25"
