"""A working directory of the run's own for user code: Flower's processes have arbitrary ones."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["scratch_folder", "working_in"]


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
def scratch_folder() -> Iterator[None]:
    """Work in an empty folder, mode 0700. What is written there is gone when the block ends."""
    if not _KEPT:
        _KEPT.append(tempfile.TemporaryDirectory(prefix="flame-flwr-", ignore_cleanup_errors=True))
    try:
        with working_in(_KEPT[0].name):
            yield
    finally:
        if not os.path.isdir(_KEPT[0].name) or os.listdir(_KEPT[0].name):
            _KEPT.pop().cleanup()
