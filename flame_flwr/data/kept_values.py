"""What an analysis keeps on a node for later analyses of the same project.

Kept values belong to one node and one project. Under Flower they are files below the node's
``state-dir``; in this process they are in memory, and end with it. They are for the node's own use
and do not travel. They are pickled where the payload format has no place for them, so a folder that
others may write to is refused.
"""

from __future__ import annotations

import struct
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from flame_flwr.data.kept_files import (
    KEPT_VALUE,
    LOCAL_STORAGE,
    SESSION,
    Files,
    FolderFiles,
    MemoryFiles,
    NoFiles,
)
from flame_flwr.errors import DataError, PayloadError
from flame_flwr.payload import Payload, array_from_npy, decode, encode, npy_bytes

__all__ = ["KeptValues", "clear_local_storage", "kept_in_memory", "open_kept_values"]


class _Entry(NamedTuple):
    """What the file name of a kept value says; sorted, the oldest comes first."""

    order: int
    id: str
    tag: str
    session: str = ""
    round: int = 0

    def name(self) -> str:
        made_in = f"_{self.session}-{self.round}" if self.session else ""
        return f"{self.order:020d}_{self.id}_{self.tag}{made_in}.value"


class KeptValues:
    """Values of one node and one project, with or without a tag.

    Parameters
    ----------
    files : Files
        Where they are.

    Examples
    --------
    >>> kept = KeptValues(MemoryFiles())
    >>> for dose in (0.5, 1.5):
    ...     _ = kept.save({"dose": dose}, tag="doses")
    >>> kept.load_tag("doses", "last")
    {'dose': 1.5}
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._session = ""
        self._round = 0

    def enter_round(self, session: str, number: int, after: int) -> None:
        """Note the round that values are kept in, and forget those of rounds that did not count.

        So a round that is run again, because its answer was lost, keeps nothing twice.

        Parameters
        ----------
        session : str
            The analysis's own id, 32 hexadecimal digits; under any other nothing is forgotten.
        number : int
            The round.
        after : int
            The last round of this node that the server has counted.

        Raises
        ------
        DataError
            A value of an uncounted round cannot be removed.
        """
        self._session = session if SESSION.fullmatch(session) else ""
        self._round = number
        if not self._session or isinstance(self._files, NoFiles):
            return
        for entry in self._entries():
            # of a round whose answer was lost: it runs again now, and keeps the same again
            if entry.session == session and entry.round > after:
                with suppress(FileNotFoundError):
                    self._files.remove(entry.name())

    def check(self) -> None:
        """Make the place where values are kept, to find out now whether that can be done.

        Raises
        ------
        ConfigError
            It cannot be made.
        """
        self._files.make()

    def save(self, value: Any, tag: str | None = None) -> str:
        """Keep a copy of a value and return its id.

        Raises
        ------
        PayloadError
            The value can be neither encoded nor pickled.
        ConfigError, DataError
            There is no folder to keep it in, or it cannot be written.
        """
        try:
            parts = _pack(encode(value, allow_pickle=True))
        except PayloadError as error:
            raise PayloadError(
                f"the value cannot be kept on the node: {error.message}", detail=error.detail
            ) from error
        self._files.make()
        last = max((entry.order for entry in self._entries()), default=0)
        order = max(time.time_ns(), last + 1)  # a clock may be set back
        entry = _Entry(order, str(uuid.uuid4()), tag or "", self._session, self._round)
        self._files.write(entry.name(), parts)
        return entry.id

    def load(self, id: str) -> Any:
        """Return a new copy of the value with this id.

        Raises
        ------
        DataError
            No value has this id, or it cannot be read.
        """
        for entry in self._entries():
            if entry.id == id:  # compared, and never made a path: it comes from an analysis
                return self._value(entry)
        raise DataError("this node keeps nothing under this id in this project", detail=repr(id))

    def load_tag(self, tag: str, option: str = "all") -> Any:
        """Return new copies of all values with a tag, oldest first; or the first or last one.

        Raises
        ------
        DataError
            No value has the tag, and one was asked for; or one cannot be read.
        """
        found = [entry for entry in self._entries() if entry.tag == tag]
        if option == "all":
            return [self._value(entry) for entry in found]
        if not found:
            raise DataError(
                "this node keeps nothing under this tag in this project: ask get_local_tags first",
                detail=repr(tag),
            )
        return self._value(found[0] if option == "first" else found[-1])

    def tags(self) -> list[str]:
        """Return every tag once, in the order of their first values."""
        return list(dict.fromkeys(entry.tag for entry in self._entries() if entry.tag))

    def _entries(self) -> list[_Entry]:
        matches = map(KEPT_VALUE.fullmatch, self._files.names())
        return sorted(
            _Entry(int(m[1]), m[2], m[3], m[4] or "", int(m[5] or 0)) for m in matches if m
        )

    def _value(self, entry: _Entry) -> Any:
        try:
            return decode(_unpack(self._files.read(entry.name())), allow_pickle=True)
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                "a value kept on this node cannot be read: it was damaged, or saved with another "
                "version of a package or of the analysis",
                detail=f"{entry.id}: {type(error).__name__}: {error}",
            ) from error


def open_kept_values(
    state_dir: str, project: str, node: str, *, where: str, lasting: bool = True
) -> KeptValues:
    """Return the kept values of a node and project in a folder, without making anything.

    Parameters
    ----------
    state_dir : str
        An absolute path; empty for none: then every use of them is an error.
    project, node : str
        Any text; it is made a safe name.
    where : str
        Which config the error names, such as ``"this node's config"``.
    lasting : bool
        Whether `node` stays the node's name; a save warns where it may not.
    """
    if not state_dir:
        return KeptValues(NoFiles(where))
    return KeptValues(FolderFiles(Path(state_dir), LOCAL_STORAGE, project, node, lasting=lasting))


_IN_PROCESS: dict[tuple[str, str], KeptValues] = {}


def kept_in_memory(project: str, node: str) -> KeptValues:
    """Return the kept values of a node and project in this process; the same at every call."""
    return _IN_PROCESS.setdefault((project, node), KeptValues(MemoryFiles()))


def clear_local_storage() -> None:
    """Forget what local tests in this process have kept; folders are left alone."""
    _IN_PROCESS.clear()


_MAGIC = b"flame-flwr kept value 1\n"


def _pack(payload: Payload) -> list[bytes]:
    """Return the parts of a file: how many, how long each, the header, the arrays."""
    parts = [payload.header, *(npy_bytes(array) for array in payload.arrays)]
    sizes = struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts))
    return [_MAGIC, sizes, *parts]


def _unpack(content: bytes) -> Payload:
    if not content.startswith(_MAGIC):
        raise ValueError("not a kept value")
    start = len(_MAGIC) + 8
    (count,) = struct.unpack_from("<Q", content, len(_MAGIC))
    sizes = struct.unpack_from(f"<{count}Q", content, start)
    start += 8 * count
    # what a damaged file says of its sizes is not trusted: slices would silently be short
    if start + sum(sizes) != len(content):
        raise ValueError("not as long as it says")
    parts = []
    for size in sizes:
        parts.append(content[start : start + size])
        start += size
    return Payload(parts[0], tuple(map(array_from_npy, parts[1:])))
