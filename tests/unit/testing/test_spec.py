"""What is checked is found: in scripts, in apps, by references to classes. No process is made."""

import importlib.util
import sys
from contextlib import ExitStack

import pytest
from echo import Analyzer

from flame_flwr.cli.new_app import create
from flame_flwr.data.source import SourceData
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.star import StarAggregator, StarModelTester
from flame_flwr.star.script import ScriptError
from flame_flwr.testing.references import Reference
from flame_flwr.testing.spec import CheckSpec
from flame_flwr.testing.subjects import ClassSource, ScriptSource, source_at

CLASSES = """
from flame.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester

class A(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1

class G(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)
    def has_converged(self, result, last_result):
        return True
"""
MODEL = "StarModel(A, G, 's3', simple_analysis=False, filename='sum.txt')\n"
TESTER = "t = StarModelTester([1, 2, 3], A, G, 's3', output_type='pickle')\nt.result + 1\n"


@pytest.fixture
def script(tmp_path):
    """Load a script of these classes and these last lines, with two hospitals' data at hand."""
    for i in range(2):
        (tmp_path / f"hospital-{i}").mkdir()
        (tmp_path / f"hospital-{i}" / "x.csv").write_text(f"a\n{i}\n")
    before = StarModelTester.__init__

    def load(lines, data=(), nodes=None):
        (tmp_path / "analysis.py").write_text(CLASSES + lines)
        given = [str(tmp_path / name) for name in data]
        with ExitStack() as stack:
            subject = ScriptSource(tmp_path / "analysis.py", given, nodes).load(stack)
            loaded = [source() for source in subject.sources]
        assert StarModelTester.__init__ is before
        assert "flame" not in sys.modules
        return subject, loaded

    return load


def test_a_scripts_model_gets_the_named_data(script):
    subject, loaded = script(MODEL, ["hospital-0", "hospital-1"])
    assert [source.load("s3", None) for source in loaded] == [
        [{"x.csv": b"a\n0\n"}],
        [{"x.csv": b"a\n1\n"}],
    ]
    assert subject.plan.analyzer.__name__ == "A"
    assert subject.server == "G"
    assert not subject.simple_analysis
    assert subject.outputs.names == "sum.txt"


def test_a_tester_has_its_own_splits(script):
    subject, loaded = script(TESTER)
    assert loaded == [1, 2, 3]
    assert subject.simple_analysis
    assert subject.outputs.types == "pickle"


def test_a_model_comes_before_a_tester(script):
    subject, loaded = script(MODEL + TESTER, ["hospital-{partition-id}"], 2)
    assert not subject.simple_analysis
    assert all(isinstance(source, SourceData) for source in loaded)
    with pytest.raises(ScriptError, match="say with --data what the nodes of the StarModel read"):
        script(MODEL + TESTER)


def test_scripts_say_that_model_or_data_miss(script):
    with pytest.raises(ScriptError, match="builds no model"):
        script("")
    with pytest.raises(ScriptError, match="builds a second StarModel"):
        script(MODEL + MODEL, ["hospital-0"])
    with pytest.raises(ConfigError, match=r"StarModel.* needs data: --data FOLDER once per node"):
        script(MODEL)
    with pytest.raises(ModelError, match="data_splits is empty"):
        script(TESTER.replace("[1, 2, 3]", "[]"))


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A new app, whose package is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield create("ward_stays", where=tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "ward_stays"]:
        del sys.modules[name]


def test_an_app_has_its_own_data(app):
    subject = source_at(app, [], None).load(ExitStack())
    assert len(subject.sources) == 3
    [files] = subject.sources[2]().load("s3", None)
    assert list(files) == ["patients.csv"]
    assert subject.sources[2]() is not subject.sources[2]()
    assert len(source_at(app, [], 2).load(ExitStack()).sources) == 2
    assert source_at(app, ["/a", "/b"], None).nodes is None


def test_a_run_configs_secure_sums_hold(app):
    about = app / "pyproject.toml"
    about.write_text(about.read_text().replace("# secure = true", "secure = true"))
    with pytest.raises(ModelError, match="declare them in a ReduceStrategy"):
        source_at(app, [], None).load(ExitStack())


