"""Keeps a check's processes out of the user's folders, and hears which files user code opens.

It listens to Python's audit events, so what a library opens in C is not heard. The working
directory of every process is an empty folder of the check's own; files of the user's that are
read relative to it are copied there when they are asked for.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.user_code import is_user_code

if TYPE_CHECKING:
    from types import FrameType

    from flame_flwr.testing.findings import Severity
    from flame_flwr.testing.observer import At, Watch

__all__ = ["Guard", "RefusedWriteError"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PLACES = {
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.listdir": 0,
    "os.scandir": 0,
    "sqlite3.connect": 0,
}
"""Which argument of an event is the path that counts."""

_LISTS = {"os.listdir", "os.scandir"}

_TRAVELS = {".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl", ".pyc", ".so", ".pyd"}
"""Files beside the code that are on other machines too: in Flower's bundle, or compiled there."""

_MOST_FILES, _MOST_BYTES, _LARGE = 500, 20_000_000, 5_000_000
"""What is copied of a folder at most, and what is left out as too large."""

_IMPORTS = (os.path.dirname(importlib.__file__) + os.sep, "<frozen importlib")
_FRAMEWORK = str(Path(__file__).resolve().parents[1]) + os.sep


class RefusedWriteError(PermissionError):
    """User code was about to write into the user's own folders; a check leaves them alone."""


