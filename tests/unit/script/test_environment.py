"""What a FLAME script sees while it runs, and what is as before afterwards."""

import colorsys  # a module that the framework itself does not use
import os
import sys
import textwrap
import threading
import types
from pathlib import Path

import pytest

from flame_flwr.star.script import load_script, run_script

from .small_scripts import MODEL, analysis, script


def test_a_script_sees_what_python_shows(log):
    script("VALUE = __name__\nFILE = __file__\n", "scripts/helper.py")
    script("from . import inner\nfrom .inner import VALUE\n", "scripts/tools/__init__.py")
    script("VALUE = 'tools.inner'\n", "scripts/tools/inner.py")
    script("relative\n", "notes.txt")
    path = analysis(
        """
        import sys, os, __main__, helper, tools.inner
        from pathlib import Path
        from dataclasses import dataclass

        import flame
        import flame.star as again
        from flame import star

        @dataclass
        class Point:
            x: "int"

        SEEN = {
            "name": __name__, "file": __file__, "argv": sys.argv, "path": sys.path[0],
            "doc": __doc__, "spec": __spec__, "helper": helper.VALUE, "inner": tools.VALUE,
            "relative": Path("notes.txt").read_text(), "cwd": os.getcwd(),
            "main": __main__.Point is Point, "alias": flame.star is again is star,
        }

        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                import lazily
                from flame.star import StarModel
                return pickle_of(Point(lazily.VALUE))

        def pickle_of(value):
            import pickle
            return pickle.loads(pickle.dumps(value)).x

        def main():
            StarModel(Analyzer, Aggregator, "none", filename="seen.txt")
            SEEN["after"] = Path("results/seen.txt").read_text()
            Path("seen.txt").write_text(repr(SEEN))

        if __name__ == "__main__":
            main()
        """,
        "scripts/analysis.py",
    )
    script("VALUE = 42\n", "scripts/lazily.py")
    done = run_script("scripts/analysis.py", nodes=2)
    assert done.record.result == [42, 42]
    seen = eval(Path("seen.txt").read_text())
    assert seen == {
        "name": "__main__",
        "file": str(path.absolute()),
        "argv": [str(path.absolute())],
        "path": str(path.parent.absolute()),
        "doc": None,
        "spec": None,
        "helper": "helper",
        "inner": "tools.inner",
        "relative": "relative\n",
        "cwd": os.getcwd(),
        "main": True,
        "alias": True,
        "after": "[42, 42]",
    }
    assert "Final result: [42, 42]" in log.text
    assert f"Final result written to {Path('results/seen.txt').absolute()}" in log.text


def test_a_linked_script_has_the_real_ones_modules():
    script("VALUE = 8\n", "real/helper.py")
    analysis("import helper\nassert helper.VALUE == 8\n" + MODEL, "real/analysis.py")
    Path("link.py").symlink_to("real/analysis.py")
    assert run_script("link.py", nodes=1).record.result == [None]


def test_flame_star_has_the_frameworks_classes():
    import flame_flwr.star as ours

    path = analysis(
        """
        import flame.star, flame_flwr.star
        for name in flame_flwr.star.__all__:
            assert getattr(flame.star, name) is getattr(flame_flwr.star, name), name
        assert dir(flame.star)
        StarModelTester([1, 2], Analyzer, Aggregator, "s3", result_filepath="there/result.txt")
        """
    )
    run_script(path)
    assert Path("there/result.txt").read_text() == "[1, 2]"
    assert ours.__name__ == "flame_flwr.star"


ENDS = {
    "well": ("", None),
    "sys.exit()": ("sys.exit()", None),
    "sys.exit(3)": ("sys.exit(3)", SystemExit),
    "an exception": ("1 / 0", ZeroDivisionError),
    "an exception in an analyzer": ("broken(StarModel)", LookupError),
    "a wrong model": ("StarModel(Analyzer(), Aggregator, 's3')", TypeError),
    "a syntax error": ("def (:", SyntaxError),
    "an interrupt": ("raise KeyboardInterrupt", KeyboardInterrupt),
}


def state():
    modules = {
        name: module
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("flame", "__main__", "helper", "analysis", "tools")
    }
    return modules, list(sys.path), sys.path, list(sys.argv), sys.argv, os.getcwd()


@pytest.mark.parametrize("end", ENDS)
def test_pythons_state_is_restored(end):
    code, error = ENDS[end]
    script("STATE = []\n", "helper.py")
    script("", "tools/__init__.py")
    path = analysis(
        f"""
        import helper, os, sys
        import tools, flame.star
        sys.path.insert(0, "/nowhere")
        sys.path.append("/nowhere/else")
        sys.argv.append("more")
        os.makedirs("elsewhere", exist_ok=True)
        os.chdir("elsewhere")
        sys.modules["colorsys"] = None
        helper.STATE.append(1)
        assert helper.STATE == [1]

        def broken(model):
            class Broken(Analyzer):
                def analysis_method(self, data, aggregator_results):
                    raise LookupError("no column")
            model(Broken, Aggregator, "none")

        StarModelTester([1], Analyzer, Aggregator, "s3")
        {code}
        """
    )
    for _ in range(2):
        before = state()
        if error is None:
            run_script(path, nodes=1)
        else:
            with pytest.raises(error):
                run_script(path, nodes=1)
        after = state()
        assert after == before
        assert after[2] is before[2]
        assert after[4] is before[4]
        assert all(after[0][name] is module for name, module in before[0].items())
        assert sys.modules["colorsys"] is colorsys


