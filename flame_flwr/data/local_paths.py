"""Which files and folders of a node's own host its config and registry name as data."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flame_flwr.data.registry import read_registry
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flame_flwr.config import NodeSettings

__all__ = ["is_function", "local_paths", "locations_of", "missing_paths"]


def local_paths(locations: Iterable[str]) -> list[Path]:
    """Return the locations that are on this host, as paths.

    Examples
    --------
    >>> local_paths(["file:///srv/a%20b", "s3://bucket", "package.module:function"])
    [PosixPath('/srv/a b')]
    """
    found = []
    for location in locations:
        if location.startswith("file://"):
            location = unquote(urlsplit(location).path)
        if os.path.isabs(location):
            found.append(Path(location))
    return found


def locations_of(data: str) -> list[str]:
    """Return the locations that `data` of a node's config names."""
    return [part.strip() for part in data.split(";") if part.strip()]


def is_function(location: str) -> bool:
    """Tell whether a location names a function: ``module:function``."""
    module, colon, attribute = location.partition(":")
    return bool(colon) and all(name.isidentifier() for name in [*module.split("."), attribute])


def missing_paths(settings: NodeSettings) -> list[Path]:
    """Return the paths that a node's config and registry name and that do not exist.

    Those that this process's user may not look at are left out: they may well exist.
    """
    locations = locations_of(settings.data)
    if settings.datasets:
        with suppress(ConfigError):  # which is said where it is used
            locations += [each.url for each in read_registry(Path(settings.datasets))]
    return [path for path in local_paths(locations) if _is_missing(path)]


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a NUL in it
        return True
    except OSError:
        return False
    return False
