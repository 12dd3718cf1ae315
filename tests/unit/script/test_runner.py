"""FLAME scripts as they are: run in this process, loaded for Flower, and what they leave behind.

The scripts in ``tests/scripts`` are those of FLAME's own tutorials, word for word.
"""

import colorsys  # a module that the framework itself does not use
import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import types
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flame_flwr.cli import commands
from flame_flwr.cli.script_simulation import simulate_script
from flame_flwr.errors import ConfigError, DataError, ModelError
from flame_flwr.script.runner import ScriptError, load_script, run_script

SCRIPTS = Path(__file__).parents[2] / "scripts"

HEAD = """
from flame.star import *


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True

"""

MODEL = """
if __name__ == "__main__":
    StarModel(Analyzer, Aggregator, "none", output_type="pickle")
"""


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch, caplog):
    """Work in an empty folder, with the framework's log at hand."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "flame_flwr")
    return caplog


def script(text, name="analysis.py"):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def analysis(text, name="analysis.py", head=HEAD):
    return script(head + textwrap.dedent(text), name)


def hospitals(number=2, name="labeled.csv"):
    """Write folders of invented patients and return their names."""
    random = np.random.default_rng(7)
    for i in range(number):
        Path(f"hospital-{i}").mkdir()
        rows = random.normal(size=(30 + 10 * i, 4))
        table = pd.DataFrame(rows, columns=["age", "b", "c", "d"])
        table["age"] = 50 + 10 * table["age"]
        table["label"] = (rows[:, 1] + rows[:, 2] > 0).astype(int)
        table.to_csv(f"hospital-{i}/{name}", index=False)
    return [f"hospital-{i}" for i in range(number)]


def command(*arguments):
    """Run the command in this process and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["flame-flwr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            commands.main()
    return ended.value.code or 0


def state():
    modules = {
        name: module
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("flame", "__main__", "helper", "analysis", "tools")
    }
    return modules, list(sys.path), sys.path, list(sys.argv), sys.argv, os.getcwd()


# ---- the tutorials' scripts ------------------------------------------------------------------


def test_the_guides_complete_example_runs_word_for_word(log, monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # where it is set, a tester is quiet
    path = script((SCRIPTS / "guide.txt").read_text())
    assert run_script(path).files == ()
    average, local = None, [2.5, 6.5]
    for _ in range(6):
        values = local if average is None else [(mine + average) / 2 + 0.5 for mine in local]
        average = sum(values) / 2
    assert f"Final result: {average}" in log.text
    assert "[aggregator, round 6] \tChecking convergence at iteration 5" in log.text
    assert list(Path().iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("call", ["", '\n\nif __name__ == "__main__":\n    main()\n'])
def test_the_pancreas_tutorial_runs_word_for_word_with_the_numbers_of_a_plain_loop(call, log):
    from sklearn.linear_model import LogisticRegression

    folders = hospitals(3, "pancreasData.csv")
    path = script((SCRIPTS / "pancreas.txt").read_text() + call)
    done = run_script(path, folders)
    assert ("has a main(): calling it" in log.text) == (not call)

    tables = [pd.read_csv(f"{folder}/pancreasData.csv") for folder in folders]
    models = [LogisticRegression(max_iter=1, fit_intercept=False, warm_start=True) for _ in tables]
    mean, last, rounds = None, None, 0
    while last is None or (np.linalg.norm(mean - last, ord=2) > 1e-8 and rounds <= 10):
        last = mean
        for model, table in zip(models, tables, strict=True):
            model.coef_ = None if mean is None else mean.copy()
            model.fit(table.iloc[:, :-1], table.iloc[:, -1])
        mean, rounds = np.stack([model.coef_ for model in models]).mean(axis=0), rounds + 1
    assert len(done.record.history) == rounds == 11
    assert done.files == (Path("results/result").absolute(),)
    np.testing.assert_array_equal(pickle.loads(done.files[0].read_bytes()), mean)


def test_the_shape_of_the_halta_tutorial_four_files_by_way_of_a_relative_folder():
    folders = hospitals()
    path = script((SCRIPTS / "halta.txt").read_text())
    done = run_script(path, folders, results="out")
    assert [file.name for file in done.files] == [
        "age_distribution_federated.png",
        "dataset_description_federated.txt",
        "pasc_distribution_federated.png",
        "sex_distribution_federated.png",
    ]
    assert all(file.parent == Path("out").absolute() for file in done.files)
    assert all(file.read_bytes() == Path("results", file.name).read_bytes() for file in done.files)
    assert done.files[0].read_bytes().startswith(b"\x89PNG")
    ages = [pd.read_csv(BytesIO(Path(f, "labeled.csv").read_bytes()))["age"] for f in folders]
    counts = sum(np.histogram(age, bins=np.arange(0, 105, 5))[0] for age in ages)
    assert done.files[1].read_text() == f"70 rows, {counts.tolist()}"


# ---- what a script sees ----------------------------------------------------------------------


def test_a_script_sees_what_python_would_show_it(log):
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


def test_a_linked_script_has_the_modules_beside_the_real_one():
    script("VALUE = 8\n", "real/helper.py")
    analysis("import helper\nassert helper.VALUE == 8\n" + MODEL, "real/analysis.py")
    Path("link.py").symlink_to("real/analysis.py")
    assert run_script("link.py", nodes=1).record.result == [None]


def test_the_alias_has_the_frameworks_own_classes():
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


@pytest.mark.parametrize("end", ENDS)
def test_pythons_own_state_is_as_before_also_after_an_exception(end):
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


def test_an_unrelated_flame_is_neither_used_nor_lost(monkeypatch):
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


@pytest.mark.parametrize("place", ["flame.py", "flame/__init__.py"])
def test_a_flame_beside_the_script_is_not_used_and_that_is_said(log, place):
    script("raise RuntimeError('a copy of the reference')\n", place)
    assert run_script(analysis(MODEL), nodes=1).record.result == [None]
    assert "the module `flame` beside analysis.py is not used" in log.text


def test_a_data_folder_named_flame_is_no_module(log):
    script("x", "flame/patients.csv")
    run_script(analysis(MODEL), nodes=1)
    assert "is not used" not in log.text


def test_two_scripts_have_helper_modules_of_the_same_name_and_state_of_their_own(monkeypatch):
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


def test_a_module_that_the_caller_has_imported_from_the_same_folder_is_shared(monkeypatch):
    script("VALUE = []\n", "helper.py")
    monkeypatch.syspath_prepend(os.getcwd())
    import helper

    try:
        run_script(analysis("import helper\nhelper.VALUE.append(1)\n" + MODEL), nodes=1)
        assert helper.VALUE == [1]
        assert sys.modules["helper"] is helper
    finally:
        del sys.modules["helper"]


def test_installed_packages_stay_imported_even_from_a_folder_below_the_script(monkeypatch):
    """Compiled packages cannot be imported twice in one process."""
    script("", ".venv/site-packages/installed_lib/__init__.py")
    monkeypatch.syspath_prepend(".venv/site-packages")
    try:
        run_script(analysis("import installed_lib\n" + MODEL), nodes=1)
        assert "installed_lib" in sys.modules
    finally:
        sys.modules.pop("installed_lib", None)


def test_what_the_script_puts_on_the_path_is_its_own_too():
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


def test_only_one_thread_runs_a_script_and_the_other_is_told():
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
    run_script(path, nodes=1)
    assert "another thread of this process runs a script" in Path("said.txt").read_text()
    assert threading.active_count() == 1


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


# ---- which model is run ----------------------------------------------------------------------

NATIVE = HEAD.replace("flame.star", "flame_flwr.star") + (
    'model = StarModel(Analyzer, Aggregator, "s3", filename="native.txt")\n'
    "server_app = model.server_app\nclient_app = model.client_app\n"
)


def test_a_native_module_runs_as_a_script():
    script("def node(context):\n    return context.node_config['partition-id']\n", "helper.py")
    done = run_script(script(NATIVE), "helper:node", nodes=3)
    assert done.record.result == [0, 1, 2]
    assert done.files[0].read_text() == "[0, 1, 2]"


def test_a_model_that_a_module_builds_on_import_counts_only_where_there_is_no_other():
    script(NATIVE, "native.py")
    text = "from native import *\n"
    tester = 'StarModelTester([5], Analyzer, Aggregator, "s3", filename="tried.txt")\n'
    assert run_script(script(text + tester)).files == ()
    assert Path("tried.txt").read_text() == "[5]"
    own = 'StarModel(Analyzer, Aggregator, "none", filename="own.txt")\n'
    assert run_script(script(text + own), nodes=2).record.result == [None, None]
    script("x", "site/x.txt")
    done = run_script(script(text), "site")
    assert done.files[0].name == "native.txt"


def test_a_model_built_by_a_function_of_a_helper_is_the_scripts_own():
    script(
        HEAD + 'def go():\n    StarModel(Analyzer, Aggregator, "none")\n'
        'StarModel(Analyzer, Aggregator, "none", filename="on_import.txt")\n',
        "helper.py",
    )
    done = run_script(script("def main():\n    import helper\n    helper.go()\nmain()\n"), nodes=1)
    assert [file.name for file in done.files] == ["result"]


TWO = """
    model = StarModel(Analyzer, Aggregator, "none", filename="first.txt")
    StarModel(Analyzer, Aggregator, "none", filename="second.txt")
"""
CERTAIN = {
    "at the top": "if True: pass\n" + textwrap.dedent(TWO),
    "under the guard": 'if __name__ == "__main__":' + TWO,
    "in main": "def main():" + TWO + "main()\n",
    "in main, which nobody calls": "def main():" + TWO,
    "by a function twice": "def one():\n    StarModel(Analyzer, Aggregator, 'none')\n"
    "one()\none()\n",
    "of two classes": "StarModel(Analyzer, Aggregator, 'none')\n"
    "StarLocalDPModel(Analyzer, Aggregator, 'none')\n",
}


@pytest.mark.parametrize("run", [lambda path: run_script(path, nodes=1), load_script])
@pytest.mark.parametrize("where", CERTAIN)
def test_two_models_are_an_error_before_anything_is_run(run, where):
    path = analysis("open('touched', 'w')\n" + CERTAIN[where])
    with pytest.raises(ScriptError, match=r"analysis\.py builds a second StarModel \(line \d+\)"):
        run(path.absolute())
    assert sorted(path.name for path in Path().iterdir()) == ["analysis.py"]


@pytest.mark.parametrize("run", [lambda path: run_script(path, nodes=1), load_script])
def test_a_second_model_that_only_the_run_shows_is_an_error_that_says_where_the_first_is(run):
    path = analysis("for name in 'ab':\n    StarModel(Analyzer, Aggregator, 'none', filename=name)")
    with pytest.raises(ScriptError, match=r"analysis\.py builds a second StarModel: a ") as raised:
        run(path.absolute())
    first = f"The first one has run: its files are in {Path('results').absolute()}"
    assert (first in str(raised.value)) == (run is not load_script)
    assert Path("results/a").exists() == (run is not load_script)
    assert not Path("results/b").exists()


ONE = {
    "branches": "if len(Path().name):\n    {}\nelse:\n    {}\n",
    "an early end": "{}\nimport sys\nsys.exit()\n{}\n",
    "a return": "def main():\n    {}\n    return\n    {}\nmain()\n",
    "a fallback": "try:\n    {}\nexcept ImportError:\n    {}\n",
}


@pytest.mark.parametrize("how", ONE)
def test_two_calls_of_which_one_is_executed_are_one_model(how):
    call = "StarModel(Analyzer, Aggregator, 'none')"
    done = run_script(analysis("from pathlib import Path\n" + ONE[how].format(call, call)), nodes=1)
    assert done.record.result == [None]


def test_a_declaration_that_is_refused_and_caught_is_told_as_the_reason():
    path = analysis(
        """
        try:
            StarModel(Analyzer, Aggregator, "csv")
        except Exception:
            print("oh")
        """
    )
    for run in (run_script, lambda path: load_script(path.absolute())):
        with pytest.raises(ScriptError) as raised:
            run(path)
        assert "builds no model: what it declares is refused, and it went on" in str(raised.value)
        assert "ModelError: data_type must be one of s3, fhir, none" in str(raised.value)


def test_a_declaration_that_is_refused_beside_a_tester_is_told(log):
    text = """
        try:
            StarModel(Analyzer, Aggregator, "csv")
        except Exception:
            StarModelTester([1], Analyzer, Aggregator, "s3")
        """
    path = analysis(text)
    run_script(path)
    assert (
        "what analysis.py declares was refused, and it went on: ModelError: data_type" in log.text
    )
    with pytest.raises(ScriptError, match="builds no model: what it declares is refused"):
        load_script(path.absolute())


# ---- what a run leaves -----------------------------------------------------------------------


def test_a_run_leaves_run_json_and_history_beside_its_files():
    analysis(MODEL.replace('"none"', '"none", simple_analysis=False'))
    assert command("run", "analysis.py", "--nodes", 2, "--results", "out") == 0
    about = json.loads(Path("out/run.json").read_text())
    assert (about["status"], about["run_id"], about["error"]) == ("completed", None, None)
    assert (about["nodes"], about["rounds"]) == (["node-0", "node-1"], 2)
    assert about["parameters"]["script"] == str(Path("analysis.py").absolute())
    content = Path("out/result").read_bytes()
    [file] = about["files"]
    assert file == {
        "name": "result",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    rows = Path("out/history.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows] == [
        ["round", "node"],
        *([str(number), f"node-{i}"] for number in (1, 2) for i in (0, 1)),
    ]
    assert sorted(os.listdir("out")) == ["history.csv", "result", "run.json"]


def test_results_that_cannot_be_written_are_an_error_before_anything_runs(capsys):
    script("", "a-file")
    analysis(MODEL)
    assert command("run", "analysis.py", "--nodes", 2, "--results", "a-file/results") == 1
    shown = capsys.readouterr()
    assert (
        f"error: --results cannot be written to: {Path('a-file/results').absolute()}" in shown.err
    )
    assert "(Not a directory): name a folder that this user can write to" in shown.err
    assert "Round 1" not in shown.out


@pytest.mark.parametrize("simulated", [[], ["--simulate"]])
@pytest.mark.parametrize("results", ["a-file/results", "a-file", "/proc/x", "s3://bucket/x"])
def test_results_that_cannot_be_are_said_before_a_simulation_starts(capsys, simulated, results):
    script("", "a-file")
    analysis(MODEL)
    options = ["--nodes", 2, "--results", results, *simulated]
    assert command("run", "analysis.py", *options) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: --results ")
    assert ("names a folder here" in shown.err) is results.startswith("s3")
    assert "SuperLink" not in shown.out
    assert not Path("s3:").exists()


def test_a_mistyped_script_is_told_from_the_one_beside_it(capsys):
    analysis(MODEL)
    assert command("run", "anlysis.py") == 1
    assert "there is no script anlysis.py (looked for " in (said := capsys.readouterr().err)
    assert said.rstrip().endswith("; did you mean 'analysis.py'?")
    assert command("run", "xyzzy.py") == 1
    assert "did you mean" not in capsys.readouterr().err


def test_data_is_relative_to_where_the_command_is_given():
    """Also where the script goes to its own folder first, as many do, or anywhere later."""
    hospitals()
    analysis(
        """
        import os

        os.chdir(os.path.dirname(os.path.abspath(__file__)))

        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                os.chdir("/")
                return super().analysis_method(data, aggregator_results)

        StarModel(Analyzer, Aggregator, "s3")
        """,
        name="scripts/analysis.py",
    )
    here = os.getcwd()
    assert (
        command("run", "scripts/analysis.py", "--data", "hospital-0", "--data", "hospital-1") == 0
    )
    about = json.loads(Path("results/run.json").read_text())
    assert about["parameters"]["data"] == [f"{here}/hospital-0", f"{here}/hospital-1"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_script_may_have_a_pool_of_processes(method, tmp_path):
    """In a process of its own: the command's signal handlers are for its own process only."""
    (tmp_path / "pool.py").write_text(
        textwrap.dedent(
            f"""
            import multiprocessing
            from flame.star import StarAggregator, StarAnalyzer, StarModel

            def double(x):
                return 2 * x

            class Analyzer(StarAnalyzer):
                def analysis_method(self, data, aggregator_results):
                    with multiprocessing.get_context({method!r}).Pool(2) as pool:
                        return sum(pool.map(double, [1, 2]))

            class Aggregator(StarAggregator):
                def aggregation_method(self, analysis_results):
                    return sum(analysis_results)

                def has_converged(self, result, last_result):
                    return True

            if __name__ == "__main__":
                StarModel(Analyzer, Aggregator, "none")
            """
        )
    )
    program = [sys.executable, "-c", "from flame_flwr.cli.commands import main; main()"]
    ran = subprocess.run(
        [*program, "run", "pool.py", "--nodes", "2", "--results", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "out" / "result").read_text() == "12"


@pytest.mark.parametrize("fails", [False, True])
def test_a_result_is_kept_where_the_results_cannot_be_written_after_the_run(
    fails, tmp_path_factory, monkeypatch, capsys, caplog
):
    elsewhere = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    analysis(
        f"""
        import os

        class Aggregator(Aggregator):
            def aggregation_method(self, analysis_results):
                if os.path.isdir("out"):
                    os.rmdir("out")
                    open("out", "w").close()
                return 17.5

            def final_method(self, result, evaluations):
                if {fails}:
                    raise ValueError("no")
                return result

        StarModel(Analyzer, Aggregator, "none")
        """
    )
    assert command("run", "analysis.py", "--nodes", 2, "--results", "out") == 1
    [saved] = elsewhere.glob("flame-flwr-rescue-*/rescue.pkl")
    assert pickle.loads(saved.read_bytes()) == 17.5
    assert str(saved) in capsys.readouterr().err + caplog.text


def test_a_private_run_has_its_budget_in_run_json():
    pytest.importorskip("opendp")
    analysis(
        """
        class Aggregator(Aggregator):
            def aggregation_method(self, analysis_results):
                return 100.0

        StarLocalDPModel(Analyzer, Aggregator, "none", epsilon=0.5, sensitivity=2)
        """
    )
    assert command("run", "analysis.py", "--nodes", 2) == 0
    about = json.loads(Path("results/run.json").read_text())
    assert (about["privacy"]["epsilon"], about["privacy"]["sensitivity"]) == (0.5, 2)
    assert "100.0" not in Path("results/run.json").read_text()


def test_a_failed_run_says_so_in_run_json(capsys):
    analysis(
        """
        class Aggregator(Aggregator):
            def has_converged(self, result, last_result):
                return False

        StarModel(Analyzer, Aggregator, "none", simple_analysis=False)
        """
    )
    assert command("run", "analysis.py", "--nodes", 2, "--max-rounds", 3) == 1
    assert "the limit of `flame-flwr run` is its option --max-rounds" in capsys.readouterr().err
    about = json.loads(Path("results/run.json").read_text())
    assert (about["status"], about["rounds"], about["files"]) == ("failed", 3, [])
    assert about["error"].startswith("NotConvergedError: not converged after 3 rounds (max_rounds)")
    assert sorted(os.listdir("results")) == ["history.csv", "rescue.pkl", "run.json"]


@pytest.mark.parametrize("run_it", [run_script, simulate_script])
def test_a_limit_on_rounds_that_cannot_be_is_named_as_it_is_spelled(run_it, capsys):
    path = analysis(MODEL)
    with pytest.raises(ConfigError, match=r"^max_rounds must be at least 1, not 0$"):
        run_it(path, nodes=1, max_rounds=0)
    simulate = ["--simulate"] if run_it is simulate_script else []
    assert command("run", "analysis.py", "--nodes", 1, "--max-rounds", 0, *simulate) == 2
    assert "'--max-rounds': 0 is not in the range" in capsys.readouterr().err


KEEPS = """
class Keeps(Analyzer):
    def analysis_method(self, data, aggregator_results):
        before = self.flame.get_intermediate_data("local", tag="visits")
        self.flame.save_intermediate_data(len(before), "local", tag="visits")
        return before

class Counts(Aggregator):
    def aggregation_method(self, analysis_results):
        self.flame.save_intermediate_data(1, "local", tag="runs")
        return analysis_results, len(self.flame.get_intermediate_data("local", tag="runs"))

"""
CALLS = {
    "plain": 'StarModel(Keeps, Counts, "none")\n',
    "with a client": "from flame_flwr.clients import StarClient\n"
    "class Own(StarClient):\n    pass\n"
    'StarModel(Keeps, Counts, "none", client=Own)\n',
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("options", [(), ("--state", "kept")])
def test_what_nodes_keep_is_there_in_the_next_run(call, options):
    analysis(KEEPS + CALLS[call])
    for _ in range(2):
        assert command("run", "analysis.py", "--nodes", 2, *options) == 0
    assert Path("results/result").read_text() == "([[0], [0]], 2)"
    folder = Path(options[1] if options else ".flame-flwr", "local-storage", "project")
    assert sorted(os.listdir(folder)) == ["aggregator", "node-0", "node-1"]
    assert folder.parents[1].stat().st_mode & 0o077 == 0


def test_a_folder_in_which_nothing_can_be_kept_is_named_with_the_option(capsys):
    script("", "a-file")
    analysis(KEEPS + CALLS["plain"])
    assert command("run", "analysis.py", "--nodes", 2, "--state", "a-file/kept") == 1
    place = Path("a-file/kept").absolute()
    assert f"it is {place}; --state names another folder" in capsys.readouterr().err


def test_a_run_that_keeps_nothing_makes_no_folder_for_it():
    run_script(analysis(MODEL), nodes=1)
    assert not Path(".flame-flwr").exists()


def test_a_failed_analysis_that_the_script_swallows_is_a_failure():
    path = analysis(
        """
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                raise LookupError("no column")
        try:
            StarModel(Analyzer, Aggregator, "none")
        except Exception as error:
            print("oh", error)
        """
    )
    with pytest.raises(ScriptError, match=r"the analysis failed, and analysis\.py went on: Lookup"):
        run_script(path, nodes=1)


def test_what_was_reached_before_a_failure_is_rescued():
    path = analysis(
        """
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                if self.num_iterations == 2:
                    raise LookupError("no column")
                return self.num_iterations

        class Aggregator(Aggregator):
            def has_converged(self, result, last_result):
                return False

        StarModel(Analyzer, Aggregator, "none", simple_analysis=False)
        """
    )
    with pytest.raises(LookupError, match="no column") as raised:
        run_script(path, nodes=2, results="out")
    assert "in node-0, round 3" in raised.value.__notes__
    assert pickle.loads(Path("out/rescue.pkl").read_bytes()) == [1, 1]


def test_a_private_model_noises_its_result_and_rescues_nothing(log):
    pytest.importorskip("opendp")
    text = """
        class Aggregator(Aggregator):
            def aggregation_method(self, analysis_results):
                return 100.0

        StarLocalDPModel(Analyzer, Aggregator, "none", epsilon=1.0, sensitivity=1e-3)
        """
    done = run_script(analysis(text), nodes=2)
    assert done.record.result != 100.0
    # Laplace noise of scale 1e-3 is beyond 0.1 once in e^100 runs
    assert float(done.files[0].read_text()) == pytest.approx(100.0, abs=0.1)
    assert done.record.privacy["epsilon"] == 1.0
    assert "epsilon 1, sensitivity 0.001" in log.text


def test_a_strategy_and_a_client_of_ones_own_get_real_messages():
    path = analysis(
        """
        from flame_flwr.clients import StarClient
        from flame_flwr.strategies import StarStrategy

        class Client(StarClient):
            def fit(self, parameters, config):
                print("client of", self.node_name(), config["round"])
                return super().fit(parameters, config)

        class Strategy(StarStrategy):
            def configure_train(self, number, arrays, config, grid):
                print("configured", number)
                return super().configure_train(number, arrays, config, grid)

        StarModel(Analyzer, Strategy(Aggregator), "s3", query=["b.txt"], client=Client)
        """
    )
    for i in range(2):
        script(f"{i}", f"data-{i}/b.txt")
        script("c", f"data-{i}/c.txt")
    done = run_script(path, "data-{partition-id}", nodes=2)
    assert done.record.result == [[{"b.txt": b"0"}], [{"b.txt": b"1"}]]


# ---- data ------------------------------------------------------------------------------------

READS = """
if __name__ == "__main__":
    StarModel(Analyzer, Aggregator, {!r}, query={!r})
"""


def test_every_data_is_a_node_in_the_order_given():
    script("a", "b-site/deep/a.txt")
    script("b", "a-site/b.txt")
    path = analysis(READS.format("s3", None))
    done = run_script(path, ["b-site", Path("a-site").absolute().as_uri()])
    assert done.record.result == [[{"deep/a.txt": b"a"}], [{"b.txt": b"b"}]]
    assert done.record.nodes == ["node-0", "node-1"]


def test_several_sources_of_a_node_and_a_function_beside_the_script():
    for name in "xyz":
        script(name, f"{name}/{name}.txt")
    script(
        "def more(context):\n    return {'f': context.node_config['partition-id']}\n", "tools.py"
    )
    path = analysis(READS.format("s3", None))
    done = run_script(path, ["x;y", "z;tools:more"])
    assert done.record.result == [
        [{"x.txt": b"x"}, {"y.txt": b"y"}],
        [{"z.txt": b"z"}, {"f": 1}],
    ]
    assert "tools" not in sys.modules


def test_fhir_bundles_come_from_the_folders_json_files():
    for i in range(2):
        script(f'{{"resourceType": "Bundle", "total": {i}}}', f"site-{i}/Patient.json")
    path = analysis(READS.format("fhir", "Patient?_count=100"))
    done = run_script(path, "site-{partition-id}", nodes=2)
    totals = [data[0]["Patient?_count=100"]["total"] for data in done.record.result]
    assert totals == [0, 1]


def test_the_handle_reads_the_nodes_source_and_not_only_what_the_query_names():
    script("a", "site/a.txt")
    script("b", "site/b.txt")
    path = analysis(
        """
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                return data, self.flame.get_s3_data(["b.txt"])
        """
        + textwrap.indent(READS.format("s3", ["a.txt"]), " " * 8)
    )
    assert run_script(path, "site").record.result == [
        ([{"a.txt": b"a"}], [{"b.txt": b"b"}]),
    ]


def test_empty_data_is_an_error_before_the_script_begins():
    with pytest.raises(ConfigError, match="--data is empty"):
        run_script(script("raise AssertionError"), [" ; "])


WRONG_DATA = {
    "none at all": ("s3", [], None, ConfigError, "StarModel(...) needs data: --data FOLDER once"),
    "no number of nodes": ("none", [], None, ConfigError, "say how many nodes with --nodes N"),
    "no nodes": ("none", [], 0, ConfigError, "--nodes must be at least 1, not 0"),
    "a pattern alone": ("s3", ["x-{partition-id}"], None, ConfigError, "say how many nodes"),
    "no pattern": ("s3", ["x"], 3, ConfigError, "--nodes 3 and 1 --data do not fit"),
    "too few": ("s3", ["x", "x"], 3, ConfigError, "--nodes 3 and 2 --data do not fit"),
    "not there": ("s3", ["x", "y"], None, DataError, "may not look into it; check --data"),
    "no file": ("s3", ["nothing"], None, DataError, "the data folder is empty; check --data"),
    "no function": ("s3", ["x", "tools:f"], None, DataError, "--data names cannot be imported"),
    "no function, a value": ("s3", ["colorsys:ONE_SIXTH"], None, DataError, "what --data names is"),
    "an unknown kind": ("s3", ["ftp://x/y"], None, ConfigError, "--data takes a folder's path"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_data_that_does_not_fit_is_an_error_before_anything_runs(case, capsys):
    data_type, data, nodes, kind, message = WRONG_DATA[case]
    script("x", "x/x.txt")
    Path("nothing").mkdir()
    path = analysis(READS.format(data_type, None))
    with pytest.raises(kind) as raised:
        run_script(path, data, nodes=nodes)
    assert message in raised.value.message
    assert "config" not in raised.value.message
    assert "at analysis.py:19 in <module>" in raised.value.__notes__
    if kind is DataError:
        place = data[-1] if ":" in data[-1] else Path(data[-1]).absolute()
        assert f"in node-{len(data) - 1}, --data {place}" in raised.value.__notes__
    assert not Path("results").exists()


def test_data_that_nobody_reads_is_said_to_be_unused(log):
    run_script(script((SCRIPTS / "guide.txt").read_text()), ["somewhere"])
    assert "not used: --data. analysis.py has a StarModelTester only" in log.text
    run_script("analysis.py", nodes=2, results="out", state="kept")
    assert "not used: --nodes, --results, --state. analysis.py has" in log.text
    run_script(analysis(READS.format("none", None)), ["a", "b"])
    assert "--data is not read: the model has data_type 'none'" in log.text


def test_the_record_names_data_and_results_without_detours():
    Path("x").mkdir()
    Path("x/x.txt").write_text("1")
    run_script(analysis(READS.format("s3", None)), ["x/../x"], results="x/../out")
    parameters = json.loads(Path("out/run.json").read_text())["parameters"]
    here = str(Path.cwd())
    assert parameters["data"] == [f"{here}/x"]
    assert (parameters["results"], parameters["state-dir"]) == (
        f"{here}/out",
        f"{here}/.flame-flwr",
    )


# ---- what may be wrong with a script, and the command ----------------------------------------


def test_the_command_prints_what_a_tester_prints(monkeypatch):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    script((SCRIPTS / "guide.txt").read_text())
    done = subprocess.run(
        [Path(sys.executable).with_name("flame-flwr"), "run", "analysis.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 nodes take part: node-0, node-1" in done.stdout
    assert "--- Round 6 ---" in done.stdout
    assert "[node-1, round 6] MyAnalysis result (node-1): " in done.stdout
    assert "Final result: 5.46875" in done.stdout


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_command_runs_a_model_on_every_data(log):
    folders = hospitals(2, "pancreasData.csv")
    script((SCRIPTS / "pancreas.txt").read_text())
    options = [part for folder in folders for part in ("--data", folder)]
    assert command("run", "analysis.py", *options, "--results", "out") == 0
    assert pickle.loads(Path("out/result").read_bytes()).shape == (1, 4)
    assert f"Final result written to {Path('out/result').absolute()}" in log.text


WRONG_SCRIPTS = {
    "missing": (None, 1, ["error: there is no script analysis.py (looked for"]),
    "nothing built": (
        HEAD,
        1,
        ["error: analysis.py builds no model: call StarModel(...) or StarModelTester(...) under"],
    ),
    "a main with arguments": (HEAD + "def main(x):\n    pass\n", 1, ["builds no model"]),
    "a syntax error": (
        "from flame.star import *\ndef analysis(:\n",
        1,
        ['analysis.py", line 2', "def analysis(:", "SyntaxError: "],
    ),
    "no Python": ("x = '\0'\n", 1, ["null bytes"]),
    "user code that raises": (
        HEAD.replace("return data", "return helper.divide(data)")
        + "import helper\nStarModel(Analyzer, Aggregator, 'none')\n",
        1,
        [
            'analysis.py", line 18, in <module>',
            'analysis.py", line 7, in analysis_method',
            "return helper.divide(data)",
            'helper.py", line 2, in divide',
            "ZeroDivisionError: division by zero",
            "in node-0, round 1",
        ],
    ),
    "a wrong model": (
        HEAD + "StarModel(Analyzer(None), Aggregator, 'none')\n",
        1,
        ["Analyzer"],
    ),
    "a model that cannot be": (
        HEAD + "StarModel(Analyzer, Aggregator, 'csv')\n",
        1,
        ["error: data_type must be one of s3, fhir, none, not 'csv'", "at analysis.py:17 in <mod"],
    ),
    "no such name": (
        "from flame.star import StarModle\n",
        1,
        ["cannot import name 'StarModle' from 'flame.star'", "flame-flwr has `flame.star` alone"],
    ),
    "another part of flame": (
        "import flame.optim\n",
        1,
        ["ModuleNotFoundError: No module named 'flame.optim'", "StarModelTester"],
    ),
    "sys.exit with a code": ("import sys\nsys.exit(3)\n", 3, []),
    "sys.exit with a text": ("import sys\nsys.exit('no data today')\n", "no data today", []),
}


@pytest.mark.parametrize("case", WRONG_SCRIPTS)
def test_what_is_wrong_with_a_script_is_said_and_the_exit_code_is_not_zero(case, capsys):
    text, code, messages = WRONG_SCRIPTS[case]
    script("def divide(data):\n    return 1 / 0\n", "helper.py")
    if text is not None:
        script(text)
    assert command("run", "analysis.py", "--nodes", 2) == code
    shown = capsys.readouterr().err
    for message in messages:
        assert message in shown, shown
    assert "flame_flwr/" not in shown
    assert "typer" not in shown


def test_a_folder_is_no_script():
    with pytest.raises(ScriptError, match="is a folder: name the script in it"):
        run_script(".")


def test_a_script_without_an_ending_of_py_runs():
    assert run_script(analysis(MODEL, "entrypoint"), nodes=1).record.result == [None]


def test_the_future_of_the_framework_is_not_the_scripts():
    """Annotations are values in the script, whatever the framework itself imports."""
    path = analysis("def f(x: int): ...\nassert f.__annotations__ == {'x': int}\n" + MODEL)
    run_script(path, nodes=1)


# ---- loading without running -----------------------------------------------------------------


def test_loading_runs_nothing_and_skips_testers(log):
    path = analysis(
        """
        tester = StarModelTester([1], Analyzer, Aggregator, "s3", filename="tested.txt")
        assert (tester.result, tester.rounds, len(tester.history)) == (None, 0, 0)
        """
        + textwrap.indent(MODEL, " " * 8)
    )
    before = state()
    loaded = load_script(path.absolute())
    assert state() == before
    assert loaded.model.plan.data_type == "none"
    assert loaded.model.plan.analyzer.__module__ == "__main__"
    assert "analysis.py: StarModelTester is skipped here" in log.text
    assert list(Path().iterdir()) == [path]


def test_what_fails_after_the_model_was_built_does_not_matter_to_loading(log):
    path = analysis(MODEL + "print(open('results/result').read())\n")
    assert load_script(path.absolute()).model
    assert "analysis.py failed after its StarModel(...), which does not matter here" in log.text
    with pytest.raises(ModelError):
        load_script(analysis("StarModel(Analyzer, Aggregator, 'csv')\n").absolute())


def test_a_script_with_a_tester_only_cannot_be_loaded_and_the_message_says_so():
    with pytest.raises(ScriptError, match="has a StarModelTester only"):
        load_script(script((SCRIPTS / "guide.txt").read_text()).absolute())


def test_a_loaded_scripts_world_can_be_entered_again():
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
