"""Writing files so that they are complete or absent."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["write_whole"]


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file of this user's alone (mode 0600) under another name, then rename it.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced. Its folder must exist.
    parts : iterable of bytes
        What is written, one after the other.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written.
    """
    handle, temporary = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
