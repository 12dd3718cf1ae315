"""What ``flame-flwr node start --preload`` imports once."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

import flame_flwr
from flame_flwr.node.fork_server import preload

LATE = [
    f"flame_flwr.{path.parent.name}"
    for path in sorted(Path(flame_flwr.__file__).parent.glob("*/__init__.py"))
    if "__preload__" in path.read_text()
]


def test_what_a_package_imports_late_is_imported(tmp_path, monkeypatch):
    (tmp_path / "late_study.py").write_text("__preload__ = ('late_needed', 'late_missing')")
    (tmp_path / "late_needed.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert preload(["late_study", "no_such_module"]) == {
        "late_study": "ModuleNotFoundError: No module named 'late_missing'",
        "no_such_module": "ModuleNotFoundError: No module named 'no_such_module'",
    }
    assert sys.modules.pop("late_needed")
    del sys.modules["late_study"]


@pytest.mark.parametrize("package", LATE)
def test_what_it_says_is_there_to_import(package):
    assert len(LATE) == 3
    for name in importlib.import_module(package).__preload__:
        assert importlib.util.find_spec(name.partition(".")[0]), name
        assert not name.startswith("flame_flwr.") or importlib.util.find_spec(name), name
