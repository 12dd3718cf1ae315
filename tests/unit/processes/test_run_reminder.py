"""``python study.py`` of a script that only builds a model says how to run it, and only that."""

import builtins
import os
import subprocess
import sys
from types import ModuleType

import pytest

from flame_flwr.processes import run_reminder
from flame_flwr.star.script import run_script

TESTER_IMPORT = "from flame_flwr.star import StarModelTester\n"
CLASSES = f"""
from flame_flwr.star import StarAggregator, StarAnalyzer, StarLocalDPModel, StarModel
{TESTER_IMPORT}

class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return True


"""
BUILD = 'model = StarModel(Analyzer, Aggregator, "s3")\n'
IN_MAIN = """
def main():
    StarLocalDPModel(Analyzer, Aggregator, "none")


if __name__ == "__main__":
    main()
"""
APPS = BUILD + "server_app = model.server_app\nclient_app = model.client_app\n"


@pytest.fixture
def python(tmp_path, monkeypatch, capsys):
    """Run a script as ``python`` would, in this process, and return what it says at its end."""

    def run(text, name="study.py", before_the_end=lambda: None, **attributes):
        monkeypatch.setattr(run_reminder, "_seen", [])
        monkeypatch.setattr(run_reminder, "_ran", [])
        monkeypatch.delattr(sys, "last_type", raising=False)
        at_exit = []
        monkeypatch.setattr("atexit.register", at_exit.append)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CLASSES + text)
        main = ModuleType("__main__")
        vars(main).update({"__file__": str(path), **attributes})
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.chdir(tmp_path)
        exec(compile(path.read_text(), str(path), "exec"), vars(main))
        before_the_end()
        vars(main).pop("__file__")  # as Python does
        capsys.readouterr()
        for say in at_exit:
            say()
        return capsys.readouterr().out

    return run


WORDS = "has built a StarModel, which runs nothing by itself. This runs it: flame-flwr "


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (BUILD, "run study.py --data FOLDER_0 --data FOLDER_1"),
        (APPS, "run study.py --data FOLDER_0 --data FOLDER_1"),
        (BUILD + BUILD, "run study.py --data FOLDER_0 --data FOLDER_1"),
        (IN_MAIN, "run study.py --nodes 2"),
    ],
)
def test_one_line_says_how_to_run_it(python, text, command):
    assert python(text) == f"study.py {WORDS}{command}\n"


def test_its_path_is_as_one_types_it(python):
    assert WORDS + "run 'my studies/a b.py' --data" in python(BUILD, "my studies/a b.py")


def test_a_module_of_an_app_is_submitted(python, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").touch()
    said = python(BUILD, "app/pkg/analysis.py", __package__="pkg")
    assert said == f"analysis.py {WORDS}submit app --simulate 2\n"


TESTER = 'StarModelTester([[1], [2]], Analyzer, Aggregator, "none", quiet=True)\n'
SIMULATED = """
from flame_flwr.cli.submit import Federation, submit
try:
    submit("nowhere", Federation("x", {}))
except Exception:
    pass
"""
SERVED = """
try:
    server_app(grid=None, context=None)
except AttributeError:
    pass
"""
CHECKED = """
from flame_flwr.testing import check_analysis
try:
    check_analysis(Analyzer, Aggregator, [[1], [2]], "none", max_rounds=0)
except Exception:
    pass
"""


@pytest.mark.parametrize("text", [TESTER, SERVED, SIMULATED, CHECKED])
def test_a_script_that_runs_is_not_reminded(python, text):
    assert python(APPS + text) == ""
    assert python(APPS) != ""


BUSY = """
import subprocess
import sys
busy = "import time\\nwhile time.process_time() < 0.15: pass"
subprocess.run([sys.executable, "-S", "-c", busy], check=True)
"""


def test_a_script_that_starts_programs_is_not_reminded(python, monkeypatch):
    monkeypatch.setattr(run_reminder, "_MUCH", 0.1)
    assert python(APPS + BUSY) == ""
    assert python(BUSY + APPS) != ""
    assert python(APPS + BUSY.replace("0.15", "0.0")) != ""


def test_a_script_that_builds_none_is_not_told(python):
    assert python("") == ""
    assert python(TESTER) == ""


def test_models_that_others_build_are_not_the_scripts(python, tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text(CLASSES + BUILD + "def build():\n    " + BUILD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "elsewhere", raising=False)
    assert python("import elsewhere\n") == ""
    assert python("import elsewhere\nelsewhere.build()\n") == ""


def test_flame_flwrs_own_script_is_not_reminded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_reminder, "_seen", [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(CLASSES + IN_MAIN)
    run_script("study.py", nodes=2, report="off", tensorboard="off")
    assert run_reminder._seen == []


def test_notebooks_prompts_and_children_are_not_reminded(python, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__IPYTHON__", True, raising=False)
        assert python(BUILD) == ""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "ps1", ">>> ", raising=False)
        assert python(BUILD) == ""
    assert python(BUILD, __name__="__mp_main__") == ""
    assert python(BUILD, __file__="<stdin>") == ""
    assert python(BUILD, before_the_end=lambda: monkeypatch.setattr(os, "getpid", lambda: 1)) == ""


def test_after_an_error_only_the_error_is_shown(python, monkeypatch):
    def fail():
        monkeypatch.setattr(sys, "last_type", ValueError, raising=False)

    assert python(BUILD, before_the_end=fail) == ""


def test_it_is_so_with_python_itself(tmp_path):
    script = CLASSES.replace(TESTER_IMPORT, "") + BUILD  # what else is imported costs a second
    (tmp_path / "study.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "study.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"study.py {WORDS}run study.py --data FOLDER_0 --data FOLDER_1\n"
    assert done.stderr == ""
    (tmp_path / "study.py").write_text(script + "raise ValueError\n")
    done = subprocess.run(
        [sys.executable, "study.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
