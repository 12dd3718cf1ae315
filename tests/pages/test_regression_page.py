"""docs/regression.md: what it shows runs here, and prints what it quotes."""

from pathlib import Path

from snippets import all_named, run_python

PAGE = Path(__file__).parents[2] / "docs" / "regression.md"

RUN = {
    "try_mortality.py": ["printed"],
    "table_one.py": ["table"],
    "curves.py": ["curves"],
    "baseline.py": ["baseline"],
    "combined.py": ["combined"],
}
"""Scripts, and the quotes of what they print."""


def test_its_python_prints_its_quotes(tmp_path):
    shown = all_named(PAGE)
    for name, code in shown.items():
        if name.endswith(".py"):
            (tmp_path / name).write_text(code)
            script = tmp_path / f"shown_{name}"
            script.write_text(code)
        elif name.startswith("shown-"):  # goes on from the script above it
            script.write_text(script.read_text() + code)
    for script, quotes in RUN.items():
        printed = {line.rstrip() for line in run_python(tmp_path, f"shown_{script}").splitlines()}
        for quote in quotes:
            assert set(shown[quote].splitlines()) <= printed
