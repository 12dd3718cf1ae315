"""The README's Python runs here, it is short, and it leads to pages that there are.

Its commands run in ``tests/integration/test_readme_commands.py``.
"""

from pathlib import Path

from snippets import blocks, run_python

README = Path(__file__).parents[2] / "README.md"


def test_the_thirty_lines_run_as_they_stand(tmp_path):
    python = {each.name: each.text for each in blocks(README) if each.language == "python"}
    assert set(python) == {"ages.py", "try_ages.py"}
    assert len(python["ages.py"].splitlines()) <= 32
    for name, code in python.items():
        (tmp_path / name).write_text(code)
    printed = run_python(tmp_path, "try_ages.py")
    assert "[node-1, round 1] 3 patients with an age" in printed
    assert "Final result: 5 patients, 59.6 years on average, deviation 8.3" in printed


def test_every_block_is_run():
    names = [each.name or each.language for each in blocks(README)]
    assert names == ["bash", "text", "ages.py", "try_ages.py", "run"]


def test_it_is_read_in_five_minutes():
    assert len(README.read_text().splitlines()) < 150
