"""Keeps a check's processes from changing the user's folders, and sees what they read there.

What code does relative to its working directory needs no listener: the check makes that folder
(:mod:`flame_flwr.testing.working_folder`) and compares. Two things no comparison shows, so Python's
audit events stay for them alone. A write into the user's folders must not happen at all: found
afterwards, a file of the user's would be gone. A file that is read by its absolute path is there in
every run on this machine, and on no other machine. What a library opens in C is not seen.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.user_code.paths import is_user_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from flame_flwr.testing.observer import At, Observer

__all__ = ["FolderGuard", "RefusedWriteError"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),  # what is moved away is gone, too
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    # below its first call it names files by descriptors, which say nothing of the folder
    "shutil.rmtree": (0,),
    "sqlite3.connect": (0,),
}
"""The events that change a file or folder, and which of their arguments are its paths."""

_TRAVELS = {".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl", ".pyc", ".so", ".pyd"}
"""Files beside the code that are on other machines too: in Flower's bundle, or compiled there."""

_IMPORTS = (os.path.dirname(importlib.__file__) + os.sep, "<frozen importlib")
_FRAMEWORK = str(Path(__file__).resolve().parents[1]) + os.sep


class RefusedWriteError(PermissionError):
    """User code was about to write into the user's own folders; a check leaves them alone."""


class FolderGuard:
    """Refuses writes into the user's folders, and reports what is read there.

    Parameters
    ----------
    homes : sequence of Path
        The user's folders, resolved.
    own : Path
        The check's folder, where everything may be written; it may lie below one of the user's.

    Attributes
    ----------
    observer : Observer or None
        Gets the findings, once methods of the user's are called.
    """

    def __init__(self, homes: Sequence[Path], own: Path) -> None:
        self.observer: Observer | None = None
        self._homes = homes
        self._own = own.resolve()

    def install(self) -> None:
        """Begin to listen, here and in processes forked from this one: a hook is never removed."""
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, args: tuple[Any, ...]) -> None:
        # Called for every event of the interpreter, of which most are no business of the guard's.
        if event != "open" and event not in _CHANGES:
            return
        for path, writes in _paths(event, args):
            home = next((home for home in self._homes if path.is_relative_to(home)), None)
            if home is None or path.is_relative_to(self._own) or not is_user_code(str(path)):
                continue
            inner = path.relative_to(home)
            # caches of editors, of fonts, of version control
            if not any(part.startswith(".") for part in inner.parts):
                self._judge(home, inner, writes=writes)

    def _judge(self, home: Path, inner: Path, *, writes: bool) -> None:
        """Refuse a write into a folder of the user's; report a read that others cannot do."""
        at = self.observer.inside if self.observer is not None else None
        place = _place() if at is not None else ""
        if writes:
            self._report(
                at,
                f"it writes {inner} into {home} ({place}), a folder that other machines do "
                "not have; the check did not let it",
                "Return the content as a result: the framework writes it",
            )
            # raised in the hook, it reaches the user's own call
            raise RefusedWriteError(f"a check lets nothing be written into {home}: {inner}")
        if place and inner.suffix not in _TRAVELS and (home / inner).is_file():
            self._report(
                at,
                f"it reads {inner} in {home} ({place}). Flower takes no such file into an app's "
                "bundle, so other machines do not have it",
                "Let the nodes have it as data, or keep its content in a .json or .py file",
            )

    def _report(self, at: At | None, seen: str, mend: str) -> None:
        if self.observer is not None and at is not None:
            self.observer.report("folder", at, seen, mend)


def _paths(event: str, args: tuple[Any, ...]) -> Iterator[tuple[Path, bool]]:
    """Yield the paths of an event, links followed, and whether it writes there."""
    writes = True
    if event == "open":
        _, mode, flags = args
        # `open` has a mode, `os.open` has none
        writes = bool(set(mode) & set("wax+")) if mode else bool(flags & _WRITING)
    for path in (args[place] for place in _CHANGES.get(event, (0,))):
        # a file descriptor, or a database in memory, is no path
        if isinstance(path, str | bytes | os.PathLike) and path != ":memory:":
            yield Path(os.path.realpath(os.fsdecode(path))), writes


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
