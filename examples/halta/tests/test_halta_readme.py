"""What the README shows is what happens."""

from pathlib import Path

from snippets import texts

from halta.analysis import RESULT_FILENAMES

EXAMPLE = Path(__file__).parents[1]
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_the_report_quoted_is_the_report(study):
    [quoted] = texts(EXAMPLE / "README.md", "text", starts="8. The model's")
    assert quoted in study.report


def test_the_log_quoted_is_the_run(study):
    assert f"coefficients changed by {study.aggregate['change']:.4f}" in README
    assert f"{len(study.aggregate['features'])} features agreed on" in README


def test_the_snippet_runs(tmp_path, monkeypatch, study):
    monkeypatch.chdir(tmp_path)
    [snippet] = texts(EXAMPLE / "README.md", "python")
    exec(snippet, {})
    report = tmp_path / "results" / RESULT_FILENAMES[1]
    assert report.read_text(encoding="utf-8") == study.report