def test_an_unrelated_flame_stays_imported(monkeypatch):
    script("raise RuntimeError('the one on PyPI')\n", "site/flame/__init__.py")
    monkeypatch.syspath_prepend("site")
    path = analysis(MODEL)
    assert run_script(path, nodes=1).record.result == [None]
    assert "flame" not in sys.modules

    unrelated, part = types.ModuleType("flame"), types.ModuleType("flame.optim")
    monkeypatch.setitem(sys.modules, "flame", unrelated)
    monkeypatch.setitem(sys.modules, "flame.optim", part)
    assert run_script(path, nodes=1).record.result == [None]
    assert sys.modules["flame"] is unrelated
    assert sys.modules["flame.optim"] is part
    assert "flame.star" not in sys.modules


@pytest.mark.parametrize(
    ("place", "said"), [("flame.py", True), ("flame/__init__.py", True), ("flame/data.csv", False)]
)
def test_a_flame_beside_the_script_is_unused(log, place, said):
    script("raise RuntimeError('a copy of the reference')\n", place)
    assert run_script(analysis(MODEL), nodes=1).record.result == [None]
    assert ("the module `flame` beside analysis.py is not used" in log.text) is said


def test_two_scripts_have_helpers_of_their_own(monkeypatch):
    mine = types.ModuleType("helper")
    monkeypatch.setitem(sys.modules, "helper", mine)
    monkeypatch.setitem(sys.modules, "helper.part", types.ModuleType("helper.part"))
    for name in "ab":
        script(f"VALUE = ['{name}']\n", f"{name}/helper.py")
        text = "import helper\nhelper.VALUE.append(1)\nSEEN = helper.VALUE\n"
        text += 'StarModelTester([SEEN], Analyzer, Aggregator, "s3", filename="seen.txt")\n'
        analysis(text, f"{name}/analysis.py")
    for name in "abab":
        run_script(f"{name}/analysis.py")
        assert Path("seen.txt").read_text() == f"[['{name}', 1]]"
        assert sys.modules["helper"] is mine
        assert "helper.part" in sys.modules


def test_a_callers_module_is_shared(monkeypatch):
    script("VALUE = []\n", "helper.py")
    monkeypatch.syspath_prepend(os.getcwd())
    import helper

    try:
        run_script(analysis("import helper\nhelper.VALUE.append(1)\n" + MODEL), nodes=1)
        assert helper.VALUE == [1]
        assert sys.modules["helper"] is helper
    finally:
        del sys.modules["helper"]


def test_installed_packages_stay_imported(monkeypatch):
    """Compiled packages cannot be imported twice in one process."""
    script("", ".venv/site-packages/installed_lib/__init__.py")
    monkeypatch.syspath_prepend(".venv/site-packages")
    try:
        run_script(analysis("import installed_lib\n" + MODEL), nodes=1)
        assert "installed_lib" in sys.modules
    finally:
        sys.modules.pop("installed_lib", None)


def test_folders_on_the_path_are_the_scripts():
    script("VALUE = 3\n", "common/helper.py")
    text = """
        import sys, os
        sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
        import helper

        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                return helper.VALUE
        """
    path = analysis(textwrap.dedent(text) + MODEL, "study/analysis.py")
    assert run_script(path, nodes=1).record.result == [3]
    assert "helper" not in sys.modules


def test_a_stdlib_module_keeps_its_name():
    script("raise RuntimeError\n", "json.py")
    import json

    run_script(analysis("import json\njson.dumps(1)\n" + MODEL), nodes=1)
    assert sys.modules["json"] is json


def test_only_one_thread_runs_a_script():
    path = analysis(
        """
        import threading
        from flame_flwr.script.runner import run_script

        def other():
            try:
                run_script(__file__, nodes=1)
            except Exception as error:
                open("said.txt", "w").write(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
        """
        + textwrap.indent(MODEL, " " * 8)
    )
    before = set(threading.enumerate())
    run_script(path, nodes=1)
    assert "another thread of this process runs a script" in Path("said.txt").read_text()
    assert set(threading.enumerate()) <= before


def test_a_script_may_run_another():
    analysis("import tools\n" + MODEL, "inner/analysis.py")
    script("", "inner/tools.py")
    text = """
        from flame_flwr.script.runner import run_script
        import sys
        inside = run_script("inner/analysis.py", nodes=3, results="inner/out").record.result
        assert "tools" not in sys.modules
        assert sys.modules["__main__"].inside == [None] * 3
        """
    done = run_script(analysis(textwrap.dedent(text) + MODEL), nodes=2)
    assert done.record.result == [None, None]


def test_the_frameworks_future_imports_stay_out():
    """Annotations are values in the script, whatever the framework itself imports."""
    path = analysis("def f(x: int): ...\nassert f.__annotations__ == {'x': int}\n" + MODEL)
    run_script(path, nodes=1)


def test_an_environment_can_be_entered_again():
    script("VALUE = [0]\n", "helper.py")
    path = analysis("import helper\n" + MODEL)
    environment = load_script(path.absolute()).environment
    assert environment.helpers() == ["helper"]
    for i in range(3):
        with environment.entered():
            import flame.star
            import helper

            assert helper.VALUE[0] == i
            helper.VALUE[0] += 1
            assert sys.modules["__main__"] is environment.main
            assert flame.star.StarModel
        assert "helper" not in sys.modules
        assert "flame" not in sys.modules
