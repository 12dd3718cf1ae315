"""Removing what analyses have left in a node's ``state-dir``.

Only what the framework has made is removed, and what analyses have put into the folders that it has
made for them; of a folder that no node's config names, nothing that has other files below it.
"""

from __future__ import annotations

import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from flame_flwr.data.kept_files import (
    ANALYSES,
    KEPT_VALUE,
    LOCAL_STORAGE,
    SECURE_SUMS,
    SESSION,
    STATE_FILE,
)
from flame_flwr.errors import ConfigError
from flame_flwr.folder_trees import entries_below, opened_folder, remove_tree, size_on_disk
from flame_flwr.log import logger

__all__ = ["Leftover", "clean", "expire", "leftovers"]

_DAY = 86400.0
_SAY_NODE = "; with --node FOLDER, whose config names it, what apps have left goes, too"
_ANALYSIS = re.compile(rf"{SESSION.pattern}(-[a-z0-9_-]+(\.[0-9a-f]{{16}})?)?")
"""The folder of an analysis: its session, and since it has that, its project."""

_OWN = {
    SECURE_SUMS: re.compile(rf"{SESSION.pattern}/[^/]+/(secure\.state|\.part-[^/]+)"),
    ANALYSES: re.compile(rf"{_ANALYSIS.pattern}/[^/]+/({STATE_FILE.pattern}|\.part-[^/]+)"),
    LOCAL_STORAGE: re.compile(rf"[^/]+/[^/]+/({KEPT_VALUE.pattern}|\.part-[^/]+)"),
}
"""What files of the framework's own are called below each folder."""

_NAMES = {ANALYSES: _ANALYSIS, SECURE_SUMS: SESSION}
"""What the folders in these are called."""


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
        The size of all its files.
    """

    path: Path
    days: float
    bytes: int


def leftovers(
    state_dir: Path, *, kept_data: bool = False, is_nodes: bool = False
) -> list[Leftover]:
    """Return what the framework has made in a ``state-dir``: secure sums first, then by age.

    Parameters
    ----------
    state_dir : Path
        As in the node's config.
    kept_data : bool
        Also what analyses keep for later ones with ``save_intermediate_data``.
    is_nodes : bool
        It is known to be the ``state-dir`` of a node, as the node's config names it: what analyses
        have left under names of their own counts, too, and nothing at all need be there yet.

    Raises
    ------
    ConfigError
        There is no such folder, it is no ``state-dir``, or it is another user's.
    """
    there = [kind for kind in (SECURE_SUMS, ANALYSES, LOCAL_STORAGE) if (state_dir / kind).is_dir()]
    if not there and not is_nodes:
        raise ConfigError(f"{state_dir} is not a `state-dir`: it has no folder {ANALYSES} in it")
    found = []
    for kind in there:
        if kind == LOCAL_STORAGE and not kept_data:
            continue
        _check_owner(state_dir / kind)
        for path in sorted((state_dir / kind).iterdir()):
            leftover = _leftover(path, kind, is_nodes=is_nodes)
            if leftover is not None:
                found.append(leftover)
            elif path.exists():
                named = "" if is_nodes else _SAY_NODE
                logger.warning("%s was not made by an analysis: left alone%s", path, named)
    # sessions of secure sums first: while one is left, its mask could be used
    return sorted(found, key=lambda each: (each.path.parent.name != SECURE_SUMS, -each.days))


def clean(
    state_dir: Path,
    older_than: float,
    *,
    kept_data: bool = False,
    dry_run: bool = False,
    is_nodes: bool = False,
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
    is_nodes : bool
        As of :func:`leftovers`.

    Raises
    ------
    ConfigError
        As :func:`leftovers`; or a folder cannot be removed.
    """
    found = leftovers(state_dir, kept_data=kept_data, is_nodes=is_nodes)
    old = [each for each in found if each.days > older_than]
    if not dry_run:
        for leftover in old:
            try:
                with opened_folder(state_dir, leftover.path.parent.name) as kind:
                    remove_tree(leftover.path.name, kind)
            except FileNotFoundError:
                continue  # another SuperNode with this folder was quicker
            except OSError as error:
                raise ConfigError(f"{leftover.path} cannot be removed ({error})") from error
    return old


def expire(state_dir: Path, days: float) -> None:
    """Remove analyses that nobody went on with; a node does so when it is greeted."""
    if any((state_dir / kind).is_dir() for kind in (SECURE_SUMS, ANALYSES)):
        try:
            removed = clean(state_dir, days, is_nodes=True)
        except (ConfigError, OSError) as error:
            logger.warning("old analyses in the `state-dir` cannot be removed: %s", error)
            return
        for leftover in removed:
            logger.info("removed an analysis nobody went on with for %.0f days", leftover.days)


def _check_owner(folder: Path) -> None:
    about = folder.lstat()
    if folder.is_symlink() or os.geteuid() not in (0, about.st_uid):
        raise ConfigError(
            f"{folder} is a link, or another user's folder: nothing in it is removed; run this "
            "as the user that the SuperNode runs as"
        )


def _leftover(path: Path, kind: str, *, is_nodes: bool) -> Leftover | None:
    """Describe a folder; ``None`` where it is not the framework's own."""
    try:
        if path.is_symlink() or not path.is_dir():
            return None
        found = _own_files(path, kind)
        if found is None and is_nodes and _is_made_closed(path, kind):
            found = [path.lstat(), *entries_below(path)]
            size = sum(map(size_on_disk, found))
        elif found is not None:
            size = sum(each.st_size for each in found if stat.S_ISREG(each.st_mode))
    except FileNotFoundError:
        return None  # another SuperNode with this folder has removed it meanwhile
    if not found or (kind == LOCAL_STORAGE and not size):
        return None
    # An app may set the time of a file to any other, and not when it did.
    newest = max(min(each.st_mtime, each.st_ctime) for each in found)
    return Leftover(path, (time.time() - newest) / _DAY, size)


def _own_files(path: Path, kind: str) -> list[os.stat_result] | None:
    """Describe the framework's files and their folders; ``None`` where there are other files."""
    if kind in _NAMES and not _NAMES[kind].fullmatch(path.name):
        return None
    found = []
    for folder, folders, files in os.walk(path):
        if folders and Path(folder) != path:
            return None  # an analysis makes files only
        found.append(os.lstat(folder))
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*files, *links]:
            file = Path(folder, name)
            if not _OWN[kind].fullmatch(file.relative_to(path.parent).as_posix()):
                return None
            found.append(file.lstat())
    return found


def _is_made_closed(path: Path, kind: str) -> bool:
    """Tell whether a folder is as nodes make them: for this user alone, with a folder per node.

    What is in those was left by analyses, and may have any name.
    """
    if kind in _NAMES and not _NAMES[kind].fullmatch(path.name):
        return False
    below = [each.is_dir() and not each.is_symlink() for each in path.iterdir()]
    return all(below) and not path.lstat().st_mode & 0o077
