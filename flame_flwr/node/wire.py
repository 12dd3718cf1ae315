"""What the node and the process of one message say to each other, over a socket pair.

A frame is a msgpack header and bulk bytes behind it, which are neither copied nor chunked, and may
be of any size. Nothing in it is executed: the node reads a process that runs foreign code.
"""

from __future__ import annotations

import socket
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgpack

from flame_flwr.transport.packing import WireError, pack_records, unpack_records

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Frame",
    "FrameRefusedError",
    "WireError",
    "pack_records",
    "receive",
    "send",
    "size_of",
    "unpack_records",
]

Frame = tuple[dict[str, Any], list[bytes]]
"""A header, and the bulk bytes that it refers to by their place."""

_LENGTHS = struct.Struct("!II")
_MOST_HEADER = 64 * 2**20
_MOST_PART = 2**40
_MOST_PARTS = 2**20
_MOST_OBJECTS = 2_000_000
"""In a header: an empty list is one byte there and sixty in memory."""

_CHUNK = 2**20

_TOO_LARGE = "its answer is larger than the memory that one message may have"
_TOO_MANY = "its answer, with the state that it keeps, has too many records or entries"
_NO_ANSWER = "it sent something that is no answer"


class FrameRefusedError(WireError):
    """What a message's process said is whole, and not taken.

    Parameters
    ----------
    told : str
        Why, in words of this node's own: they leave it.
    detail : str
        What else is known, for the node's log.
    """

    def __init__(self, told: str, detail: str) -> None:
        super().__init__(detail)
        self.told = told


def send(sock: socket.socket, header: dict[str, Any], bulk: Sequence[bytes] = ()) -> None:
    """Send one frame.

    Parameters
    ----------
    sock : socket
        A stream socket; the call returns when all is handed to it.
    header : dict
        What msgpack can write.
    bulk : sequence of bytes
        Sent as they are.

    Raises
    ------
    OSError
        The other side has gone.
    """
    head = msgpack.packb(header)
    sizes = struct.pack(f"!{len(bulk)}Q", *map(len, bulk))
    sock.sendall(_LENGTHS.pack(len(head), len(bulk)) + sizes + head)
    for part in bulk:
        if part:  # who has all may have closed before an empty part is sent, which would fail
            sock.sendall(part)


def receive(sock: socket.socket, most: int | None = None) -> Frame | None:
    """Receive one frame; ``None`` where the other side has closed before it began one.

    Parameters
    ----------
    sock : socket
        A stream socket.
    most : int, optional
        Bytes that a frame may have in all. Its size is looked at before anything is allocated.

    Raises
    ------
    WireError
        The frame is cut off; a :class:`FrameRefusedError` where it is malformed or too large.
    OSError
        The other side has gone, or the socket's timeout is over.
    """
    lengths = _exactly(sock, _LENGTHS.size, at_start=True)
    if lengths is None:
        return None
    head_size, count = _LENGTHS.unpack(lengths)
    if head_size > _MOST_HEADER or count > _MOST_PARTS:
        raise FrameRefusedError(_TOO_MANY, f"a header of {head_size} bytes for {count} parts")
    sizes = struct.unpack(f"!{count}Q", _exactly(sock, 8 * count) or b"")
    # Only the node has a limit for its processes; these take from it what it sends.
    if most is not None and head_size + sum(sizes) > most:
        raise FrameRefusedError(
            _TOO_LARGE, f"{head_size + sum(sizes)} bytes, and at most {most} may be"
        )
    try:
        header = _decoded(_exactly(sock, head_size) or b"")
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameRefusedError(_NO_ANSWER, f"a header that cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise FrameRefusedError(_NO_ANSWER, "a header that is no mapping")
    return header, [_exactly(sock, size) or b"" for size in sizes]


def size_of(frame: Frame) -> int:
    """Return how many bytes a frame of known size has, but for where it says that."""
    header, bulk = frame
    return len(msgpack.packb(header)) + sum(map(len, bulk))


def _decoded(head: bytes) -> Any:
    left = _MOST_OBJECTS

    # While it is read: what msgpack builds of 64 MB of empty lists would be 4 GB before it is done.
    def counted(built: Any) -> Any:
        nonlocal left
        left -= 1 + len(built)
        if left < 0:
            raise FrameRefusedError(_TOO_MANY, f"a header of more than {_MOST_OBJECTS} objects")
        return built

    return msgpack.unpackb(
        head,
        list_hook=counted,
        object_hook=counted,
        max_array_len=_MOST_OBJECTS,
        max_map_len=_MOST_OBJECTS,
    )


def _exactly(sock: socket.socket, size: int, *, at_start: bool = False) -> bytes | None:
    if size > _MOST_PART:
        raise WireError(f"{size} bytes, for which there is no memory")
    # What was promised is not allocated before it is there. BytesIO grows in place and gives its
    # bytes away, so that a model is not held twice.
    got, chunk = BytesIO(), memoryview(bytearray(min(size, _CHUNK)))
    while left := size - got.tell():
        count = sock.recv_into(chunk[:left])
        if not count:
            if at_start and not got.tell():
                return None
            raise WireError(f"cut off after {got.tell()} of {size} bytes")
        try:
            got.write(chunk[:count])
        except MemoryError as error:
            raise WireError(f"{size} bytes, for which there is no memory") from error
    return got.getvalue()
