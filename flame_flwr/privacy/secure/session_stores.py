"""Where a node keeps its part of a session of secure sums: on its disk, or in memory."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from flame_flwr.errors import NodeFailedError
from flame_flwr.files import take_lock, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FILE", "LOST", "FolderStore", "MemoryStore", "SessionStore", "refused"]

FILE = "secure.state"
"""The name of a session's file in its folder of a node's ``state-dir``."""

LOST = "this node's file of the session is lost, which ends it"

_LOCK_LIMIT = 60.0
"""Seconds. An answer takes two; an analysis without a sandbox could keep the lock for ever."""

_SIZE = 4
_HASH = hashlib.sha256().digest_size
"""The file is the head's length, the hash of all that follows, the head and the answer."""


class SessionStore(Protocol):
    """Keeps a head, which says what there is, and the last answer."""

    def locked(self) -> AbstractContextManager[None]:
        """Return a block that no other process enters meanwhile."""

    def load(self) -> tuple[bytes, bytes] | None:
        """Return head and answer; ``None`` where nothing is kept."""

    def save(self, head: bytes, answer: bytes) -> None:
        """Replace head and answer; when it returns, the new ones outlive this process."""


class MemoryStore:
    """Keeps head and answer in this process, where that runs the whole analysis."""

    def __init__(self) -> None:
        self._kept: tuple[bytes, bytes] | None = None

    def locked(self) -> AbstractContextManager[None]:
        """Return a block without a lock: no other process can reach this memory."""
        return nullcontext()

    def load(self) -> tuple[bytes, bytes] | None:
        """Return head and answer."""
        return self._kept

    def save(self, head: bytes, answer: bytes) -> None:
        """Keep head and answer."""
        self._kept = head, answer


class FolderStore:
    """Keeps them in a file, which is on the disk before they are used.

    Parameters
    ----------
    folder : Path
        Of the session at this node; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock.

        Raises
        ------
        NodeFailedError
            The folder is lost, or another process does not let go of it.
        """
        # The folder's, as every save puts another file in the place of the one before. The stack
        # lets the error of opening be caught without those of the block that is locked.
        with ExitStack() as stack:
            try:
                is_ours = take_lock(stack.enter_context(_opened(self._folder)), _LOCK_LIMIT)
            except OSError as error:
                raise refused("this node's folder of the session is lost, which ends it") from error
            if not is_ours:
                raise refused(
                    "another process has held this node's folder of the session for "
                    f"{_LOCK_LIMIT:.0f} s: try again"
                )
            yield

    def load(self) -> tuple[bytes, bytes] | None:
        """Return head and answer.

        Raises
        ------
        NodeFailedError
            The file cannot be read, or is damaged.
        """
        try:
            with open(self._folder / FILE, "rb", opener=_through_no_link) as file:
                size, digest, rest = file.read(_SIZE), file.read(_HASH), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused("this node's file of the session cannot be read") from error
        # With one wrong bit in what was answered last, a round could be masked a second time.
        if len(size) < _SIZE or hashlib.sha256(rest).digest() != digest:
            raise refused("this node's file of the session is damaged, which ends it")
        length = int.from_bytes(size, "big")
        return rest[:length], rest[length:]

    def save(self, head: bytes, answer: bytes) -> None:
        """Write the file, and wait until it is on the disk.

        Raises
        ------
        NodeFailedError
            It cannot be written.
        """
        digest = hashlib.sha256(head)
        digest.update(answer)
        try:
            parts = [len(head).to_bytes(_SIZE, "big"), digest.digest(), head, answer]
            write_whole(self._folder / FILE, parts)
            with _opened(self._folder) as folder:
                os.fsync(folder)  # or the new name may be gone after a power failure
        except OSError as error:
            raise refused("this node cannot keep what it would answer") from error


def refused(why: str) -> NodeFailedError:
    """Return the error of a node that takes no part in secure sums."""
    return NodeFailedError(f"secure sums are refused: {why}")


def _through_no_link(path: str, flags: int) -> int:
    """Open a file; an analysis without a sandbox could leave a link or a pipe in its place."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)
