"""The entry points of installed packages that offer plug-ins: found by name, loaded, or refused."""

from __future__ import annotations

from collections import defaultdict
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from flame_flwr.errors import ConfigError, text_of

__all__ = ["GROUPS", "Kind", "load", "load_point", "package_of", "points_of"]

Kind = Literal["strategy", "client"]

GROUPS: dict[Kind, str] = {"strategy": "flame_flwr.strategies", "client": "flame_flwr.clients"}
"""The group of entry points of each kind of plug-in."""


def points_of(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a kind by their names."""
    points: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for point in entry_points(group=GROUPS[kind]):
        points[point.name].append(point)
    return dict(points)


def package_of(point: EntryPoint) -> str:
    """Return who offers an entry point, with its version."""
    return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def load(kind: Kind, name: str) -> Any:
    """Load one plug-in by its name; the others are not loaded."""
    points = points_of(kind)
    if name not in points:
        offered = ", ".join(sorted(points)) or "none"
        raise ConfigError(
            f"no package that is installed here offers the {kind} `{name}` that the run config "
            f"selects; installed: {offered}. `flame-flwr plugins` lists them"
        )
    if len(points[name]) > 1:
        packages = " and ".join(sorted(package_of(point) for point in points[name]))
        raise ConfigError(f"{packages} both offer the {kind} `{name}`: uninstall one of them")
    return load_point(points[name][0])


def load_point(point: EntryPoint) -> Any:
    """Load an entry point; whatever the package raises becomes one kind of error."""
    try:
        return point.load()
    except KeyboardInterrupt:  # the user's, and no fault of the package
        raise
    except BaseException as error:  # a package may even call sys.exit
        raise ConfigError(
            f"the package {package_of(point)} is broken: {point.value} cannot be imported "
            f"({type(error).__name__})",
            detail=text_of(error),
        ) from error
