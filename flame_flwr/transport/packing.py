"""A small message as one record, and back.

Flower moves every record, array and chunk of a message by a call of its own at each end, and in a
small message these calls are most of what a round takes. So where both sides have said at hello
that they can, a message travels as one record of bytes. It is packed where it is sent and unpacked
where it arrives: whoever makes, checks or notes a message sees its own records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from flame_flwr.errors import PayloadError
from flame_flwr.flower import message_like
from flame_flwr.flower_single_record import SINGLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "PACKED",
    "SINGLE",
    "WireError",
    "is_packed",
    "pack",
    "pack_each",
    "pack_records",
    "packed_as",
    "unpack",
    "unpack_records",
]

PACKED = "flame_flwr.packed"
"""The record's name where the other end may have any program: Flower moves three objects."""

_NAMES, _KEY = (PACKED, SINGLE), "records"
_MOST = 2**20
"""Bytes of a packed message: more are better off in chunks, side by side."""
_BYTES_PER_LIST, _FEW_LISTS = 3, 8
"""A list is a record's entry, or an array's shape, so it comes with a few bytes of name and value.
More lists than that are forged: an empty one has a single byte here, and 56 in memory."""

_KINDS: dict[str, type[ArrayRecord | ConfigRecord | MetricRecord]] = {
    "arrays": ArrayRecord,
    "config": ConfigRecord,
    "metrics": MetricRecord,
}


class WireError(Exception):
    """What arrived is not what was sent, or more than may be."""


def is_packed(message: Message) -> bool:
    """Tell whether a message has arrived as one record."""
    return packed_as(message) is not None


def packed_as(message: Message) -> str | None:
    """Return the name of the one record that a message has arrived as; ``None`` of any other."""
    names = list(message.content) if message.has_content() else []
    return names[0] if len(names) == 1 and names[0] in _NAMES else None


def pack(message: Message, name: str = PACKED) -> Message:
    """Return a message as one record; the message itself where it is an error, or large.

    Both have the same metadata.

    Parameters
    ----------
    message : Message
        With any records.
    name : str
        Of the one record: :data:`PACKED`, or :data:`SINGLE` where who receives it knows that.

    Examples
    --------
    >>> from flame_flwr.flower import in_process
    >>> with in_process(run_id=1, node_id=0):
    ...     message = Message(RecordDict({"config": ConfigRecord({"round": 3})}), 7, "train")
    >>> list(pack(message).content)
    ['flame_flwr.packed']
    >>> unpack(pack(message)).content["config"]["round"]
    3
    """
    content = _packed(message.content, name) if message.has_content() else None
    return message if content is None else message_like(message, content)


def pack_each(messages: Iterable[Message], nodes: Mapping[int, str]) -> list[Message]:
    """Pack those messages that go to certain nodes.

    Messages that share their records share them when packed, too.

    Parameters
    ----------
    messages : iterable of Message
        To any nodes.
    nodes : mapping of int to str
        By the addresses of those that can unpack them, the name of the one record.
    """
    # By identity: an aggregate for a hundred nodes is packed once, and compared with nothing.
    known: dict[tuple[object, ...], RecordDict | None] = {}
    found = []
    for message in messages:
        name = nodes.get(message.metadata.dst_node_id)
        if name is None:
            found.append(message)
            continue
        key = (name, *((key, id(record)) for key, record in message.content.items()))
        if key not in known:
            known[key] = _packed(message.content, name)
        content = known[key]
        found.append(message if content is None else message_like(message, content))
    return found


def unpack(message: Message) -> Message:
    """Return a message with the records that it was sent with, whether packed or not.

    Raises
    ------
    PayloadError
        It is packed, and not by :func:`pack`.
    """
    name = packed_as(message)
    if name is None:
        return message
    try:
        data = message.content[name][_KEY]
        if not isinstance(data, bytes) or len(data) > _MOST:  # whoever packs keeps to that
            raise WireError("no bytes, or too many")
        described, bulk = _read(data)
        return message_like(message, unpack_records(described, bulk))
    except Exception as error:  # it may be of any type and depth
        raise PayloadError(
            "A message that arrived cannot be unpacked: it was changed on its way, or not sent by "
            "flame-flwr.",
            detail=str(error) or None,
        ) from error


def pack_records(content: RecordDict, bulk: list[bytes]) -> list[Any]:
    """Describe Flower's records, and add the bytes of their arrays to `bulk`.

    Examples
    --------
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


def _read(data: bytes) -> Any:
    """Unpack bytes into no more lists than a message has that is so long."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    unpacker.skip()  # builds nothing: lists longer than what follows end here
    left = len(data) // _BYTES_PER_LIST + _FEW_LISTS

    def counted(items: list[Any]) -> list[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise WireError("too many lists")
        return items

    # Flower's records have neither maps nor extensions, which could be made to cost more.
    return msgpack.unpackb(data, list_hook=counted, object_hook=_refuse, ext_hook=_refuse)


def _refuse(*_: Any) -> None:
    raise WireError("a map or an extension")


def _packed(content: RecordDict, name: str) -> RecordDict | None:
    """Return records as one; ``None`` where they are large, or one already."""
    if any(known in content for known in _NAMES) or _array_bytes(content) > _MOST:
        return None
    bulk: list[bytes] = []
    try:
        data = msgpack.packb([pack_records(content, bulk), bulk])
    except (ValueError, TypeError, OverflowError):  # Flower says what it cannot send
        return None
    return RecordDict({name: ConfigRecord({_KEY: data})}) if len(data) <= _MOST else None


def _array_bytes(content: RecordDict) -> int:
    records = (record for record in content.values() if isinstance(record, ArrayRecord))
    return sum(len(array.data) for record in records for array in record.values())
