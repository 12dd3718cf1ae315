"""What one message may write to in the node's ``state-dir``, and how much may lie there.

It is its project's folder and its analysis's. The framework makes files of known names in them and
no folders. Anything else that is there after a message is its app's, and is removed. Without a
sandbox, an app may have put a link in the place of a folder: none is followed.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from flwr.app import ConfigRecord

from flame_flwr.config import RUN_KEYS
from flame_flwr.data.kept_files import (
    KEPT_VALUE,
    LOCAL_STORAGE,
    SESSION,
    STATE_FILE,
    FolderFiles,
    analyses_of,
    analysis_files,
)
from flame_flwr.errors import ConfigError
from flame_flwr.folder_trees import (
    Identity,
    identity,
    opened_folder,
    remove_tree,
    size_on_disk,
)
from flame_flwr.log import logger
from flame_flwr.node.kept_states import ANALYSES

if TYPE_CHECKING:
    from flame_flwr.config import NodeSettings
    from flame_flwr.flower_node_state import NodeMessage

__all__ = ["KeptFolders", "kept_bytes", "opened_kept", "project_of"]

_NAMES = re.compile(f"{STATE_FILE.pattern}|{KEPT_VALUE.pattern}")
_ROUNDING = 2**20
"""Bytes of blocks that are not full, and of what is kept beside states."""


class _Entry(NamedTuple):
    inode: int
    changed: int
    size: int
    is_file: bool


@dataclass(frozen=True)
class _Folder:
    files: FolderFiles
    most: int
    identity: Identity
    before: dict[str, _Entry]

    @classmethod
    def of(cls, files: FolderFiles, most: int) -> Self:
        files.make()
        with opened_kept(files.folder) as folder:
            return cls(files, most, identity(os.fstat(folder)), _listed(folder))

    @property
    def path(self) -> Path:
        return self.files.folder

    @property
    def bytes_before(self) -> int:
        return sum(each.size for each in self.before.values())

    def settle(self) -> str:
        """Remove what the message should not have left; return the limit it exceeds, if any."""
        with suppress(FileNotFoundError, NotADirectoryError), opened_kept(self.path) as folder:
            if identity(os.fstat(folder)) == self.identity:
                return self._settle(folder)
        logger.warning(
            "an app has put something else in the place of its folder in `state-dir`: that is "
            "removed, nothing behind a link, and the folder is made anew"
        )
        try:
            _remove_in_place(self.path)
            self.files.make()
        except (OSError, ConfigError) as error:
            logger.error("its folder in `state-dir` cannot be made anew: %s", error)
        return "folders"

    def _settle(self, folder: int) -> str:
        found = _listed(folder)
        new = {name for name, each in found.items() if self.before.get(name) != each}
        own = {name for name in new if _NAMES.fullmatch(name) and found[name].is_file}
        if new - own:
            logger.warning("an app has left files of its own in `state-dir`: they are removed")
        _remove(folder, new - own)
        if kept_bytes(folder) <= max(self.most, self.bytes_before):
            return ""
        _remove(folder, own)  # what was there before stays: this message has not made it
        return "disk"


@dataclass(frozen=True)
class KeptFolders:
    """The folders of a message's project and analysis, as they were before it.

    Parameters
    ----------
    folders : tuple
        None where the node has no ``state-dir``.
    root : Path
        The ``state-dir``.
    identity : tuple, optional
        The ``state-dir``'s.
    others : tuple of Path
        Of the project's other analyses.
    most_of_project : float
        Bytes that all analyses of the project may keep together.
    """

    folders: tuple[_Folder, ...]
    root: Path = Path()
    identity: Identity | None = None
    others: tuple[Path, ...] = ()
    most_of_project: float = 0

    @classmethod
    def of(cls, settings: NodeSettings, asked: NodeMessage) -> Self:
        """Make the folders where they are missing.

        Raises
        ------
        ConfigError
            They cannot be made, or that of the analysis has no project.
        """
        if not settings.state_dir:
            return cls(())
        root, project = Path(settings.state_dir), project_of(asked)
        name, most = settings.name or str(asked.context.node_id), settings.state_mb * 1e6
        kept = [(FolderFiles(root, LOCAL_STORAGE, project, name), ANALYSES * most)]
        if session := _session(asked):
            kept.append((analysis_files(root, session, project, name), most))
        folders = tuple(_Folder.of(files, int(most) + _ROUNDING) for files, most in kept)
        here = {each.path for each in folders}
        others = tuple(each for each in analyses_of(root, project, name) if each not in here)
        return cls(folders, root, _identity_of(root), others, ANALYSES * most)

    def most_at_any_time(self) -> dict[str, int]:
        """Return how many bytes may lie in each: more than afterwards, as a new file comes first.

        A folder that has more than it may by now, such as before `state-mb` was lowered, may stay
        as it is.
        """
        return {
            str(each.path): max(each.most, each.bytes_before) + each.most for each in self.folders
        }

    def settle(self) -> str:
        """Remove what the message should not have left.

        Its processes have ended.

        Returns
        -------
        str
            The limit that it has not kept to, for :func:`.limits.reason_of_limit`; empty for none.
        """
        if self.folders and _identity_of(self.root) != self.identity:
            logger.error(
                "`state-dir` is another folder than before the message: nothing in it is touched"
            )
            return "folders"
        try:
            # Of two limits "folders" counts more than "disk", and so it does in the alphabet.
            return max(*(each.settle() for each in self.folders), self._make_room(), "")
        except OSError as error:
            logger.error("what an app has left in `state-dir` cannot be looked at: %s", error)
            return "folders"

    def _make_room(self) -> str:
        """Remove the project's analyses that are unused for longest, where all keep too much.

        A run chooses the session of its messages, and so could have any number of folders.
        """
        limit, sizes = "", []
        for path in self.others:
            with suppress(FileNotFoundError):  # another node with this folder was quicker
                try:
                    with opened_kept(path) as folder:  # no app can set the time of a change
                        sizes.append((os.fstat(folder).st_ctime, path, kept_bytes(folder)))
                except NotADirectoryError:
                    limit = "folders"
                    logger.warning(
                        "an app has put something else in the place of another analysis's folder "
                        "in `state-dir`: that is removed, and nothing behind a link"
                    )
                    _remove_in_place(path)
        own = 0.0
        for each in self.folders[1:]:
            with opened_kept(each.path) as folder:
                own += kept_bytes(folder)
        sizes.sort(reverse=True)
        while sizes and own + sum(size for _, _, size in sizes) > self.most_of_project:
            _, path, _ = sizes.pop()
            with suppress(FileNotFoundError):
                _remove_in_place(path)
            logger.warning(
                "an analysis's states are removed from `state-dir`, as all of its project keep "
                "more there than `state-mb` lets them"
            )
        return limit


def opened_kept(path: Path) -> AbstractContextManager[int]:
    """Open a folder of a project's or analysis's; only its ``state-dir`` may lie behind a link.

    Raises
    ------
    OSError
        As of :func:`~flame_flwr.folder_trees.opened_folder`.
    """
    return opened_folder(path.parents[2], *path.parts[-3:])


def kept_bytes(folder: int) -> float:
    """Return what lies in the open folder of a project's or analysis's.

    It is without end where there is a folder in it: the framework makes none, and however much is
    in there need not be counted.
    """
    size = 0
    with os.scandir(folder) as found:
        for entry in found:
            with suppress(FileNotFoundError):  # written under another name first
                if entry.is_dir(follow_symlinks=False):
                    return float("inf")
                size += size_on_disk(entry.stat(follow_symlinks=False))
    return size


def project_of(asked: NodeMessage) -> str:
    """Return the project that a message's run is of."""
    return str(asked.context.run_config.get("project-id", RUN_KEYS["project-id"].default))


