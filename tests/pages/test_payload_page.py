"""docs/payload.md: its table is the code's, and its Python runs here."""

from pathlib import Path

from snippets import all_named, run_python

from flame_flwr.payload.table import as_markdown

PAGE = Path(__file__).parents[2] / "docs" / "payload.md"


def test_its_table_is_the_codes():
    assert as_markdown() in PAGE.read_text(encoding="utf-8")


def test_its_python_runs(tmp_path):
    for name, code in all_named(PAGE).items():
        (tmp_path / name).write_text(code)
        run_python(tmp_path, name)
