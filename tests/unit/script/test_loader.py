"""Which model of a script is run, what is wrong with scripts, and loading without running."""

import textwrap
from pathlib import Path

import pytest

from flame_flwr.errors import ModelError
from flame_flwr.star.script import ScriptError, load_script, run_script

from .small_scripts import HEAD, MODEL, SCRIPTS, analysis, command, script

NATIVE = HEAD.replace("flame.star", "flame_flwr.star") + (
    'model = StarModel(Analyzer, Aggregator, "s3", filename="native.txt")\n'
    "server_app = model.server_app\nclient_app = model.client_app\n"
)


def test_a_native_module_runs_as_a_script():
    script("def node(context):\n    return context.node_config['partition-id']\n", "helper.py")
    done = run_script(script(NATIVE), "helper:node", nodes=3)
    assert done.record.result == [0, 1, 2]
    assert done.files[0].read_text() == "[0, 1, 2]"


def test_an_imported_model_counts_if_alone():
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


def test_a_helpers_function_may_build_the_model():
    script(
        HEAD + 'def go():\n    StarModel(Analyzer, Aggregator, "none")\n'
        'StarModel(Analyzer, Aggregator, "none", filename="on_import.txt")\n',
        "helper.py",
    )
    done = run_script(script("def main():\n    import helper\n    helper.go()\nmain()\n"), nodes=1)
    assert [file.name for file in done.files] == ["result"]


@pytest.mark.parametrize("run", [lambda path: run_script(path, nodes=1), load_script])
def test_a_second_model_is_not_run(run):
    path = analysis("for name in 'ab':\n    StarModel(Analyzer, Aggregator, 'none', filename=name)")
    with pytest.raises(ScriptError, match=r"analysis\.py builds a second StarModel: a ") as raised:
        run(path.absolute())
    first = f"The first one has run: its files are in {Path('results').absolute()}"
    assert (first in str(raised.value)) == (run is not load_script)
    assert Path("results/a.txt").exists() == (run is not load_script)
    assert not Path("results/b").exists()


def test_a_caught_refusal_is_the_reason():
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
        assert "ModelError: data_type must be one of s3, fhir, sql, none" in str(raised.value)


def test_a_refusal_beside_a_tester_is_logged(log):
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


def test_a_swallowed_failure_is_a_failure():
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
        [
            "error: data_type must be one of s3, fhir, sql, none, not 'csv'",
            "at analysis.py:17 in <mod",
        ],
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
def test_a_wrong_script_is_explained(case, capsys):
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


def test_a_mistyped_script_suggests_the_nearest(capsys):
    analysis(MODEL)
    assert command("run", "anlysis.py") == 1
    assert "there is no script anlysis.py (looked for " in (said := capsys.readouterr().err)
    assert said.rstrip().endswith("; did you mean 'analysis.py'?")
    assert command("run", "xyzzy.py") == 1
    assert "did you mean" not in capsys.readouterr().err


def test_a_folder_is_no_script():
    with pytest.raises(ScriptError, match="is a folder: name the script in it"):
        run_script(".")


def test_a_script_without_an_ending_of_py_runs():
    assert run_script(analysis(MODEL, "entrypoint"), nodes=1).record.result == [None]


def test_loading_runs_nothing_and_skips_testers(log):
    path = analysis(
        """
        tester = StarModelTester([1], Analyzer, Aggregator, "s3", filename="tested.txt")
        assert (tester.result, tester.rounds, len(tester.history)) == (None, 0, 0)
        """
        + textwrap.indent(MODEL, " " * 8)
    )
    loaded = load_script(path.absolute())
    assert loaded.model.plan.data_type == "none"
    assert loaded.model.plan.analyzer.__module__ == "__main__"
    assert "analysis.py: StarModelTester is skipped here" in log.text
    assert list(Path().iterdir()) == [path]


def test_loading_ignores_failures_after_the_model(log):
    path = analysis(MODEL + "print(open('results/result').read())\n")
    assert load_script(path.absolute()).model
    assert "analysis.py failed after its StarModel(...), which does not matter here" in log.text
    with pytest.raises(ModelError):
        load_script(analysis("StarModel(Analyzer, Aggregator, 'csv')\n").absolute())


def test_a_tester_only_script_cannot_be_loaded():
    with pytest.raises(ScriptError, match="has a StarModelTester only"):
        load_script(script((SCRIPTS / "guide.txt").read_text()).absolute())
