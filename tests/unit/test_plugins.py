"""What a plug-in may be, and what it is made from; the packages are in ``dist-info`` folders.

Packages installed by pip are tested in ``tests/integration/test_plugins.py``.
"""

import importlib
import sys

import pytest
from flwr.app import ConfigRecord
from node_messages import call

from flame_flwr import plugins
from flame_flwr.aggregation import MaxRounds
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.app import make_client_app
from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.failure.failure import Failure
from flame_flwr.results import Outputs
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy
from flame_flwr.strategies.server_app import _selected

CODE = """
from flame_flwr.aggregation import MaxRounds, Sum
from flame_flwr.clients import StarClient
from flame_flwr.strategies import ReduceStrategy, StarStrategy


class Plain(StarStrategy):
    pass


class Passes(StarStrategy):
    def __init__(self, *args, speed=3, **kwargs):
        super().__init__(*args, **kwargs)
        self.speed = speed


class Alone(StarStrategy):
    def __init__(self, run_config):
        super().__init__(None)
        self.run_config = run_config


class Needs(StarStrategy):
    def __init__(self, aggregator, tolerance):
        super().__init__(aggregator)


class Declared(ReduceStrategy):
    reductions = {"n": Sum()}
    convergence = MaxRounds(4)
    outputs = [("n.txt", "str", lambda result: result["n"])]


class Filed(StarStrategy):
    files = [("n.txt", "str", str)]


class Meant(Declared):
    files = [("n.txt", "str", str)]


ready = Plain(None)


def made(aggregator, run_config):
    strategy = Passes(aggregator, speed=run_config["mine.speed"])
    return strategy


def wrong():
    return "text"


class Client(StarClient):
    def get_properties(self, config):
        properties = super().get_properties(config)
        return {**properties, "evaluates": True}  # what else it says, the gate drops
"""


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A package that is there as pip leaves one."""
    about = tmp_path / "speedy-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: speedy\nVersion: 1.0\n")
    names = ["Plain", "Passes", "Alone", "Needs", "Declared", "Filed", "Meant", "ready"]
    names += ["made", "wrong"]
    lines = ["[flame_flwr.strategies]", *(f"{name} = speedy_module:{name}" for name in names)]
    lines += ["Broken = speedy_broken:Strategy"]
    (tmp_path / "speedy_broken.py").write_text('raise ValueError("two lines\\nhere")')
    lines += ["[flame_flwr.clients]", "Client = speedy_module:Client"]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "speedy_module.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("speedy_module", None)


def own(**more):
    return StarStrategy(Aggregator, aggregator_kwargs={"a": 1}, allow_pickle=True, **more)


@pytest.mark.parametrize("name", ["Plain", "Passes"])
def test_a_plug_in_gets_the_models_arguments(name):
    made = plugins.strategy(name, own(simple_analysis=False))
    assert type(made).__name__ == name
    assert made.aggregator is Aggregator
    assert made.aggregator_kwargs == {"a": 1}
    assert made.allow_pickle is True
    assert made.simple_analysis is False


def test_a_plug_in_may_take_the_run_config():
    config = {"mine.speed": 7}
    assert plugins.strategy("made", own(), config).speed == 7
    assert plugins.strategy("Alone", own(), config).run_config == config
    assert plugins.strategy("Alone").run_config == {}


def test_an_instance_is_copied():
    first, second = plugins.strategy("ready"), plugins.strategy("ready")
    assert first is not second
    assert type(first).__name__ == "Plain"


def test_the_models_convergence_ends_a_plug_ins_runs():
    model = own(convergence=MaxRounds(3))
    one = plugins.strategy("Plain", model)
    assert not one._is_simple(True)
    assert one.convergence.check(2, 1, 1) is None
    assert one.convergence.check(3, 1, 1)
    two = plugins.strategy("Declared", model)
    assert two.convergence.check(2, {}, {}) is None
    assert two.convergence.check(3, {}, {})
    assert plugins.strategy("Declared").convergence.check(3, {}, {}) is None


def test_a_plug_ins_declared_files_count():
    outputs = Outputs.declare("str", "of the model.txt", False)
    for name, files in [
        ("Declared", ("n.txt",)),
        ("Plain", "of the model.txt"),
        ("", "of the model.txt"),
    ]:
        settings = RunSettings.from_config({"strategy": name})
        made, chosen = _selected(settings, own(), outputs, {})
        assert type(made).__name__ == (name or "StarStrategy")
        assert chosen.names == files


@pytest.mark.parametrize("name", ["Plain", "Needs"])
def test_what_cannot_be_made_says_from_what(name):
    before = own() if name == "Needs" else None
    with pytest.raises(ModelError, match=f"`{name}` cannot be made from what there is .*missing"):
        plugins.strategy(name, before)


def test_in_process_an_error_says_the_way():
    with pytest.raises(ModelError, match=r"plugins\.strategy\('Plain', StarStrategy\(YourAggre"):
        plugins.strategy("Plain")


def test_files_not_declared_as_outputs_are_refused():
    with pytest.raises(ModelError, match=r"`files`, which declares nothing: .* as `outputs`"):
        plugins.strategy("Filed", own())
    with pytest.raises(ModelError, match="Meant: files are declared as `outputs`, and not as `fil"):
        plugins.strategy("Meant")


def test_a_reason_is_listed_in_one_line():
    [plugin] = [plugin for plugin in plugins.found() if plugin.name == "Broken"]
    assert "two lines here" in plugin.problem
    assert "\n" not in plugin.problem


def test_a_function_must_return_a_strategy():
    with pytest.raises(ModelError, match=r"`wrong` must be a subclass of StarStrategy.* not str"):
        plugins.strategy("wrong")


def test_they_are_found_by_kind_and_name():
    mine = [plugin for plugin in plugins.found() if plugin.package == "speedy 1.0"]
    names = ["Alone", "Broken", "Declared", "Filed", "Meant", "Needs", "Passes", "Plain"]
    names += ["made", "ready", "wrong", "Client"]
    assert [plugin.name for plugin in mine] == names
    problems = {plugin.problem for plugin in mine if plugin.name != "Broken"}
    assert problems == {""}  # a function is not called to be listed
    assert mine[-1].kind == "client"
    assert mine[-1].value == "speedy_module:Client"


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1


def hello(app, context, run_config):
    content = {"getpropertiesins.config": ConfigRecord({})}
    return call(app, context({"name": "a"}, run_config), content)


def test_the_run_config_selects_the_client(context):
    app = make_client_app(NodePlan(Analyzer))
    assert "speedy_module" not in sys.modules
    assert not hello(app, context, {}).content["getpropertiesres.properties"]["evaluates"]
    reply = hello(app, context, {"client": "Client"})
    assert reply.content["getpropertiesres.properties"]["evaluates"]
    assert issubclass(plugins.client("Client"), StarClient)


def test_a_node_without_the_client_says_so(context):
    reply = hello(make_client_app(NodePlan(Analyzer)), context, {"client": "none"})
    said = reply.content["getpropertiesres.properties"]
    assert said["name"] == "a"
    reason = "no package that is installed here offers the client `none`"
    assert reason in str(Failure.from_json(said["failure"]))
    with pytest.raises(ConfigError):
        plugins.client("none")
