"""The README's Python runs here, and its tables and quotations are those of the code.

Its commands run in ``tests/integration/test_readme_commands.py``.
"""

import re
from pathlib import Path

from snippets import block, blocks, run_python

from flame_flwr.config import NODE_KEYS, RUN_KEYS

README = Path(__file__).parents[2] / "README.md"


def test_the_thirty_lines_run_as_they_stand(tmp_path):
    python = {each.name: each.text for each in blocks(README) if each.language == "python"}
    assert set(python) == {"ages.py", "try_ages.py", "check_ages.py", "regression.py"}
    assert len(python["ages.py"].splitlines()) <= 32
    for name, code in python.items():
        (tmp_path / name).write_text(code)
    printed = run_python(tmp_path, "try_ages.py")
    assert "[node-1, round 1] 3 patients with an age" in printed
    assert "Final result: 5 patients, 59.6 years on average, deviation 8.3" in printed
    run_python(tmp_path, "check_ages.py")
    assert "odds ratio" in run_python(tmp_path, "regression.py")


def test_the_tables_have_all_keys():
    text = README.read_text()
    set_by_flower = {"partition-id", "num-partitions"}
    for keys in (RUN_KEYS, NODE_KEYS):
        for name, key in keys.items():
            default = "" if key.default == "" else f"`{key.default}` "
            line = f"| `{name}` | {default}| {key.doc} |"
            assert (line in text) != (name in set_by_flower), line


def test_every_block_is_run():
    known = {"ages.py", "try_ages.py", "pyproject.toml", "config.toml", "simulation", "deployment"}
    known |= {"quickstart", "run", "new", "check_ages.py", "results", "regression.py"}
    unnamed = [each.language for each in blocks(README) if each.name not in known]
    assert unnamed == ["bash", "text"]  # make demo and make test, and what the demo prints


def test_the_quickstart_prints_what_is_quoted(tmp_path):
    app = README.parent / "examples" / "quickstart" / "app.py"
    printed = [without_time(line) for line in run_python(tmp_path, app).splitlines()]
    for line in block(README, "quickstart").splitlines():
        assert without_time(line) in printed


def without_time(line):
    return re.sub(r"[0-9.]+ s, ", "", line)
