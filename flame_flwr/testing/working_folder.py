"""The working directory of a check's process: empty as on Flower, or with copies of small files.

A run in an empty folder fails where it reads a file of the user's by a relative path, and the error
names the file. That run cannot be the only one: a script whose tester reads its splits from a file
beside it could not even be loaded, and a first read would hide what else is wrong. So the import
and the runs in one process have copies of the user's small files. They are copies, and no links,
because what a library writes in C would go through a link unseen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

__all__ = ["WorkingFolder"]

_MOST_FILES, _MOST_BYTES, _LARGE = 500, 20_000_000, 5_000_000
"""What is copied of a folder at most, and what is left out as too large."""

_MOST_COMPARED = 5_000
"""Files and folders that are looked at for what has changed."""


class WorkingFolder:
    """A new folder, made the working directory of this process.

    Parameters
    ----------
    path : Path
        The folder; made here, below the check's own.
    homes : sequence of Path
        The user's folders, resolved.
    own : Path, optional
        The check's folder. With it, copies of the user's small files are put here, those of the
        first folder before the others'; without it, the folder is empty.
    """

    def __init__(self, path: Path, homes: Sequence[Path], own: Path | None = None) -> None:
        path.mkdir(parents=True)
        os.chdir(path)
        # with links followed, as `os.getcwd` has it
        self.path = path.resolve()
        self._homes = homes
        if own is not None:
            for home in homes:
                _copy_small_files(self.path, home, own.resolve())

    def entries(self) -> dict[str, tuple[int, int]]:
        """Return what is below the folder: by its path, with what changes when it is written."""
        found = {}
        for entry in islice(_entries(self.path), _MOST_COMPARED):
            with suppress(FileNotFoundError):  # a thread of the user's may be at work meanwhile
                about = entry.stat(follow_symlinks=False)
                # a folder changes with its entries, which are listed themselves
                folder = entry.is_dir(follow_symlinks=False)
                written = (0, 0) if folder else (about.st_mtime_ns, about.st_size)
                found[os.path.relpath(entry.path, self.path)] = written
        return found

    def written_since(self, before: Mapping[str, tuple[int, int]]) -> list[str]:
        """Return the paths that are new or have changed, a folder before what is in it."""
        now = self.entries()
        return sorted(path for path, written in now.items() if before.get(path) != written)

    def is_users(self, path: str) -> bool:
        """Tell whether a path leads into one of the user's folders, and not into the check's."""
        # who works in the folder for temporary files has the check's below it
        own = Path(path).is_relative_to(self.path.parent)
        return not own and any(Path(path).is_relative_to(home) for home in self._homes)

    def missing_file(self, error: BaseException | None) -> str:
        """Return which file below this folder an exception, or its cause, has not found, or ``''``.

        Parameters
        ----------
        error : BaseException or None
            As user code raised it, with the working directory as it was then.
        """
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            # NumPy raises it with a text alone
            if isinstance(error, FileNotFoundError) and error.filename is not None:
                path = Path(os.path.abspath(os.fsdecode(error.filename)))
                inside = path != self.path and path.is_relative_to(self.path)
                return str(path.relative_to(self.path)) if inside else ""
            error = error.__cause__ or error.__context__
        return ""


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with (
        suppress(OSError),
        os.scandir(folder) as entries,
    ):  # one that user code has closed, or taken
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def _copy_small_files(folder: Path, home: Path, own: Path) -> None:
    """Copy the files below a user's folder, so long as they are few and small, and not hidden."""
    size = 0
    for path in islice(_small_files(home, own), _MOST_FILES):
        try:
            size += path.stat().st_size
            if size > _MOST_BYTES:
                return
            target = folder / path.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(path, target)
        except OSError:  # of another user, or gone meanwhile: the run says so if it needs it
            continue


def _small_files(home: Path, own: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(home):
        # copies into a folder that is being walked would be copied again
        if own.is_relative_to(parent) and Path(parent) != home:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__pycache__")
        for path in (Path(parent, name) for name in sorted(names) if name[0] != "."):
            if path.is_file() and path.stat().st_size <= _LARGE:
                yield path