def test_an_app_without_a_model_says_so(app):
    app_file = app / "ward_stays" / "app.py"
    app_file.write_text("client_app = server_app = None\n")
    with pytest.raises(ConfigError, match=r"ward_stays\.app has no StarModel whose client_app is"):
        source_at(app, [], None).load(ExitStack())


def test_an_app_may_be_a_script(script, tmp_path):
    (tmp_path / "analysis.py").write_text(CLASSES + MODEL)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.flwr.app.components]\nclientapp = 'flame_flwr.star.script:client_app'\n"
        f"[tool.flwr.app.config]\nscript = 'analysis.py'\nnodes = 2\n"
        f"data = '{tmp_path}/hospital-{{partition-id}}'\n"
    )
    with ExitStack() as stack:
        subject = source_at(tmp_path, [], None).load(stack)
    assert subject.outputs.names == "sum.txt"
    assert len(subject.sources) == 2


@pytest.mark.parametrize("secure", [None, False, True])
@pytest.mark.parametrize("said", ["", "secure = false", "secure = true"])
def test_secure_sums_follow_model_and_run(script, tmp_path, secure, said):
    strategy = f"ReduceStrategy(Sum(), simple_analysis=True, secure={secure})"
    imports = "from flame_flwr.aggregation import Sum\nfrom flame_flwr.strategies import *\n"
    model = f"{CLASSES}{imports}StarModel(A, {strategy}, 's3')\n"
    (tmp_path / "analysis.py").write_text(model)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.flwr.app.components]\nclientapp = 'flame_flwr.star.script:client_app'\n"
        f"[tool.flwr.app.config]\nscript = 'analysis.py'\n{said}\n"
        f"data = '{tmp_path}/hospital-{{partition-id}}'\nnodes = 2\n"
    )
    with ExitStack() as stack:
        subject = source_at(tmp_path, [], None).load(stack)
        masks, grid = True in (secure, "true" in said), secure is not None or said
        assert (subject.masked is not None) == masks
        assert not masks or subject.masked().secure is True
        assert subject.strategy().secure is (False if grid else None)
        assert not subject.plan.secure


# ---- classes --------------------------------------------------------------------------------


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True

    class Inner(Analyzer):
        pass


def test_classes_of_files_travel_by_name():
    assert Reference.to(Aggregator.Inner) == Reference(__name__, "Aggregator.Inner")
    assert Reference(__name__, "Aggregator.Inner").resolve() is Aggregator.Inner
    local = type("Local", (Analyzer,), {})
    local.__qualname__ = "somewhere.<locals>.Local"
    assert Reference.to(local) is local
    renamed = type("Aggregator", (Aggregator,), {"__module__": __name__})
    assert Reference.to(renamed) is renamed
    assert Reference.to(3) == 3


def test_a_spec_is_read_with_new_splits(tmp_path):
    splits = [[1, 2], [3]]
    spec = CheckSpec(
        ClassSource(Analyzer, Aggregator, splits, {}), ["/home"], 5, 60, 1e-6, {"repeats"}
    )
    spec.write(tmp_path / "spec")
    folders, again = CheckSpec.head_of(tmp_path / "spec")
    assert [str(folder) for folder in folders] == ["/home"]
    assert not again
    read = CheckSpec.read(tmp_path / "spec")
    subject = read.source.load(None)
    assert subject.plan.analyzer.__name__ == "Analyzer"
    first, second = (subject.sources[0]() for _ in range(2))
    assert first == second == [1, 2]
    assert first is not second


def test_a_module_is_imported_from_its_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(CLASSES.replace("flame.star", "flame_flwr.star"))
    spec = importlib.util.spec_from_file_location("kit_job_mine", file)
    module = sys.modules["kit_job_mine"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        CheckSpec(ClassSource(module.A, module.G, [1], {}), [], 5, 60, 1e-6).write(
            tmp_path / "spec"
        )
        del sys.modules["kit_job_mine"]
        source = CheckSpec.read(tmp_path / "spec").source
        assert source.analyzer == Reference("kit_job_mine", "A")
        assert source.load(None).plan.analyzer is sys.modules["kit_job_mine"].A
        assert sys.modules["kit_job_mine"] is not module
    finally:
        sys.modules.pop("kit_job_mine", None)
