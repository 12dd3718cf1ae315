"""What is to be checked, and how a process of the check's own gets hold of it.

A job is written to a file by the process that asks for the check, and read by those that do it:
classes by the names and files they are found under, everything else as a pickle.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import os
import pickle
import sys
import tomllib
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.engine.failure import is_user_code
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.results.outputs import Outputs
from flame_flwr.star.plan import plan_node, plan_strategy

if TYPE_CHECKING:
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data.source import SourceData
    from flame_flwr.star.model import StarModel
    from flame_flwr.strategies import StarStrategy

__all__ = ["AppSource", "ClassSource", "Job", "Reference", "ScriptSource", "Subject"]

_NODES = 3
"""How many nodes are made where neither the data nor the app says."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked, loaded: a model and its data.

    Attributes
    ----------
    plan : NodePlan
        The model's part for nodes.
    strategy : callable
        Gives the strategy for a run.
    simple_analysis : bool
        One round and no more.
    outputs : Outputs
        The final files.
    sources : list of callables
        One per node; gives its split, or the source of its data, new at every call.
    """

    plan: NodePlan
    strategy: Callable[[], StarStrategy]
    simple_analysis: bool
    outputs: Outputs
    sources: list[Callable[[], Any]]

    @classmethod
    def of_model(cls, model: StarModel, sources: list[Callable[[], Any]]) -> Subject:
        """Take what a built model says."""
        return cls(model.plan, model.strategy, model.simple_analysis, model.outputs, sources)

    @property
    def aggregator(self) -> type[Any] | None:
        """The user's aggregator class, where the strategy has one."""
        aggregator = getattr(self.strategy(), "aggregator", None)
        return aggregator if isinstance(aggregator, type) else None

    @property
    def server(self) -> str:
        """What merges on the server: the aggregator's name, or that of a strategy of one's own."""
        from flame_flwr.strategies import StarStrategy

        strategy = type(self.strategy())
        merges_itself = strategy.make_aggregation is not StarStrategy.make_aggregation
        aggregator = None if merges_itself else self.aggregator
        return (aggregator or strategy).__name__


@dataclass(frozen=True, slots=True)
class Reference:
    """A class by the module and the name it is found under."""

    module: str
    name: str

    @classmethod
    def to(cls, value: Any) -> Any:
        """Return a reference to a class of a file; anything else as it is."""
        module = sys.modules.get(getattr(value, "__module__", ""))
        if not isinstance(value, type) or "<locals>" in value.__qualname__:
            return value
        if not isinstance(getattr(module, "__file__", None), str):
            return value
        found: Any = module
        for part in value.__qualname__.split("."):
            found = getattr(found, part, None)
        return cls(value.__module__, value.__qualname__) if found is value else value

    def resolve(self) -> Any:
        """Return the class."""
        value: Any = sys.modules[_renamed(self.module)]
        for part in self.name.split("."):
            value = getattr(value, part)
        return value


@dataclass(frozen=True, slots=True)
class ClassSource:
    """Two classes and splits, as ``StarModelTester`` takes them.

    Parameters
    ----------
    analyzer, aggregator : Reference, type or StarStrategy
        The user's.
    splits : sequence
        One per node.
    arguments : dict
        Of ``StarModelTester``: ``data_type`` and all the others.
    """

    analyzer: Any
    aggregator: Any
    splits: Sequence[Any]
    arguments: dict[str, Any]

    def load(self, stack: ExitStack) -> Subject:
        """Check what is declared, as ``StarModel`` does."""
        analyzer, aggregator = (
            part.resolve() if isinstance(part, Reference) else part
            for part in (self.analyzer, self.aggregator)
        )
        return _declared(analyzer, aggregator, self.splits, self.arguments)


