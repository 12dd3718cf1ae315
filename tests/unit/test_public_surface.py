"""What the framework offers: named, sorted, importable, and light to import."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import snippets
from hanging import HANGS

import flame_flwr
from flame_flwr import clients, strategies

ROOT = Path(flame_flwr.__file__).parent.parent
FOLDERS = {
    "flame_flwr": flame_flwr.__path__,
    "flame_flwr.clients": clients.__path__,
    "flame_flwr.strategies": strategies.__path__,
}
MODULES = sorted(
    {
        "flame_flwr",
        *(
            module.name
            for name, path in FOLDERS.items()
            for module in pkgutil.walk_packages(path, f"{name}.")
        ),
    }
)


def order(name):
    """Constants, then classes, then functions; private and dunder names last: as ruff sorts."""
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, name


def text_of(module):
    found = importlib.import_module(module)
    return Path(found.__file__).read_text() if found.__name__ == module else ""  # an alias


def test_the_modules_are_found():
    for name in (
        "flame_flwr.analysis.model",
        "flame_flwr.clients.client",
        "flame_flwr.strategies.star_strategy",
    ):
        assert name in MODULES


def test_every_module_says_what_it_is_for():
    assert [
        name for name in MODULES if not (importlib.import_module(name).__doc__ or "").strip()
    ] == []


def test_every_all_is_sorted_and_importable():
    for name in MODULES:
        module = importlib.import_module(name)
        assert module.__all__ == sorted(set(module.__all__), key=order), name
        for public in module.__all__:
            assert getattr(module, public) is not None, (name, public)
            assert not public.startswith("_") or public == "__version__", (name, public)


def test_every_public_class_and_function_is_documented():
    for name in MODULES:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            thing = getattr(module, public)
            if getattr(thing, "__module__", "").startswith("flame_flwr") and callable(thing):
                assert (thing.__doc__ or "").strip(), (name, public)


def test_the_surface_is_this():
    assert flame_flwr.__all__ == [
        "StarAggregator",
        "StarAnalyzer",
        "StarClient",
        "StarLocalDPModel",
        "StarModel",
        "StarModelTester",
        "StarStrategy",
        "__version__",
    ]
    assert importlib.import_module("flame_flwr.star").__all__ == [
        "StarAggregator",
        "StarAnalyzer",
        "StarLocalDPModel",
        "StarModel",
        "StarModelTester",
    ]
    assert strategies.__all__ == [
        "CyclicTraining",
        "FedNova",
        "MergeStatistics",
        "ReduceStrategy",
        "Scaffold",
        "StarResult",
        "StarStrategy",
        "WeightedFedAvg",
        "make_server_app",
    ]
    assert clients.__all__ == ["Node", "NodePlan", "StarClient", "make_client_app"]


WRITTEN_BY_USERS = {
    "flame_flwr.aggregation": ["Aggregation", "Convergence", "Reduction"],
    "flame_flwr.clients": ["StarClient"],
    "flame_flwr.cross_site": ["CrossSite"],
    "flame_flwr.data.expect": ["Resources", "Table"],
    "flame_flwr.privacy": ["DisclosureRule", "UpdateFilter"],
    "flame_flwr.regression": ["RegressionAnalyzer"],
    "flame_flwr.results.callbacks": ["Callback"],
    "flame_flwr.sklearn": ["Ditto", "SklearnAnalyzer", "SklearnFedAvg"],
    "flame_flwr.star": ["StarAggregator", "StarAnalyzer"],
    "flame_flwr.statistics": ["Statistic"],
    "flame_flwr.strategies": ["ReduceStrategy", "StarStrategy", "WeightedFedAvg"],
    "flame_flwr.torch": ["Ditto", "TorchAnalyzer"],
}


@pytest.mark.parametrize("room", WRITTEN_BY_USERS)
def test_a_class_to_subclass_has_few_public_methods(room):
    for name in WRITTEN_BY_USERS[room]:
        made = getattr(importlib.import_module(room), name)
        flowers = {
            method
            for base in made.__mro__
            if base.__module__.startswith("flwr.")
            for method in dir(base)
        }
        own = {method for method in dir(made) if callable(getattr(made, method))} - flowers
        assert len([method for method in own if not method.startswith("_")]) <= 8, name


@pytest.mark.parametrize("room", WRITTEN_BY_USERS)
def test_a_class_to_subclass_has_an_example(room):
    for name in WRITTEN_BY_USERS[room]:
        assert ">>> " in (getattr(importlib.import_module(room), name).__doc__ or ""), name


def bases_of(code):
    """Yield each class of the framework's that is subclassed there: where it is from, its name."""
    tree = ast.parse(code)
    homes = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flame_flwr")
        for alias in node.names
    }
    for node in ast.walk(tree):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            if isinstance(base, ast.Name) and base.id in homes:
                yield homes[base.id]


@pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="runs without the checkout")
def test_classes_shown_to_subclass_are_all_here():
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")]
    shown = [text for page in pages for text in snippets.texts(page, "python")]
    for folder in ("examples", "flame_flwr/app-templates"):
        paths = [path.relative_to(ROOT) for path in (ROOT / folder).glob("**/*.py")]
        shown += [(ROOT / path).read_text() for path in paths if "tests" not in path.parts]
    found = {base for code in shown for base in bases_of(code)}
    assert len(found) > 10
    listed = {
        getattr(importlib.import_module(room), name)
        for room, names in WRITTEN_BY_USERS.items()
        for name in names
    }
    assert [
        (room, name)
        for room, name in sorted(found)
        if getattr(importlib.import_module(room), name) not in listed
    ] == []


@pytest.mark.parametrize("name", [*flame_flwr.__all__[:-1]])
def test_a_name_means_the_same_everywhere(name):
    homes = ["flame_flwr", "flame_flwr.star", "flame_flwr.clients", "flame_flwr.strategies"]
    found = [
        getattr(importlib.import_module(home), name)
        for home in homes
        if name in importlib.import_module(home).__all__
    ]
    assert len(found) >= 2
    assert all(thing is found[0] for thing in found)


LAZY = [name for name in MODULES if "__getattr__ = lazy_exports(" in text_of(name)]


@pytest.mark.parametrize("package", LAZY)
def test_a_name_that_is_not_there_is_named(package):
    with pytest.raises(AttributeError, match=rf"'{package}' has no attribute 'StarModle'"):
        importlib.import_module(package).StarModle  # noqa: B018


@pytest.mark.parametrize("package", LAZY)
def test_type_checkers_see_the_lazy_names(package):
    module, top = importlib.import_module(package), ast.parse(text_of(package)).body
    for_checkers = {
        alias.name
        for node in top
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for statement in node.body
        for alias in statement.names
    }
    [homes] = [node.value.args[1] for node in top if "lazy_exports(" in ast.unparse(node)]
    lazily = {name for names in ast.literal_eval(homes).values() for name in names}
    assert lazily == for_checkers <= set(module.__all__) <= set(dir(module))


# ---- the cost of imports --------------------------------------------------------------------


def modules_of(statement):
    """Run a statement in a fresh process and return the modules it loaded."""
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS, check=True
    )
    return set(json.loads(done.stdout))


def loaded_by(statement):
    """Return the top-level packages among them."""
    return {name.partition(".")[0] for name in modules_of(statement)}


HEAVY = {"ray", "pandas", "sklearn", "scipy", "matplotlib", "torch", "opendp", "skops"}
HEAVY |= {"formulaic", "statsmodels"}


def test_what_a_users_module_imports_is_light():
    loaded = loaded_by(
        "from flame_flwr.star import StarAnalyzer, StarAggregator, StarModel, StarLocalDPModel"
    )
    assert "flame_flwr" in loaded
    assert not loaded & (HEAVY | {"cloudpickle", "flwr", "typer", "rich", "httpx", "grpc"})


def test_a_local_run_needs_no_flower_or_pandas():
    loaded = loaded_by(
        "from flame_flwr.star import StarAnalyzer, StarModel\n"
        "from flame_flwr.clients import Node, NodePlan\n"
        "from flame_flwr.identity import Identity\n"
        "class A(StarAnalyzer):\n"
        "    def analysis_method(self, data, aggregator_results):\n"
        "        return {'a': 1.5, 'b': [1, 2]}\n"
        "Node(NodePlan(A), Identity('node-0', ('node-0',)), None).round(1, None)"
    )
    assert not loaded & (HEAVY | {"flwr"})


def test_a_message_imports_flower_and_no_more():
    loaded = modules_of("import flame_flwr.clients.app")
    assert {"flwr", "flame_flwr.clients.client"} <= loaded
    assert not loaded & (HEAVY | {"flame_flwr.strategies.star_strategy"})
    # with no file descriptor left, an import in an `except` would hide the user's own error
    assert "flame_flwr.failure.hints" in loaded
