"""Makes a model with data of what can be checked: classes, a script, a Flower app.

The sources here are loaded in the check's own processes, never in the one that asks for it.
"""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from flame_flwr.analysis.declare import Arguments, declare
from flame_flwr.analysis.splits import check_splits
from flame_flwr.app_folder import App
from flame_flwr.errors import ConfigError
from flame_flwr.results.output_files import Outputs
from flame_flwr.testing.references import Reference

if TYPE_CHECKING:
    from flame_flwr.analysis.model import StarModel
    from flame_flwr.clients import StarClient
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data.source import SourceData
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.strategies.declaration import Declaration

__all__ = ["AppSource", "ClassSource", "ScriptSource", "Subject", "source_at"]

_MESSAGE_METHODS = (
    *("configure_train", "aggregate_train"),
    *("configure_evaluate", "aggregate_evaluate", "start"),
)
"""A strategy's methods that make or read Flower's messages."""

_NODES = 3
"""How many nodes are made where neither the data nor the app says."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The loaded model that is checked, and its data.

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
    client : type of StarClient or None
        A client of the user's own.
    masked : callable or None
        Gives the strategy as it is declared, where that masks secure sums; `strategy` does not.
    """

    plan: NodePlan
    strategy: Callable[[], StarStrategy]
    simple_analysis: bool
    outputs: Outputs
    sources: list[Callable[[], Any]]
    client: type[StarClient] | None = None
    masked: Callable[[], StarStrategy] | None = None

    @classmethod
    def of(
        cls,
        declaration: Declaration,
        sources: list[Callable[[], Any]],
        secure: bool | None = None,
    ) -> Subject:
        """Take what is declared, without chance in rules and filters, and a run's ``secure``."""
        plan = declaration.plan
        if plan.disclosure:
            from flame_flwr.privacy.rules import without_chance

            plan = dataclasses.replace(plan, disclosure=without_chance(plan.disclosure))
        if plan.filters:
            from flame_flwr.privacy.update_filter import with_seed

            plan = dataclasses.replace(plan, filters=with_seed(plan.filters, 0))
        strategy, secure = declaration.strategy, plan.secure or secure
        masked = partial(_summing, strategy, True) if secure else None
        if secure is not None:  # the grid alone gives what masks give, and answers can be compared
            plan = dataclasses.replace(plan, secure=False)
            strategy = partial(_summing, strategy, False)
            strategy()  # raises where something is no sum
        return cls(
            plan,
            strategy,
            declaration.simple_analysis,
            declaration.outputs,
            sources,
            declaration.client,
            masked,
        )

    @property
    def aggregator(self) -> type[Any] | None:
        """The user's aggregator class, where the strategy has one."""
        aggregator = getattr(self.strategy(), "aggregator", None)
        return aggregator if isinstance(aggregator, type) else None

    @property
    def goes_in_turn(self) -> bool:
        """Whether nodes are asked one after another: then their order makes the result."""
        return self.strategy().in_turn

    @property
    def speaks_messages(self) -> bool:
        """Whether a client of the user's own, or the strategy, reads or writes Flower's messages.

        Such an analysis may choose its nodes by chance, so its runs are not compared.
        """
        from flame_flwr.strategies import StarStrategy

        # what stands above StarStrategy and is not ours may be a user's, or another package's
        order = type(self.strategy()).__mro__
        above = order[: order.index(StarStrategy)]
        own = [c for c in above if not c.__module__.startswith("flame_flwr.")]
        return self.client is not None or any(m in vars(c) for c in own for m in _MESSAGE_METHODS)

    @property
    def server(self) -> str:
        """The name of what merges on the server: the aggregator, or the user's own strategy."""
        from flame_flwr.strategies import StarStrategy

        strategy = type(self.strategy())
        merges_itself = strategy.make_aggregation is not StarStrategy.make_aggregation
        aggregator = None if merges_itself else self.aggregator
        return (aggregator or strategy).__name__


