"""What the node and the process of one message say to each other, over a socket pair.

A frame is a msgpack header and bulk bytes behind it, which are neither copied nor chunked, and may
be of any size. Nothing in it is executed: the node reads a process that runs foreign code.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import msgpack
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Frame", "WireError", "pack_records", "receive", "send", "unpack_records"]

Frame = tuple[dict[str, Any], list[bytes]]
"""A header, and the bulk bytes that it refers to by their place."""

_LENGTHS = struct.Struct("!II")
_MOST_HEADER = 64 * 2**20
_KINDS: dict[str, type[ArrayRecord | ConfigRecord | MetricRecord]] = {
    "arrays": ArrayRecord,
    "config": ConfigRecord,
    "metrics": MetricRecord,
}


class WireError(Exception):
    """What arrived is no frame, or a larger one than may be."""


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
        The frame is cut off, malformed or larger than `most`.
    OSError
        The other side has gone, or the socket's timeout is over.
    """
    lengths = _exactly(sock, _LENGTHS.size, at_start=True)
    if lengths is None:
        return None
    head_size, count = _LENGTHS.unpack(lengths)
    if head_size > _MOST_HEADER or count > _MOST_HEADER // 8:
        raise WireError(f"a header of {head_size} bytes for {count} parts")
    sizes = struct.unpack(f"!{count}Q", _exactly(sock, 8 * count) or b"")
    if most is not None and head_size + sum(sizes) > most:
        raise WireError(f"{head_size + sum(sizes)} bytes, and at most {most} may be")
    try:
        header = msgpack.unpackb(_exactly(sock, head_size) or b"")
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError(f"a header that cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise WireError("a header that is no mapping")
    return header, [_exactly(sock, size) or b"" for size in sizes]


def pack_records(content: RecordDict, bulk: list[bytes]) -> list[Any]:
    """Describe Flower's records, and add the bytes of their arrays to `bulk`.

    Examples
    --------
    >>> from flwr.app import ArrayRecord, RecordDict
    >>> import numpy as np
    >>> bulk = []
    >>> described = pack_records(RecordDict({"a": ArrayRecord([np.arange(3)])}), bulk)
    >>> unpack_records(described, bulk)["a"].to_numpy_ndarrays()
    [array([0, 1, 2])]
    """
    described: list[Any] = []
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            arrays = []
            for key, array in record.items():
                arrays.append([key, array.dtype, list(array.shape), array.stype, len(bulk)])
                bulk.append(array.data)
            described.append([name, "arrays", arrays])
        else:
            kind = "config" if isinstance(record, ConfigRecord) else "metrics"
            described.append([name, kind, [[key, value] for key, value in record.items()]])
    return described


def unpack_records(described: Any, bulk: Sequence[bytes]) -> RecordDict:
    """Make Flower's records of what :func:`pack_records` described.

    Raises
    ------
    WireError
        It is no such description. Flower's own types check the values of records.
    """
    content = RecordDict()
    try:
        for name, kind, entries in described:
            if kind == "arrays":
                content[name] = ArrayRecord(
                    {
                        key: Array(dtype=dtype, shape=tuple(shape), stype=stype, data=bulk[place])
                        for key, dtype, shape, stype, place in entries
                    }
                )
            else:
                content[name] = _KINDS[kind](dict(entries))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise WireError(f"records that cannot be read: {error}") from error
    return content


def _exactly(sock: socket.socket, size: int, *, at_start: bool = False) -> bytes | None:
    try:
        buffer = bytearray(size)
    except (MemoryError, OverflowError) as error:
        raise WireError(f"{size} bytes, for which there is no memory") from error
    view, got = memoryview(buffer), 0
    while got < size:
        count = sock.recv_into(view[got:])
        if not count:
            if at_start and not got:
                return None
            raise WireError(f"cut off after {got} of {size} bytes")
        got += count
    view.release()
    return bytes(buffer)
