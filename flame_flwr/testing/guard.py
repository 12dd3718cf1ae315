"""Keeps a check's processes out of the user's folders, and sees which files user code opens.

The working directory of every process is a folder of the check's own: what a run misses in an
empty one is told by comparing the runs. Python's audit events tell what no comparison does: the
line that reads a file of the user's, by a relative path or an absolute one, what is listed, and a
write into the user's folders, which must not happen at all. What a library opens in C is not seen.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.testing.file_copies import furnish
from flame_flwr.user_code.paths import is_user_code

if TYPE_CHECKING:
    from types import FrameType

    from flame_flwr.testing.findings import Severity
    from flame_flwr.testing.observer import At, Watch

__all__ = ["Guard", "RefusedWriteError"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LISTS = {"os.listdir", "os.scandir"}
_PATHS = {
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.chdir": 0,
    "sqlite3.connect": 0,
    **dict.fromkeys(_LISTS, 0),
}
"""Which argument of an event is the path that counts."""

_TRAVELS = {".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl", ".pyc", ".so", ".pyd"}
"""Files beside the code that are on other machines too: in Flower's bundle, or compiled there."""

_IMPORTS = (os.path.dirname(importlib.__file__) + os.sep, "<frozen importlib")
_FRAMEWORK = str(Path(__file__).resolve().parents[1]) + os.sep


class RefusedWriteError(PermissionError):
    """User code was about to write into the user's own folders; a check leaves them alone."""


class _Opened(NamedTuple):
    """A path that an event opens, and what it does there."""

    path: str
    writes: bool = False
    lists: bool = False
    moves: bool = False


class Guard:
    """Sees every file that this process opens.

    Parameters
    ----------
    homes : list of Path
        The user's folders. Nothing is written there; their files are what user code finds
        relative to its working directory, those of the first before the others'.
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
        sys.addaudithook(self._on_event)

    def enter(self, folder: Path, *, furnished: bool) -> None:
        """Make a new folder the working directory.

        Parameters
        ----------
        folder : Path
            The folder; made here.
        furnished : bool
            Whether copies of the user's small files stand there; otherwise it is empty.
        """
        folder.mkdir(parents=True)
        self._here = folder.resolve()
        self._written = set()
        os.chdir(folder)
        for home in self._homes if furnished else ():
            furnish(self._here, home, self._own)

    def made(self) -> list[Path]:
        """Return what was written below the working directory and is still there.

        Returns
        -------
        list of Path
            Absolute paths, none of them below another.
        """
        names = sorted({Path(path).parts[0] for path in self._written} - {os.pardir})
        return [self._here / name for name in names if (self._here / name).exists()]

    def _on_event(self, event: str, args: tuple[Any, ...]) -> None:
        """Take an audit event; what the guard itself opens meanwhile is none of its business."""
        if self._busy or (event != "open" and event not in _PATHS):
            return
        opened = _opened(event, args)
        if opened is None:
            return
        self._busy = True
        try:
            at = self.watch.inside if self.watch is not None else None
            opened = opened._replace(path=self._from_here(opened.path))
            if opened.moves:
                self._check_move(at, self._here / opened.path)
            elif os.path.isabs(opened.path):
                self._check_absolute(at, Path(opened.path), writes=opened.writes)
            else:
                self._check_relative(at, opened)
        finally:
            self._busy = False

    def _from_here(self, path: str) -> str:
        """Return a path relative to the folder of this process, wherever user code has gone."""
        if os.path.isabs(path):
            return path
        try:
            now = os.getcwd()
        except FileNotFoundError:
            return os.path.normpath(path)
        whole = os.path.normpath(os.path.join(now, path))
        inside = now == str(self._here) or Path(whole).is_relative_to(self._here)
        return os.path.relpath(whole, self._here) if inside else whole

    def _check_move(self, at: At | None, target: Path) -> None:
        """Report a change of the working directory."""
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

    def _check_relative(self, at: At | None, opened: _Opened) -> None:
        """Report what is opened relative to the working directory, which is another on Flower."""
        path, place = opened.path, _place() if at is not None else ""
        if opened.writes:
            self._written.add(path)
        if at is None or not place:
            return
        if opened.writes and at.analyzes:
            self._report(
                at,
                f"it writes {path!r} relative to the working directory ({place}). On Flower "
                "this file is gone when the round ends",
                "Keep the content as an attribute of self, or return it",
                "warning",
            )
        if path in self._written:
            return  # its own file, in the folder that it has on Flower too
        if opened.lists and path == "." and at.analyzes:
            self._report(
                at,
                f"it lists the working directory ({place}). On Flower this is an empty folder",
                "Take the files from `data`, which the framework reads",
            )
        elif path != "." and any((home / path).exists() for home in self._homes):
            self._report(
                at,
                f"it reads {path!r} relative to the working directory ({place}). On Flower there "
                "is no such file",
                "Let the nodes have it as data; or, of a kind that Flower bundles with an app "
                "(.json, .yaml, .toml, ...), read it beside the code: Path(__file__).parent",
            )

    def _check_absolute(self, at: At | None, path: Path, *, writes: bool) -> None:
        """Refuse writes into the user's folders; report reads that other machines cannot do."""
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
            # raised in the hook, it reaches the user's own call
            raise RefusedWriteError(f"a check lets nothing be written into {home}: {inner}")
        if at is not None and place and path.suffix not in _TRAVELS and path.is_file():
            self._report(
                at,
                f"it reads {inner} in {home} ({place}). Flower takes no such file into an app's "
                "bundle, so other machines do not have it",
                "Let the nodes have it as data, or keep its content in a .json or .py file",
            )

    def _report(self, at: At, seen: str, mend: str, severity: Severity = "error") -> None:
        if self.watch is not None:
            self.watch.report("folder", at, seen, mend, severity)


def _opened(event: str, args: tuple[Any, ...]) -> _Opened | None:
    """Return what an event opens; ``None`` for a file descriptor, or a database in memory."""
    path = args[0 if event == "open" else _PATHS[event]]
    if isinstance(path, bytes | os.PathLike):
        path = os.fsdecode(path)
    if not isinstance(path, str) or not path or path == ":memory:":
        return None
    if event == "open":
        _, mode, flags = args
        return _Opened(path, bool(set(mode) & set("wax+")) if mode else bool(flags & _WRITING))
    lists, moves = event in _LISTS, event == "os.chdir"
    return _Opened(path, not (lists or moves), lists, moves)


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