def _session(asked: NodeMessage) -> str:
    """Return the id of the analysis that a message belongs to; empty where it names none."""
    for record in asked.message.content.values():
        if isinstance(record, ConfigRecord):
            session = record.get("session")
            if isinstance(session, str) and SESSION.fullmatch(session):
                return session
    return ""


def _listed(folder: int) -> dict[str, _Entry]:
    """Return what lies in an open folder; the time of a change no program sets."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                found[entry.name] = _Entry(
                    about.st_ino,
                    about.st_ctime_ns,
                    size_on_disk(about),
                    stat.S_ISREG(about.st_mode),
                )
    return found


def _identity_of(root: Path) -> Identity | None:
    """Return what a ``state-dir`` is, also behind a link; ``None`` where there is none."""
    with suppress(OSError):
        return identity(os.stat(root))
    return None


def _remove_in_place(path: Path) -> None:
    """Remove a folder below a ``state-dir``, or what is in the place of one that it is in."""
    # From the top, by handles: a link in the place of any of the three would lead elsewhere.
    root, names = path.parents[2], path.parts[-3:]
    for depth, name in enumerate(names, 1):
        with opened_folder(root, *names[: depth - 1]) as above:
            is_folder = stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
            if depth == len(names) or not is_folder:
                remove_tree(name, above)
                return


def _remove(folder: int, names: set[str]) -> None:
    for name in names:
        try:
            remove_tree(name, folder)
        except OSError as error:
            logger.error("what an app has left in `state-dir` cannot be removed: %s", error)
