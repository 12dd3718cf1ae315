"""Keeps files of a node: in a folder that only its user may enter, or in memory.

Files are written whole. This module knows nothing of what is in them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NoReturn

from flame_flwr.errors import ConfigError, DataError
from flame_flwr.files import os_errors_as, write_whole
from flame_flwr.folder_trees import opened_folder
from flame_flwr.log import logger

__all__ = [
    "ANALYSES",
    "KEPT_VALUE",
    "LOCAL_STORAGE",
    "SECURE_SUMS",
    "SESSION",
    "STATE_FILE",
    "Files",
    "FolderFiles",
    "MemoryFiles",
    "NoFiles",
    "analyses_of",
    "analysis_files",
    "check_state_dir",
]

ANALYSES = "analyses"
"""The folder in a ``state-dir`` for what analyzers are in the middle of."""

LOCAL_STORAGE = "local-storage"
"""The folder in a ``state-dir`` for what analyses keep for later ones."""


SECURE_SUMS = "secure-sums"
"""The folder in a ``state-dir`` for sessions of secure sums, which no analysis's process sees."""

SESSION = re.compile(r"[0-9a-f]{32}")
"""An analysis's own id, under which nodes keep what they are in the middle of."""

STATE_FILE = re.compile(r"run\.json|after-[0-9]{8}\.state")
"""The files of an analysis."""

KEPT_VALUE = re.compile(
    r"([0-9]{20})_([0-9a-f-]{36})_([a-z0-9-]*)(?:_([0-9a-f]{32})-([0-9]+))?\.value"
)
"""The file of a kept value: its place in the order, id, tag; the session and round it is of."""


class FolderFiles:
    """Files in a folder that only this user may enter.

    Parameters
    ----------
    root : Path
        The ``state-dir``.
    kind : str
        The folder in it, :data:`ANALYSES` or :data:`LOCAL_STORAGE`.
    owner : str or tuple of str
        Any text: a folder below that, the project's or analysis's.
    node : str
        Any text: a folder below that, the node's.
    lasting : bool
        Whether `node` stays the node's name; writing warns where it may not.
    """

    def __init__(
        self,
        root: Path,
        kind: str,
        owner: str | tuple[str, ...],
        node: str,
        *,
        lasting: bool = True,
    ) -> None:
        parts = (owner,) if isinstance(owner, str) else owner
        self._root = root
        self._storage = root / kind
        self._folder = self._storage / "-".join(map(_safe, parts)) / _safe(node)
        self._lasting = lasting

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def make(self) -> None:
        """Make the folders, closed to everyone else.

        Raises
        ------
        ConfigError
            They cannot be made, or others may write to one that is there.
        """
        with os_errors_as(ConfigError, "`state-dir`: no folder can be made there"):
            self._root.parent.mkdir(parents=True, exist_ok=True)
            # one by one: with `parents`, mkdir would leave those in between open to others
            for folder in (self._root, self._storage, self._folder.parent, self._folder):
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                self._check()  # before anything is made behind a link
        # where it was there already, and others could read it
        with suppress(OSError), opened_folder(self._root, self._storage.name) as storage:
            os.fchmod(storage, 0o700)

    def names(self) -> list[str]:
        """Return the names of all files; none where the folder is not there yet."""
        self._check()
        with _kept_data("read"):
            try:
                return os.listdir(self._folder)
            except FileNotFoundError:
                return []

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        self._check()
        with _kept_data("read"):
            handle = os.open(self._folder / name, _HOW)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                return file.read()

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file under another name first, then rename it."""
        if not self._lasting:
            logger.warning(
                "this node has no `name` in its config: what is kept now is lost when Flower gives "
                "the node another id, as it may when the SuperNode starts again"
            )
        self._check()
        with _kept_data("written"):
            write_whole(self._folder / name, parts)

    def remove(self, name: str) -> None:
        """Remove a file."""
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:  # which callers expect: another process may have been quicker
            raise
        except OSError:
            with _kept_data("changed"):
                raise

    def _check(self) -> None:
        """Refuse folders into which another user could have put a pickle.

        Looked at by their names, as a sandboxed analysis may not open them: where nobody else may
        write to the ``state-dir``, nobody else can put another folder in their place.
        """
        check_state_dir(self._root, os.geteuid())
        with suppress(FileNotFoundError, NotADirectoryError):  # what makes or lists it will say so
            for folder in (self._storage, self._folder.parent, self._folder):
                _check_folder(folder)


class MemoryFiles:
    """Files in this process, gone when it ends."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def make(self) -> None:
        """Do nothing: memory is there."""

    def names(self) -> list[str]:
        """Return the names of all files."""
        return list(self._files)

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return self._files[name]

    def write(self, name: str, parts: Iterable[bytes]) -> None:
        """Keep a copy of the parts."""
        self._files[name] = b"".join(parts)

    def remove(self, name: str) -> None:
        """Forget a file."""
        del self._files[name]


