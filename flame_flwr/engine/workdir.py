"""A working directory of the run's own for user code: Flower's processes have arbitrary ones."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clear_scratch", "scratch_folder", "working_in"]

_PREFIX = "flame-flwr-run-"


@contextmanager
def working_in(folder: str | Path) -> Iterator[None]:
    """Change to a folder within the block."""
    try:
        before = os.getcwd()
    except FileNotFoundError:
        before = tempfile.gettempdir()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""This process's scratch folder, as long as user code leaves it empty: making one is a cost."""


@contextmanager
def scratch_folder(run_id: int = 0) -> Iterator[None]:
    """Work in an empty folder, mode 0700. What is written there is gone when the block ends.

    Parameters
    ----------
    run_id : int
        Part of the folder's name, so that :func:`clear_scratch` finds it.
    """
    if not _KEPT or not os.path.isdir(_KEPT[0].name):
        prefix = f"{_PREFIX}{run_id}-"
        _KEPT[:] = [tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)]
    try:
        with working_in(_KEPT[0].name):
            yield
    finally:
        if not os.path.isdir(_KEPT[0].name) or os.listdir(_KEPT[0].name):
            _KEPT.pop().cleanup()


def clear_scratch(run_id: int) -> None:
    """Remove this user's empty scratch folders of a run: Ray's workers end without doing it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}{run_id}-*"):
        with suppress(OSError):
            folder.rmdir()