@dataclass(frozen=True, slots=True)
class ScriptSource:
    """A FLAME script: its ``StarModel`` with data, or its ``StarModelTester`` with its own splits.

    Parameters
    ----------
    path : Path
        The script, absolute.
    data : list of str
        A location per node, as for ``flame-flwr run``.
    nodes : int or None
        How many nodes.
    """

    path: Path
    data: list[str]
    nodes: int | None

    def load(self, stack: ExitStack) -> Subject:
        """Execute the script without running its analysis."""
        from flame_flwr.star.alias import ScriptWorld, listening
        from flame_flwr.star.script import ScriptError, _execute, _Heard
        from flame_flwr.star.tester import StarModelTester

        testers: list[dict[str, Any]] = []
        signature = inspect.signature(StarModelTester.__init__)

        def keep(tester: StarModelTester, *args: Any, **kwargs: Any) -> None:
            testers.append(signature.bind(tester, *args, **kwargs).arguments)
            tester.result, tester.rounds, tester.converged = None, 0, False
            tester.history, tester.aggregate, tester.evaluations = [], None, {}

        StarModelTester.__init__ = keep  # type: ignore[method-assign, assignment]
        heard = _Heard(self.path.name)
        world = ScriptWorld(self.path)
        stack.enter_context(world.entered())
        stack.enter_context(listening(heard))
        try:
            _execute(world, heard)
        except (Exception, SystemExit):
            if not (heard.models or testers):
                raise
        if testers and not (self.data or heard.models or heard.imported):
            arguments = {key: value for key, value in testers[0].items() if key != "self"}
            analyzer, aggregator = arguments.pop("analyzer"), arguments.pop("aggregator")
            return _declared(analyzer, aggregator, arguments.pop("data_splits"), arguments)
        if testers and not self.data:
            raise ScriptError(
                f"{self.path.name} has a StarModel and a StarModelTester: say with --data what the "
                "nodes of the StarModel read"
            )
        model = heard.only()
        return Subject.of_model(model, _located(model.plan.data_type, self.data, self.nodes))


@dataclass(frozen=True, slots=True)
class AppSource:
    """A Flower app: the ``StarModel`` whose apps its ``pyproject.toml`` names.

    Parameters
    ----------
    folder : Path
        The app's, absolute.
    data : list of str
        A location per node; without one, the app's own ``data``.
    nodes : int or None
        How many nodes; without it, the app's own ``nodes``, or three.
    """

    folder: Path
    data: list[str]
    nodes: int | None

    def load(self, stack: ExitStack) -> Subject:
        """Import the app's components and find their model."""
        try:
            flower = tomllib.loads((self.folder / "pyproject.toml").read_text())["tool"]["flwr"]
            components = flower["app"]["components"]
            module, attribute = components["clientapp"].split(":")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{self.folder} is no Flower app: its pyproject.toml names no "
                f"[tool.flwr.app.components] ({type(error).__name__}: {error})"
            ) from error
        config = flower["app"].get("config", {})
        nodes = self.nodes or (config["nodes"] if isinstance(config.get("nodes"), int) else 0)
        data = self.data or ([config["data"]] if config.get("data") else [])
        if module == "flame_flwr.star.script":
            script = self.folder / str(config.get("script", ""))
            return ScriptSource(script, data, nodes or _NODES).load(stack)
        sys.path.insert(0, str(self.folder))
        model = _model_of(importlib.import_module(module), attribute)
        enough = nodes or (None if self.data else _NODES)
        return Subject.of_model(model, _located(model.plan.data_type, data, enough))


