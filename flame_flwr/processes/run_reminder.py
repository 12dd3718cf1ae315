"""Tell whoever runs a script that only builds a ``StarModel`` how to run its analysis.

A line is printed when the script ends, and only if the script is the program itself, as in
``python study.py``: not if an app or a test imports it, not in a notebook, and not after an error
or if the script has started other programs. Whatever runs an analysis calls :func:`ran`.
"""

from __future__ import annotations

import atexit
import builtins
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType

__all__ = ["built", "ran"]


@dataclass(slots=True)
class _Seen:
    """A script that has built a model: its process, and the kind of data it needs."""

    main: ModuleType
    path: Path
    process: int
    children: float
    data_type: str


_MUCH = 0.3  # seconds, of a child that is a program of its own: `flwr run` takes some more

_seen: list[_Seen] = []
_ran: list[bool] = []


def built(data_type: str) -> None:
    """Note that a script has built a model. It may still run it later.

    Parameters
    ----------
    data_type : str
        The model's.
    """
    main = sys.modules.get("__main__")
    if _seen or main is None or not _is_script(main) or _builder() is not vars(main):
        return
    path = Path(str(main.__file__))  # gone when the script has ended
    _seen.append(_Seen(main, path, os.getpid(), _children(), data_type))
    atexit.register(_say)


def ran() -> None:
    """Note that this process has run an analysis, or tried to."""
    if not _ran:
        _ran.append(True)


def _is_script(main: ModuleType) -> bool:
    file = getattr(main, "__file__", None)
    interactive = sys.flags.interactive or hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
    alone = main.__name__ == "__main__" and not interactive
    return alone and isinstance(file, str) and os.path.isfile(file)


def _builder() -> dict[str, object]:
    """Return the globals of the code that builds the model: the first that is not ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("flame_flwr."):
        frame = frame.f_back
    return {} if frame is None else frame.f_globals


def _say() -> None:
    [seen] = _seen
    failed = getattr(sys, "last_type", None) is not None
    elsewhere = os.getpid() != seen.process or sys.modules.get("__main__") is not seen.main
    if _ran or failed or elsewhere or _children() - seen.children > _MUCH:
        return
    with suppress(OSError, ValueError, AttributeError):  # standard output may be gone
        print(
            f"{seen.path.name} has built a StarModel, which runs nothing by itself. This runs it: "
            f"{_command(seen, seen.path)}",
            flush=True,
        )


def _children() -> float:
    """Return the processor time of the processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system


def _command(seen: _Seen, path: Path) -> str:
    if getattr(seen.main, "__package__", None):  # python -m my_study.analysis
        homes = [parent for parent in path.parents if (parent / "pyproject.toml").is_file()]
        return f"flame-flwr submit {shlex.quote(_short(homes[0] if homes else path))} --simulate 2"
    data = "--nodes 2" if seen.data_type == "none" else "--data FOLDER_0 --data FOLDER_1"
    return f"flame-flwr run {shlex.quote(_short(path))} {data}"


def _short(path: Path) -> str:
    """Return a path as one would type it: relative where it is below the working directory."""
    with suppress(OSError, ValueError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)