def _summing(made: Callable[[], StarStrategy], secure: bool) -> StarStrategy:
    strategy = made()
    strategy.sum_securely(secure)
    return strategy


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
        The arguments of ``StarModelTester``: ``data_type`` and all the others.
    """

    analyzer: Any
    aggregator: Any
    splits: Sequence[Any]
    arguments: dict[str, Any]

    def load(self, stack: ExitStack) -> Subject:
        """Check what is declared, as ``StarModel`` does."""
        classes = {"analyzer": self.analyzer, "aggregator": self.aggregator}
        given = {
            name: each.resolve() if isinstance(each, Reference) else each
            for name, each in {"data_type": "s3", **self.arguments, **classes}.items()
        }
        splits = check_splits(self.splits, None)
        return _with_splits(declare(Arguments(**given), paths=True), splits)


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
    secure : bool or None
        What the run config of an app around it says of secure sums.
    """

    path: Path
    data: list[str]
    nodes: int | None
    secure: bool | None = None

    def load(self, stack: ExitStack) -> Subject:
        """Execute the script without running its analysis."""
        from flame_flwr.analysis.listeners import listening
        from flame_flwr.script.environment import ScriptEnvironment, ScriptError
        from flame_flwr.script.loader import BuiltModels, execute

        built = BuiltModels(self.path.name)
        environment = ScriptEnvironment(self.path)
        stack.enter_context(environment.entered())
        stack.enter_context(listening(built))
        try:
            execute(environment, built)
        except (Exception, SystemExit):
            # code behind the model reads results, which are not there
            if not (built.models or built.testers):
                raise
        if built.testers and not (self.data or built.models or built.imported):
            return _with_splits(*built.testers[0])
        if built.testers and not self.data:
            raise ScriptError(
                f"{self.path.name} has a StarModel and a StarModelTester: say with --data what the "
                "nodes of the StarModel read"
            )
        return _with_data(built.only(), self.data, self.nodes, self.secure)


@dataclass(frozen=True, slots=True)
class AppSource:
    """A Flower app: the ``StarModel`` whose apps its ``pyproject.toml`` names.

    Parameters
    ----------
    folder : Path
        The app's, absolute.
    component : str
        Its ClientApp, ``module:attribute``.
    data : list of str
        A location per node, or one for all.
    nodes : int or None
        How many nodes.
    secure : bool or None
        What its run config says of secure sums.
    """

    folder: Path
    component: str
    data: list[str]
    nodes: int | None
    secure: bool | None = None

    def load(self, stack: ExitStack) -> Subject:
        """Import the app's component and find its model."""
        module, _, attribute = self.component.partition(":")
        sys.path.insert(0, str(self.folder))
        model = _model_of(importlib.import_module(module), attribute)
        return _with_data(model, self.data, self.nodes, self.secure)


def source_at(path: Path, data: Sequence[str], nodes: int | None) -> AppSource | ScriptSource:
    """Return what is to be checked at a path.

    Parameters
    ----------
    path : Path
        A script, or the folder of a Flower app; absolute.
    data : sequence of str
        A location per node; for an app without one, what its run config names.
    nodes : int or None
        How many nodes; for an app, otherwise what its run config says, or three.

    Raises
    ------
    ConfigError
        There is nothing, or no app in the folder.
    """
    if not path.exists():
        raise ConfigError(f"there is no script and no app {path}")
    if not path.is_dir():
        return ScriptSource(path, list(data), nodes)
    app = App.read(path)
    component, config = str(app.about["app"]["components"]["clientapp"]), app.config or {}
    places = list(data) or [place for place in [config.get("data")] if place]
    if nodes is None and not data:
        said = config.get("nodes")
        nodes = said if isinstance(said, int) and said > 0 else _NODES
    secure = config.get("secure")
    secure = secure if isinstance(secure, bool) else None
    if component.startswith("flame_flwr.star.script:"):
        return ScriptSource(path / str(config.get("script", "")), places, nodes, secure)
    return AppSource(path, component, places, nodes, secure)


def _with_data(
    model: StarModel, data: Sequence[str], nodes: int | None, secure: bool | None
) -> Subject:
    return Subject.of(model.declaration, _located(model.plan.data_type, data, nodes), secure)


def _with_splits(declaration: Declaration, splits: Sequence[Any]) -> Subject:
    """Take a tester's data, pickled: it is new for every process and every run."""
    copies = [cloudpickle.dumps(split) for split in splits]
    sources: list[Callable[[], Any]] = [partial(_split, copy) for copy in copies]
    return Subject.of(declaration, sources)


def _split(content: bytes) -> Any:
    return pickle.loads(content)  # noqa: S301  (pickled by this process)


def _located(data_type: str, data: Sequence[str], nodes: int | None) -> list[Callable[[], Any]]:
    """Return what gives every node its data, opened anew at every call."""
    from flame_flwr.script.locations import node_locations, open_sources

    if data_type == "none" and not nodes:
        nodes = len(data) or _NODES
    locations = node_locations(data_type, data, nodes)
    open_sources(locations)
    return [partial(_located_one, locations, i) for i in range(len(locations))]


def _located_one(locations: list[str], number: int) -> SourceData | None:
    from flame_flwr.script.locations import open_sources

    return open_sources(locations)[number]


def _model_of(module: Any, attribute: str) -> StarModel:
    from flame_flwr.analysis.model import StarModel

    app = getattr(module, attribute, None)
    models = [value for value in vars(module).values() if isinstance(value, StarModel)]
    named = [model for model in models if vars(model).get("client_app") is app]
    if app is None or not (named or len(models) == 1):
        raise ConfigError(
            f"{module.__name__} has no StarModel whose client_app is `{attribute}`: build it "
            f"there, as `model = StarModel(...)` and `{attribute} = model.client_app`"
        )
    return (named or models)[0]
