"""Plug-ins: strategies and clients of installed packages, found by their entry points.

A package offers them under ``flame_flwr.strategies`` and ``flame_flwr.clients``; a run selects one
by its name, with `strategy` and `client` in the run config. A broken package is reported, and does
not affect others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_flwr.clients.client_plugin import check_client, client
from flame_flwr.errors import FlameError
from flame_flwr.installed.entry_points import GROUPS, Kind, load_point, package_of, points_of
from flame_flwr.strategies.strategy_plugin import check_strategy, strategy

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUPS", "Plugin", "client", "found", "strategy"]


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
        for name, points in sorted(points_of(kind).items()):
            for point in points:
                plugins.append(
                    Plugin(
                        kind, name, package_of(point), point.value, _problem(kind, points, point)
                    )
                )
    return plugins


def _problem(kind: Kind, points: list[EntryPoint], point: EntryPoint) -> str:
    """Say why an entry point cannot be used; nothing where it can."""
    if len(points) > 1:
        others = [package_of(other) for other in points if other is not point]
        return f"{' and '.join(others)} offers the name, too"
    try:
        offered = load_point(point)
        if kind == "client":
            check_client(point.name, offered)
        # What a function makes is known when a run calls it, with its config.
        elif not callable(offered) or isinstance(offered, type):
            check_strategy(point.name, offered)
    except FlameError as error:
        return " ".join(str(error).split())  # one line, whatever the package's error says
    return ""
