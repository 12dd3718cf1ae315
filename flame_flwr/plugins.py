"""Plug-ins: strategies and clients of installed packages, found by their entry points.

A package offers them under ``flame_flwr.strategies`` and ``flame_flwr.clients``; a run selects one
by its name, with `strategy` and `client` in the run config. A package that is broken is said to
be, and stops no other.
"""

from __future__ import annotations

import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

from flame_flwr.errors import ConfigError, FlameError, ModelError, text_of
from flame_flwr.results.outputs import files_of

if TYPE_CHECKING:
    from flame_flwr.clients import StarClient
    from flame_flwr.strategies import StarStrategy

__all__ = ["GROUPS", "Plugin", "client", "found", "strategy"]

Kind = Literal["strategy", "client"]

GROUPS: dict[Kind, str] = {"strategy": "flame_flwr.strategies", "client": "flame_flwr.clients"}
"""The group of entry points of each kind of plug-in."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One name that a package offers.

    Parameters
    ----------
    kind : {'strategy', 'client'}
        What it is.
    name : str
        How a run config selects it.
    package : str
        Who offers it, with its version.
    value : str
        Where it is: ``module:attribute``.
    problem : str
        Why it cannot be used; empty where it can.
    """

    kind: Kind
    name: str
    package: str
    value: str
    problem: str = ""


def found() -> list[Plugin]:
    """Return all plug-ins that are installed, each of them loaded, by kind and name."""
    plugins = []
    for kind in GROUPS:
        for name, points in sorted(_points(kind).items()):
            for point in points:
                plugins.append(
                    Plugin(kind, name, _package(point), point.value, _problem(kind, points, point))
                )
    return plugins


def strategy(
    name: str, instead_of: StarStrategy | None = None, run_config: Mapping[str, Any] | None = None
) -> StarStrategy:
    """Return a new strategy of a plug-in.

    Parameters
    ----------
    name : str
        The plug-in's.
    instead_of : StarStrategy, optional
        The model's own, or ``StarStrategy(YourAggregator)`` in one process: its aggregator and
        the rest of what it was made from go to the plug-in, as far as that takes arguments of
        these names. Its convergence ends the plug-in's runs too.
    run_config : dict, optional
        Likewise, as ``run_config``.

    Raises
    ------
    ConfigError
        No package offers the name, more than one does, or it cannot be loaded.
    ModelError
        It is no strategy, cannot be made, or has an attribute ``files`` of its own.
    """
    offered = _load("strategy", name)
    made = _made(name, offered, instead_of, run_config) if callable(offered) else copy.copy(offered)
    _check_kind("strategy", name, made)
    files_of(made)
    if instead_of is not None:
        made.stop_also(instead_of.convergence)
    return made


def client(name: str) -> type[StarClient]:
    """Return the client class of a plug-in.

    Raises
    ------
    ConfigError
        No package offers the name, more than one does, or it cannot be loaded.
    ModelError
        It is no subclass of ``StarClient``.
    """
    offered: type[StarClient] = _load("client", name)
    _check_kind("client", name, offered)
    return offered


def _made(
    name: str,
    offered: Callable[..., StarStrategy],
    instead_of: StarStrategy | None,
    run_config: Mapping[str, Any] | None,
) -> StarStrategy:
    """Call a plug-in with what it takes of what there is."""
    own = ("aggregator", "aggregator_kwargs", "simple_analysis", "allow_pickle")
    given = {key: getattr(instead_of, key) for key in own if hasattr(instead_of, key)}
    given["run_config"] = dict(run_config or {})
    taken = _parameters(offered)
    arguments = {key: value for key, value in given.items() if key in taken and value is not None}
    try:
        return offered(**arguments)
    except FlameError:
        raise
    except TypeError as error:
        raise ModelError(
            f"the strategy plug-in `{name}` cannot be made from what there is "
            f"({', '.join(arguments) or 'nothing'}): {error}. It may take aggregator, "
            "aggregator_kwargs, simple_analysis, allow_pickle and run_config, and nothing else"
            + (_IN_ONE_PROCESS.format(name) if instead_of is None else "")
        ) from error


_IN_ONE_PROCESS = (
    ". In one process these come from you: "
    "plugins.strategy({0!r}, StarStrategy(YourAggregator), {{...}}), with the run config's keys"
)


def _points(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a kind by their names."""
    points: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for point in entry_points(group=GROUPS[kind]):
        points[point.name].append(point)
    return dict(points)


def _package(point: EntryPoint) -> str:
    return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _problem(kind: Kind, points: list[EntryPoint], point: EntryPoint) -> str:
    """Say why an entry point cannot be used; nothing where it can."""
    if len(points) > 1:
        others = [_package(other) for other in points if other is not point]
        return f"{' and '.join(others)} offers the name, too"
    try:
        offered = _imported(point)
        if kind == "client" or not callable(offered) or isinstance(offered, type):
            _check_kind(kind, point.name, offered)
    except FlameError as error:
        return " ".join(str(error).split())  # one line, whatever the package's error says
    return ""


def _load(kind: Kind, name: str) -> Any:
    """Return what a plug-in offers, without a look at the others."""
    points = _points(kind)
    if name not in points:
        offered = ", ".join(sorted(points)) or "none"
        raise ConfigError(
            f"no package that is installed here offers the {kind} `{name}` that the run config "
            f"selects; installed: {offered}. `flame-flwr plugins` lists them"
        )
    if len(points[name]) > 1:
        packages = " and ".join(sorted(_package(point) for point in points[name]))
        raise ConfigError(f"{packages} both offer the {kind} `{name}`: uninstall one of them")
    return _imported(points[name][0])


def _imported(point: EntryPoint) -> Any:
    """Load an entry point; whatever comes up in the package is one kind of error."""
    try:
        return point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a package may even call sys.exit
        raise ConfigError(
            f"the package {_package(point)} is broken: {point.value} cannot be imported "
            f"({type(error).__name__})",
            detail=text_of(error),
        ) from error


def _check_kind(kind: Kind, name: str, thing: Any) -> None:
    if kind == "client":
        from flame_flwr.clients import StarClient

        if not isinstance(thing, type) or not issubclass(thing, StarClient):
            raise ModelError(f"the client plug-in `{name}` must be a subclass of StarClient")
    else:
        from flame_flwr.strategies import StarStrategy

        made = thing if isinstance(thing, type) else type(thing)
        if not issubclass(made, StarStrategy):
            raise ModelError(
                f"the strategy plug-in `{name}` must be a subclass of StarStrategy, an instance of "
                f"one, or a function that returns one, not {made.__name__}"
            )


def _parameters(offered: Any) -> set[str]:
    """Return the names of what a class or function takes, with those it hands on by ``**``."""
    if not isinstance(offered, type):
        return set(inspect.signature(offered).parameters)
    names: set[str] = set()
    for base in offered.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names