class NoFiles:
    """No place at all: every use is an error that says which key makes one.

    Parameters
    ----------
    where : str
        The config with that key, such as ``"this node's config"``.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def make(self) -> None:
        """Do nothing: a node that keeps nothing needs no place."""

    def _refuse(self, *_: object) -> NoReturn:
        raise ConfigError(
            f"keeping data on a node needs a folder: set `state-dir` in {self._where}, to an "
            "absolute path"
        )

    names = read = write = remove = _refuse


def analysis_files(root: Path, session: str, project: str, node: str) -> FolderFiles:
    """Return the files of an analysis at a node, which its project alone has.

    The project is part of the folder's name, so that a run of another project that knows the
    session has an empty folder of its own: what is kept are pickles, which run where they are read.

    Raises
    ------
    ConfigError
        A folder of this analysis is there that was made before its name had the project.
    """
    files = FolderFiles(root, ANALYSES, (session, project), node)
    if (root / ANALYSES / _safe(session)).exists():
        raise ConfigError(
            "`state-dir`: what it has of this analysis is of an earlier version of flame-flwr, "
            "which did not note its project: start the analysis again"
        )
    return files


def analyses_of(root: Path, project: str, node: str) -> list[Path]:
    """Return the folders of a project's analyses at a node.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for project in ("covid", "long-covid"):
    ...         analysis_files(Path(root), 32 * "0", project, "a").make()
    ...     len(analyses_of(Path(root), "covid", "a"))
    1
    """
    suffix = f"-{_safe(project)}"
    return [
        folder / _safe(node)
        for folder in (root / ANALYSES).glob(f"*{suffix}")
        if SESSION.fullmatch(folder.name.removesuffix(suffix))
        and all(each.is_dir() and not each.is_symlink() for each in (folder, folder / _safe(node)))
    ]


Files = FolderFiles | MemoryFiles | NoFiles
"""Where values are kept: whole files by name."""

_HOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Through no link, and waiting for no pipe."""

_OTHERS_WRITE = 0o022
_OWN_FOLDER = "and give this node a folder of its own"

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def _safe(name: str) -> str:
    """Return a file name for any text: the text itself, if every system takes it as a name."""
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable or 'x'}.{digest[:16]}"


def check_state_dir(path: Path, user: int) -> None:
    """See that nobody but a node's user, and root, may write to its ``state-dir``, if it is there.

    Parameters
    ----------
    path : Path
        The ``state-dir``; it may lie behind a link, as an administrator moves it to another disk.
    user : int
        As whom the node runs.

    Raises
    ------
    ConfigError
        Others may write to it, or it is another user's.
    """
    try:
        about = os.stat(path)  # through a link: its own rights say nothing
    except OSError:
        return  # it is still to be made, which says by itself what is wrong
    if about.st_uid not in (user, 0):
        _refuse(path, "the folder belongs to another user than the node's", _OWN_FOLDER)
    if about.st_mode & _OTHERS_WRITE:
        _refuse(path, "the folder may be written by others", "then `chmod go-w` it")


def _check_folder(path: Path) -> None:
    about, which = path.lstat(), f"the folder {path.name} in it"
    if stat.S_ISLNK(about.st_mode):
        _refuse(path, f"{which} is a link, and none is followed", "then remove the link")
    if about.st_uid != os.geteuid():
        _refuse(path, f"{which} belongs to another user than the node's", _OWN_FOLDER)
    if about.st_mode & _OTHERS_WRITE:
        _refuse(path, f"{which} may be written by others", "then `chmod 700` it")


def _refuse(path: Path, why: str, mend: str) -> NoReturn:
    raise ConfigError(
        f"`state-dir`: {why}. What is in it may run as this node: look at it, {mend}",
        detail=str(path),
    )


def _kept_data(how: str) -> AbstractContextManager[None]:
    return os_errors_as(DataError, f"the folder of what is kept on this node cannot be {how}")
