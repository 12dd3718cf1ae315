"""What one message may write to in the node's ``state-dir``, and how much may lie there.

It is its project's folder and its analysis's. The framework makes files of known names in them and
no folders; what is there otherwise after a message, its app has left, and it is removed.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
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
from flame_flwr.folder_trees import remove_tree, size_on_disk
from flame_flwr.log import logger
from flame_flwr.node.kept_states import WHOLE

if TYPE_CHECKING:
    from flame_flwr.config import NodeSettings
    from flame_flwr.flower_node_state import NodeMessage

__all__ = ["KeptFolders", "kept_bytes", "project_of"]

_NAMES = re.compile(f"{STATE_FILE.pattern}|{KEPT_VALUE.pattern}")
_ROUNDING = 2**20
"""Bytes of blocks that are not full, and of what is kept beside states."""


class _Entry(NamedTuple):
    inode: int
    changed: int
    size: int


@dataclass(frozen=True)
class _Folder:
    path: Path
    most: int
    before: dict[str, _Entry]

    @property
    def bytes_before(self) -> int:
        return sum(each.size for each in self.before.values())

    def settle(self) -> bool:
        """Remove what the message should not have left; return whether that was too much."""
        new = {name for name, each in _listed(self.path).items() if self.before.get(name) != each}
        own = {name for name in new if _NAMES.fullmatch(name) and _is_file(self.path / name)}
        if new - own:
            logger.warning("an app has left files of its own in `state-dir`: they are removed")
        _remove(self.path, new - own)
        if kept_bytes(self.path) <= max(self.most, self.bytes_before):
            return False
        _remove(self.path, own)
        return True


@dataclass(frozen=True)
class KeptFolders:
    """The folders of a message's project and analysis, as they were before it.

    Parameters
    ----------
    folders : tuple
        None where the node has no ``state-dir``.
    others : tuple of Path
        Of the project's other analyses.
    most_of_project : float
        Bytes that all analyses of the project may keep together.
    """

    folders: tuple[_Folder, ...]
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
        kept = [(FolderFiles(root, LOCAL_STORAGE, project, name), WHOLE * most)]
        if session := _session(asked):
            kept.append((analysis_files(root, session, project, name), most))
        for files, _ in kept:
            files.make()
        folders = tuple(
            _Folder(files.folder, int(most) + _ROUNDING, _listed(files.folder))
            for files, most in kept
        )
        here = {each.path for each in folders}
        others = tuple(each for each in analyses_of(root, project, name) if each not in here)
        return cls(folders, others, WHOLE * most)

    def most_at_any_time(self) -> dict[str, int]:
        """Return how many bytes may lie in each: more than afterwards, as a new file comes first.

        A folder that has more than it may by now, such as before `state-mb` was lowered, may stay
        as it is.
        """
        return {
            str(each.path): max(each.most, each.bytes_before) + each.most for each in self.folders
        }

    def settle(self) -> bool:
        """Remove what the message should not have left; return whether it has left too much.

        Its processes have ended.
        """
        left_too_much = [each.settle() for each in self.folders]
        self._make_room()
        return any(left_too_much)

    def _make_room(self) -> None:
        """Remove the project's analyses that are unused for longest, where all keep too much.

        A run chooses the session of its messages, and so could have any number of folders.
        """
        sizes = {path: kept_bytes(path) for path in self.others}
        own = sum(kept_bytes(each.path) for each in self.folders[1:])
        for path in sorted(self.others, key=_last_used):
            if own + sum(sizes.values()) <= self.most_of_project:
                return
            sizes.pop(path)
            with suppress(FileNotFoundError):  # another node with this folder was quicker
                remove_tree(path)
            logger.warning(
                "an analysis's states are removed from `state-dir`, as all of its project keep "
                "more there than `state-mb` lets them"
            )


def kept_bytes(folder: Path) -> float:
    """Return what lies in a folder of a project's or analysis's.

    It is without end where there is a folder in it: the framework makes none, and however much is
    in there need not be counted.
    """
    size = 0
    with suppress(FileNotFoundError), os.scandir(_readable(folder)) as found:
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


def _listed(folder: Path) -> dict[str, _Entry]:
    """Return what lies in a folder; the time of a change no program sets."""
    found = {}
    with os.scandir(_readable(folder)) as entries:
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            found[entry.name] = _Entry(about.st_ino, about.st_ctime_ns, size_on_disk(about))
    return found


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_ctime  # which no app can set
    except FileNotFoundError:
        return 0.0


def _readable(folder: Path) -> Path:
    """Open a folder again that its app has closed."""
    with suppress(FileNotFoundError):
        if folder.stat().st_mode & 0o700 != 0o700:
            folder.chmod(0o700)
    return folder


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        path = folder / name
        try:
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("what an app has left in `state-dir` cannot be removed: %s", error)
