"""Uploads a run's folder to an object store, which is tried before the first round."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError, StoreError
from flame_flwr.files import is_unfinished
from flame_flwr.log import logger
from flame_flwr.object_store import BRIEF, open_store

if TYPE_CHECKING:
    from flame_flwr.object_store import Patience

__all__ = ["RECORD", "Upload", "files_below", "mend", "plain_name"]

RECORD = "run.json"
"""Comes last: a run without it is unfinished."""

_MENDS = {
    errno.ENOSPC: "the disk is full: free some of it, or name another folder",
    errno.EDQUOT: "this user's quota is used up: free some of it, or name another folder",
    errno.EFBIG: "files of this size are not allowed here: name another folder",
    errno.EROFS: "the disk is read-only: name another folder",
    errno.EACCES: "{who} may not write there: give it the right, or name another",
    errno.EPERM: "{who} may not write there: give it the right, or name another",
}


class Upload:
    """Brings one run to an object store.

    Parameters
    ----------
    url : str
        The address of the object store, as in `results`.
    name : str
        The name of the run's folder there.

    Attributes
    ----------
    place : str
        The run's URL.

    Raises
    ------
    ConfigError
        The URL or a variable of the environment is wrong, or a trial showed that nothing can be
        written there.
    """

    def __init__(self, url: str, name: str) -> None:
        self.place = f"{url.rstrip('/')}/{name}"
        store = open_store(self.place, BRIEF, what="`results` in the run config")
        try:
            store.put(".probe", b"Can results be written here?")
        except StoreError as error:
            raise ConfigError(
                f"`results` in the run config cannot be written to: {error}"
            ) from None
        try:
            store.delete(".probe")
        except StoreError as error:  # a key that may write need not be one that may remove
            logger.warning("%s; results can be written", error)

    def upload(self, folder: Path, patience: Patience) -> int:
        """Write a folder's files to the store, ``run.json`` last.

        Parameters
        ----------
        folder : Path
            The run's folder.
        patience : Patience
            How long to wait for the store.

        Returns
        -------
        int
            How many files were left out: links, and files whose names no store takes.

        Raises
        ------
        StoreError
            A file could not be written.
        """
        store = open_store(self.place, patience, what="`results` in the run config")
        files = files_below(folder)
        # `run.json` comes last, so that who sees it may fetch everything that it names.
        for path in sorted(files, key=lambda path: path == folder / RECORD):
            store.put(path.relative_to(folder).as_posix(), path)
        # With any of these left, the folder is not removed.
        return sum(not path.is_dir() for path in folder.rglob("*")) - len(files)


def files_below(folder: Path) -> list[Path]:
    """Return the regular files below a folder with names that every place takes, sorted.

    But for those that are being written: ``live.json`` is, at any time.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not is_unfinished(path)
        and plain_name(path.relative_to(folder).as_posix())
    )


def plain_name(name: str) -> bool:
    """Tell whether a file's name, relative to its run, stays inside and can be shown."""
    parts = name.split("/")
    inside = all(part not in ("", ".", "..") for part in parts)
    return inside and name.isprintable() and "\\" not in name and not os.path.isabs(name)


def mend(error: OSError, who: str = "the server's user") -> str:
    """Say what to do where a disk cannot be written to; `who` is the one that writes."""
    return _MENDS.get(error.errno or 0, "name a folder that {who} can write to").format(who=who)
