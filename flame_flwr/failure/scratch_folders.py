"""Working directories for user code: those of Flower's processes are arbitrary."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SCRATCH", "clear_scratch", "scratch_folder", "temporary_folder", "working_in"]

SCRATCH = "FLAME_FLWR_SCRATCH"
"""Environment variable: a folder for scratch folders that is removed after the run anyhow."""

_PREFIX = "flame-flwr-run-"


@contextmanager
def working_in(folder: str | Path) -> Iterator[None]:
    """Change to a folder within the block."""
    try:
        before = os.getcwd()
    except FileNotFoundError:  # somebody has removed it while the process stood in it
        before = tempfile.gettempdir()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def temporary_folder(prefix: str = "flame-flwr-") -> tempfile.TemporaryDirectory[str]:
    """Return a new folder (mode 0700) for temporary files, to be used in a ``with`` block."""
    root = os.environ.get(SCRATCH)
    return tempfile.TemporaryDirectory(prefix=prefix, dir=root, ignore_cleanup_errors=True)


_REUSED: list[tempfile.TemporaryDirectory[str]] = []
"""This process's scratch folder, as long as user code leaves it empty: making one is a cost."""


@contextmanager
def scratch_folder(run_id: int = 0) -> Iterator[None]:
    """Work in an empty folder, mode 0700. What is written there is gone when the block ends.

    Parameters
    ----------
    run_id : int
        Part of the folder's name, so that :func:`clear_scratch` finds it.
    """
    if not _REUSED or not os.path.isdir(_REUSED[0].name):
        prefix = f"{_PREFIX}{run_id}-{os.getpid()}-"
        _clear_those_of_ended_processes()
        _REUSED[:] = [temporary_folder(prefix)]
    try:
        with working_in(_REUSED[0].name):
            yield
    finally:
        # Empty, it serves the next message; what a node's rows were written into goes at once.
        if not os.path.isdir(_REUSED[0].name) or os.listdir(_REUSED[0].name):
            _REUSED.pop().cleanup()


def clear_scratch(run_id: int) -> None:
    """Remove this user's empty scratch folders of a run, which Ray's workers leave behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}{run_id}-*"):
        with suppress(OSError):
            folder.rmdir()


def _clear_those_of_ended_processes() -> None:
    """Remove this user's empty scratch folders of processes that no longer exist."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*-*"):
        with suppress(OSError, ValueError):
            # `rmdir` takes empty folders only, so that a wrong guess about a process loses nothing.
            pid = int(folder.name.removeprefix(_PREFIX).split("-")[1])
            if os.path.isdir("/proc/self") and not os.path.isdir(f"/proc/{pid}"):
                folder.rmdir()
