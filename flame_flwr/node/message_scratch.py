"""A message's folder for temporary files, with which its app may do anything."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from flame_flwr.folder_trees import identity, remove_tree

__all__ = ["MessageScratch"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class MessageScratch:
    """A new folder, which is known by its handle, and so is its place.

    Attributes
    ----------
    path : str
        Where it was made.
    handle : int
        What was made, also where something else has that path by now.
    """

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="flame-flwr-message-")
        above, self._name = os.path.split(self.path)
        # By handles: the app could put a link where the folder was, and what it points to would be
        # measured, or removed, in the name of the fork server.
        self._above = os.open(above, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.handle = os.open(self._name, _FOLDER, dir_fd=self._above)

    def is_in_place(self) -> bool:
        """Tell whether the folder is where it was made."""
        with suppress(OSError):
            there = os.stat(self._name, dir_fd=self._above, follow_symlinks=False)
            return identity(there) == identity(os.fstat(self.handle))
        return False

    def remove(self) -> None:
        """Remove what is in its place: of a link, only that."""
        with suppress(OSError):  # as where a file system has just gone
            remove_tree(self._name, self._above)
        os.close(self.handle)
        os.close(self._above)
