"""Removing what analyses have left in a node's ``state-dir``."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from flame_flwr.data.store_files import ANALYSES, LOCAL_STORAGE
from flame_flwr.errors import ConfigError
from flame_flwr.log import logger

__all__ = ["Leftover", "clean", "expire", "leftovers"]

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """A folder of one analysis, or of one project's kept data.

    Parameters
    ----------
    path : Path
        The folder.
    days : float
        Since something in it was written last.
    bytes : int
        Of all its files.
    """

    path: Path
    days: float
    bytes: int


def leftovers(state_dir: Path, *, kept_data: bool = False) -> list[Leftover]:
    """Return what is in a ``state-dir``, oldest first.

    Parameters
    ----------
    state_dir : Path
        As in the node's config.
    kept_data : bool
        Also what analyses keep for later ones with ``save_intermediate_data``.

    Raises
    ------
    ConfigError
        There is no such folder, or it is no ``state-dir``.
    """
    kinds = [state_dir / ANALYSES, state_dir / LOCAL_STORAGE]
    if not any(kind.is_dir() for kind in kinds):
        raise ConfigError(f"{state_dir} is no `state-dir`: it has no folder {ANALYSES} in it")
    chosen = kinds if kept_data else kinds[:1]
    folders = [path for kind in chosen if kind.is_dir() for path in kind.iterdir()]
    found = [_leftover(path) for path in folders if path.is_dir() and not path.is_symlink()]
    return sorted(found, key=lambda leftover: -leftover.days)


def clean(
    state_dir: Path, older_than: float, *, kept_data: bool = False, dry_run: bool = False
) -> list[Leftover]:
    """Remove what nobody has written to for so many days, and return it.

    Parameters
    ----------
    state_dir : Path
        As in the node's config.
    older_than : float
        Days. An analysis under way writes every round.
    kept_data : bool
        Also what analyses keep for later ones.
    dry_run : bool
        Only say what would be removed.

    Raises
    ------
    ConfigError
        As :func:`leftovers`; or a folder cannot be removed.
    """
    old = [found for found in leftovers(state_dir, kept_data=kept_data) if found.days > older_than]
    if not dry_run:
        for leftover in old:
            try:
                shutil.rmtree(leftover.path)
            except OSError as error:
                raise ConfigError(f"{leftover.path} cannot be removed ({error})") from error
    return old


def expire(state_dir: Path, days: float) -> None:
    """Remove the analyses that nobody went on with; a node does it when it says hello."""
    if (state_dir / ANALYSES).is_dir():
        try:
            removed = clean(state_dir, days)
        except (ConfigError, OSError) as error:
            logger.warning("old analyses in the `state-dir` cannot be removed: %s", error)
            return
        for leftover in removed:
            logger.info("removed an analysis nobody went on with for %.0f days", leftover.days)


def _leftover(path: Path) -> Leftover:
    files = [path, *path.rglob("*")]
    stats = [file.lstat() for file in files]
    newest = max(stat.st_mtime for stat in stats)
    sizes = [stat.st_size for file, stat in zip(files, stats, strict=True) if file.is_file()]
    return Leftover(path, (time.time() - newest) / _DAY, sum(sizes))