class Guard:
    """Hears of every file that this process opens.

    Parameters
    ----------
    homes : list of Path
        The user's folders. Nothing is written there; the first is the one whose files user code
        finds relative to its working directory.
    own : Path
        The check's folder, where everything may be written.

    Attributes
    ----------
    watch : Watch or None
        Gets the findings, once methods of the user's are called.
    moved : str
        Where user code changed the working directory outside of its methods, if it did.
    """

    def __init__(self, homes: list[Path], own: Path) -> None:
        self.watch: Watch | None = None
        self.moved = ""
        resolved = (home.resolve() for home in homes)
        self._homes = [home for home in resolved if home != home.parent]  # not the root
        self._own = own.resolve()
        self._here = self._own
        self._written: set[str] = set()
        self._busy = False

    def install(self) -> None:
        """Begin to listen, in this process and in those forked from it."""
        sys.addaudithook(self._hear)

    def enter(self, folder: Path, *, furnish: bool) -> None:
        """Make an empty folder the working directory.

        Parameters
        ----------
        folder : Path
            The folder; made here.
        furnish : bool
            Whether copies of the user's small files stand there from the beginning.
        """
        folder.mkdir(parents=True)
        self._here = folder.resolve()
        self._written = set()
        os.chdir(folder)
        if furnish and self._homes:
            _furnish(self._homes[0], self._here, self._own)

    def made(self) -> list[Path]:
        """Return what was written below the working directory and is still there.

        Returns
        -------
        list of Path
            Absolute paths, none of them below another.
        """
        names = sorted({Path(path).parts[0] for path in self._written} - {os.pardir})
        return [self._here / name for name in names if (self._here / name).exists()]

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Take an audit event."""
        if event == "open":
            path, mode, flags = args
            writes = bool(set(mode) & set("wax+")) if mode else bool(flags & _WRITING)
        elif event == "os.chdir":
            path, writes = args[0], False
        elif event in _PLACES:
            path, writes = args[_PLACES[event]], event not in _LISTS
        else:
            return
        if self._busy:
            return
        if isinstance(path, bytes | os.PathLike):
            path = os.fsdecode(path)
        if not isinstance(path, str) or not path or path == ":memory:":
            return
        self._busy = True
        try:
            at = self.watch.inside if self.watch is not None else None
            path = self._from_here(path)
            if event == "os.chdir":
                self._moves(at, self._here / path)
            elif os.path.isabs(path):
                self._absolute(at, Path(path), writes=writes)
            else:
                self._relative(at, os.path.normpath(path), writes=writes, lists=event in _LISTS)
        finally:
            self._busy = False

    def _from_here(self, path: str) -> str:
        """Return a path relative to the folder of this process, wherever user code has gone."""
        if os.path.isabs(path):
            return path
        try:
            now = os.getcwd()
        except FileNotFoundError:
            return path
        if now == str(self._here):
            return path
        path = os.path.join(now, path)
        inside = Path(os.path.normpath(path)).is_relative_to(self._here)
        return os.path.relpath(path, self._here) if inside else path

    def _moves(self, at: At | None, target: Path) -> None:
        """Take a change of the working directory."""
        place = _place()
        if not place:
            return
        if at is None:
            self.moved = place
            return
        away = any(target.resolve().is_relative_to(home) for home in self._homes)
        known = ", a folder of this machine" if away else ""
        self._report(
            at,
            f"it changes the working directory to {target}{known} ({place}). Whatever runs after "
            "it in this process is there too",
            "Leave it as it is, and make paths absolute: Path(__file__).parent / ...",
            "error" if away else "warning",
        )

    def _relative(self, at: At | None, path: str, *, writes: bool, lists: bool) -> None:
        place = _place() if at is not None else ""
        if writes:
            self._written.add(path)
            if at is not None and at.analyzes and place:
                self._report(
                    at,
                    f"it writes {path!r} relative to the working directory ({place}). On Flower "
                    "this file is gone when the round ends",
                    "Keep the content as an attribute of self, or return it",
                    "warning",
                )
            return
        if path in self._written:
            return
        self._fetch(path)
        if at is None or not place:
            return
        if lists and path == "." and at.analyzes:
            self._report(
                at,
                f"it lists the working directory ({place}). On Flower this is an empty folder",
                "Take the files from `data`, which the framework reads",
            )
        elif any((home / path).exists() for home in self._homes) and path != ".":
            self._report(
                at,
                f"it reads {path!r} relative to the working directory ({place}). On Flower there "
                "is no such file",
                "Let the nodes have it as data; or, of a kind that Flower bundles with an app "
                "(.json, .yaml, .toml, ...), read it beside the code: Path(__file__).parent",
            )

    def _fetch(self, path: str) -> None:
        """Copy what is read relative to the working directory from the user's folder."""
        target = self._here / path
        if target.exists() or not target.resolve().is_relative_to(self._here):
            return
        for home in self._homes:
            original = home / path
            if original.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(original, target)
                return
            if original.is_dir():
                target.mkdir(parents=True)
                _furnish(original, target, self._own)
                return

    def _absolute(self, at: At | None, path: Path, *, writes: bool) -> None:
        path = path.resolve()
        home = next((home for home in self._homes if path.is_relative_to(home)), None)
        if home is None or path.is_relative_to(self._own) or not is_user_code(str(path)):
            return
        inner = path.relative_to(home)
        if any(part.startswith(".") for part in inner.parts):
            return
        place = _place() if at is not None else ""
        if writes:
            if at is not None:
                self._report(
                    at,
                    f"it writes {inner} into {home} ({place}), a folder that other machines do "
                    "not have; the check did not let it",
                    "Return the content as a result: the framework writes it",
                )
            raise RefusedWriteError(f"a check lets nothing be written into {home}: {inner}")
        if place and path.suffix not in _TRAVELS and path.is_file() and at is not None:
            self._report(
                at,
                f"it reads {inner} in {home} ({place}). Flower takes no such file into an app's "
                "bundle, so other machines do not have it",
                "Let the nodes have it as data, or keep its content in a .json or .py file",
            )

    def _report(self, at: At, seen: str, mend: str, severity: Severity = "error") -> None:
        if self.watch is not None:
            self.watch.report("folder", at, seen, mend, severity)


def _place() -> str:
    """Return the innermost line of user code under way.

    Nothing where the framework reads for it, or where Python imports or looks for packages.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if is_user_code(file) and not file.startswith("<"):
            return f"{Path(file).name}:{frame.f_lineno}"
        if (file.startswith(_FRAMEWORK) and file != __file__) or file.startswith(_IMPORTS):
            return ""
        frame = frame.f_back
    return "in a library"


def _furnish(home: Path, folder: Path, own: Path) -> None:
    """Copy the files below a folder, so long as they are few and small, and not hidden."""
    entries, size = 0, 0
    for parent, folders, names in os.walk(home):
        if own.is_relative_to(parent) and Path(parent) != home:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__pycache__")
        entries += 1
        for path in (Path(parent, name) for name in sorted(names) if name[0] != "."):
            try:
                length = path.stat().st_size
                if length > _LARGE:
                    continue
                entries, size = entries + 1, size + length
                if entries > _MOST_FILES or size > _MOST_BYTES:
                    return
                target = folder / path.relative_to(home)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            except OSError:
                continue
