"""Removing what analyses have left in a node's ``state-dir``.

Only what the framework has made is removed: a folder with anything else below it is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from flame_flwr.data.kept_files import ANALYSES, KEPT_VALUE, LOCAL_STORAGE, SESSION
from flame_flwr.errors import ConfigError
from flame_flwr.log import logger

__all__ = ["Leftover", "clean", "expire", "leftovers"]

_DAY = 86400.0
_OWN = {
    ANALYSES: re.compile(
        rf"{SESSION.pattern}/[^/]+/(run\.json|after-[0-9]{{8}}\.state|\.part-[^/]+)"
    ),
    LOCAL_STORAGE: re.compile(rf"[^/]+/[^/]+/({KEPT_VALUE.pattern}|\.part-[^/]+)"),
}
"""What files of the framework's own are called below each folder."""


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
    """Return what the framework has made in a ``state-dir``, oldest first.

    Parameters
    ----------
    state_dir : Path
        As in the node's config.
    kept_data : bool
        Also what analyses keep for later ones with ``save_intermediate_data``.

    Raises
    ------
    ConfigError
        There is no such folder, it is no ``state-dir``, or it is another user's.
    """
    there = [kind for kind in (ANALYSES, LOCAL_STORAGE) if (state_dir / kind).is_dir()]
    if not there:
        raise ConfigError(f"{state_dir} is no `state-dir`: it has no folder {ANALYSES} in it")
    found = []
    for kind in there:
        if kind == LOCAL_STORAGE and not kept_data:
            continue
        _check_owner(state_dir / kind)
        for path in sorted((state_dir / kind).iterdir()):
            leftover = _leftover(path, kind)
            if leftover is not None:
                found.append(leftover)
            elif path.exists():
                logger.warning("%s was not made by an analysis: left alone", path)
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
            except FileNotFoundError:
                continue  # another SuperNode with this folder was quicker
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


def _check_owner(folder: Path) -> None:
    about = folder.lstat()
    if folder.is_symlink() or os.geteuid() not in (0, about.st_uid):
        raise ConfigError(
            f"{folder} is a link, or another user's folder: nothing in it is removed; run this "
            "as the user that the SuperNode runs as"
        )


def _leftover(path: Path, kind: str) -> Leftover | None:
    """Return what there is to say of a folder; ``None`` where it is not the framework's own."""
    newest, size = 0.0, 0
    try:
        if path.is_symlink() or not path.is_dir():
            return None
        for folder, folders, files in os.walk(path):
            newest = max(newest, os.lstat(folder).st_mtime)
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in [*files, *links]:
                file = Path(folder, name)
                # one file of somebody else's is enough to leave all of it alone
                if not _OWN[kind].fullmatch(file.relative_to(path.parent).as_posix()):
                    return None
                about = file.lstat()
                newest, size = max(newest, about.st_mtime), size + about.st_size
    except FileNotFoundError:
        return None  # another SuperNode with this folder has removed it meanwhile
    own = SESSION.fullmatch(path.name) if kind == ANALYSES else size
    return None if not own else Leftover(path, (time.time() - newest) / _DAY, size)