@dataclass(frozen=True, slots=True)
class Job:
    """A check to be done.

    Attributes
    ----------
    source : ClassSource, ScriptSource or AppSource
        What is checked.
    homes : list of str
        The user's folders: the working directory's first.
    max_rounds, seconds, tolerance, skip
        As for :func:`flame_flwr.testing.check_analysis`.
    """

    source: ClassSource | ScriptSource | AppSource
    homes: list[str]
    max_rounds: int
    seconds: float
    tolerance: float
    skip: Collection[str] = field(default_factory=frozenset)

    def write(self, path: Path) -> None:
        """Write the job for other processes.

        Raises
        ------
        ModelError
            Something in it cannot be handed to another process.
        """
        try:
            source = _referring(self.source)
            job = _pickler().dumps(dataclasses.replace(self, source=source))
            again = "repeats" not in self.skip
            content = pickle.dumps((self.homes, again, _files_of(self.source), job))
        except Exception as error:
            raise ModelError(
                "data_splits, analyzer_kwargs or aggregator_kwargs cannot be handed to the "
                "processes of the check: give values that can be pickled",
                detail=f"{type(error).__name__}: {error}",
            ) from error
        path.write_bytes(content)

    @staticmethod
    def head_of(path: Path) -> tuple[list[Path], bool]:
        """Return the user's folders of a written job, and whether it wants a second run.

        Nothing of the user's is imported for that.
        """
        homes, again, _, _ = pickle.loads(path.read_bytes())  # noqa: S301  (this check's own file)
        return [Path(home) for home in homes], again

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job, after the modules of its classes were imported from their files."""
        _, _, files, content = pickle.loads(path.read_bytes())  # noqa: S301
        for name, file in files:
            _import(name, file)
        job: Job = pickle.loads(content)  # noqa: S301
        return job


def _declared(
    analyzer: Any, aggregator: Any, splits: Sequence[Any], arguments: dict[str, Any]
) -> Subject:
    """Check what was declared to a tester; data is pickled, to be new for every process."""
    given = {"data_type": "s3", "output_type": "str", **arguments}
    payload = given.get("payload", "safe")
    kwargs = given.get("analyzer_kwargs"), given.get("aggregator_kwargs")
    plan = plan_node(analyzer, kwargs[0], given["data_type"], None, payload)
    strategy = plan_strategy(aggregator, kwargs[1], payload)
    many = bool(given.get("multiple_results"))
    names = given.get("filename") or given.get("result_filepath")
    outputs = Outputs.declare(given["output_type"], names, many, paths=True)
    if not len(splits):
        raise ModelError("data_splits is empty: give at least one entry, one per node")
    copies = [_pickler().dumps(split) for split in splits]
    simple = bool(given.get("simple_analysis", True))
    return Subject(plan, strategy, simple, outputs, [partial(_split, copy) for copy in copies])


def _split(content: bytes) -> Any:
    return pickle.loads(content)  # noqa: S301  (pickled by this process)


def _located(data_type: str, data: Sequence[str], nodes: int | None) -> list[Callable[[], Any]]:
    """Return what gives every node its data, opened anew at every call."""
    from flame_flwr.star.script_data import node_locations, open_sources

    if data_type == "none" and not nodes:
        nodes = len(data) or _NODES
    locations = node_locations(data_type, data, nodes)
    open_sources(locations)
    return [partial(_located_one, locations, i) for i in range(len(locations))]


def _located_one(locations: list[str], number: int) -> SourceData | None:
    from flame_flwr.star.script_data import open_sources

    return open_sources(locations)[number]


def _model_of(module: Any, attribute: str) -> StarModel:
    from flame_flwr.star.model import StarModel

    app = getattr(module, attribute, None)
    models = [value for value in vars(module).values() if isinstance(value, StarModel)]
    named = [model for model in models if vars(model).get("client_app") is app]
    if app is None or not (named or len(models) == 1):
        raise ConfigError(
            f"{module.__name__} has no StarModel whose client_app is `{attribute}`: build it "
            f"there, as `model = StarModel(...)` and `{attribute} = model.client_app`"
        )
    return (named or models)[0]


def _pickler() -> Any:
    """Return what pickles classes of functions and of ``__main__`` too; joblib brings it."""
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return importlib.import_module("joblib.externals.cloudpickle")


def _referring(source: Any) -> Any:
    """Return a source whose classes are named, where a new process can find them by name."""
    if not isinstance(source, ClassSource):
        return source
    to = Reference.to
    return dataclasses.replace(
        source, analyzer=to(source.analyzer), aggregator=to(source.aggregator)
    )


def _files_of(source: Any) -> list[tuple[str, str]]:
    """Return the modules of the classes of a source, with the files to import them from."""
    found: dict[str, str] = {}
    for part in (getattr(source, "analyzer", None), getattr(source, "aggregator", None)):
        classes = (
            [part] if isinstance(part, type) else [type(part), getattr(part, "aggregator", None)]
        )
        for base in (base for cls in classes for base in getattr(cls, "__mro__", ())):
            file = getattr(sys.modules.get(base.__module__), "__file__", None)
            if isinstance(file, str) and is_user_code(os.path.abspath(file)):
                found[base.__module__] = os.path.abspath(file)
    return list(found.items())


def _import(name: str, file: str) -> None:
    """Import a module from the file that it had where the check was asked for."""
    try:
        spec = importlib.util.find_spec(name) if name != "__main__" else None
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin == file:
        importlib.import_module(name)
        return
    found = importlib.util.spec_from_file_location(_renamed(name), file)
    if found is None or found.loader is None:
        raise ModelError(f"the module {name} cannot be imported from {file}")
    module = importlib.util.module_from_spec(found)
    sys.modules[_renamed(name)] = module
    found.loader.exec_module(module)


def _renamed(module: str) -> str:
    """Return the name under which a module is imported: ``__main__`` must not run as a script."""
    return "__checked_main__" if module == "__main__" else module
