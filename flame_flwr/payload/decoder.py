"""Restoring a value from a header and its bulk arrays: the walk, not the kinds.

Bytes are taken as hostile. Before anything is built, the whole document is skipped
through once, which needs no memory: a header that promises more elements than bytes
follow is refused there. Only then msgpack's C unpacker builds it, calling back for each
marker and for each finished list. Kinds check what they are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgpack import Unpacker, unpackb

from flame_flwr.errors import PayloadError
from flame_flwr.payload.table import BY_CODE
from flame_flwr.payload.wire_format import MAGIC, WIRE_VERSION
from flame_flwr.payload.work import Work, check_hashes

__all__ = ["Decoder", "HeaderLimits", "Tag"]

Restore = Callable[[list[Any], "Decoder"], Any]
Cost = int | Callable[[list[Any]], int]


_MOST_OF_ONE = ("max_array_len", "max_map_len")
# Keys may be anything that can be hashed, and texts hold lone surrogates: `os.listdir` gives such.
_READING: dict[str, Any] = {"strict_map_key": False, "unicode_errors": "surrogatepass"}


class HeaderLimits(NamedTuple):
    """What a header may have: bytes, and elements of its lists and maps together."""

    header: int
    elements: int


class Decoder:
    """The state of one `decode`.

    Parameters
    ----------
    arrays : sequence of ndarray
        The bulk arrays; each may be used once, and must be.
    allow_pickle : bool
        Whether a pickle in the payload is loaded.
    copies : bool
        Whether bulk arrays are copied.
    limits : HeaderLimits, optional
        Of the header, for who passes it on. Without them it may have what :class:`Work` allows.
    instead : mapping of int to Tag
        What restores the kinds of these codes, in place of what the table says.
    room : int, optional
        Bytes of memory that the value may take.
    """

    __slots__ = (
        "_arrays",
        "_elements",
        "_instead",
        "_limits",
        "_open_tags",
        "_room",
        "_work",
        "allow_pickle",
        "copies",
    )

    def __init__(
        self,
        arrays: tuple[npt.NDArray[Any], ...],
        allow_pickle: bool,
        copies: bool = True,
        limits: HeaderLimits | None = None,
        instead: Mapping[int, Tag] | None = None,
        room: int | None = None,
    ) -> None:
        self._arrays: list[npt.NDArray[Any] | None] = list(arrays)
        self._open_tags = self._elements = 0
        self._limits = limits
        self._room = room
        self._instead = instead or {}
        self.allow_pickle = allow_pickle
        self.copies = copies

    def value(self, header: bytes, *, trusted: bool) -> object:
        """Build the value; ``trusted`` skips the pass for forged sizes, and the count of work."""
        _check_version(header)
        limits = self._limits
        if limits is not None and len(header) > limits.header:
            raise PayloadError(_too_large(f"{limits.header} bytes beside its arrays"))
        if trusted:  # what this process has encoded itself need not be looked through
            _, _, value = unpackb(header, ext_hook=self._tag, list_hook=self._build, **_READING)
        else:
            _check_sizes(header)
            beside = sum(array.nbytes for array in self._arrays if array is not None)
            self._work = Work(len(header) + beside, beside, self._room)
            _, _, value = self._document(header)
        # Anywhere but first in a list, a marker would itself be in the value: an object of ours.
        if self._open_tags:
            raise PayloadError(f"{_INVALID}: it has a marker outside of a tagged list.")
        if self._arrays and any(array is not None for array in self._arrays):
            raise PayloadError(f"{_INVALID}: it has arrays that its header does not mention.")
        return value

    def _document(self, header: bytes) -> Any:
        limits = self._limits
        # One list or map is refused before it is built, many of them by their sum.
        most = dict.fromkeys(_MOST_OF_ONE, limits.elements) if limits is not None else {}
        try:
            return unpackb(
                header,
                ext_hook=self._tag,
                list_hook=self._build_counted,
                object_pairs_hook=self._dict,
                **most,
                **_READING,
            )
        except ValueError as error:
            if limits is not None and any(name in str(error) for name in _MOST_OF_ONE):
                raise PayloadError(_too_many(limits)) from error
            raise

    def take(self, place: int) -> npt.NDArray[Any]:
        """Hand out a bulk array, each once. The caller copies it before it leaves."""
        if type(place) is not int or not 0 <= place < len(self._arrays):
            raise PayloadError(f"{_INVALID}: its header mentions an array that is not there.")
        array = self._arrays[place]
        if array is None:
            raise PayloadError(f"{_INVALID}: its header mentions an array twice.")
        self._arrays[place] = None  # a second mention would let two values share memory
        if type(array) is not np.ndarray or array.dtype.hasobject:
            raise PayloadError(f"{_INVALID}: one of its arrays is no plain array.")
        return array

    def blob(self, place: object) -> bytes | memoryview:
        """Return opaque bytes that `Encoder.blob` put away."""
        if type(place) is bytes:
            return place
        array = self.take(place)  # type: ignore[arg-type]
        if array.dtype != np.uint8 or array.ndim != 1 or not array.flags.c_contiguous:
            raise PayloadError(f"{_INVALID}: one of its arrays does not hold bytes.")
        return array.data

    def _tag(self, code: int, data: bytes) -> Tag:
        # A marker has no data: a megabyte in each would be read, and never looked at.
        tag = self._instead.get(code) or _TAGS.get(code)
        if tag is None or data:
            raise PayloadError(f"{_INVALID}: it has a marker of an unknown kind.")
        self._open_tags += 1
        return tag

    def _build_counted(self, items: list[Any]) -> object:
        # All before the value is built: afterwards its memory would be taken, or its time gone.
        self._count(len(items))
        self._work.for_list(len(items))
        if items and type(items[0]) is Tag:
            cost = items[0].cost
            self._work.spend(cost if type(cost) is int else cost(items[1:]))
        return self._build(items)

    def _dict(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._count(len(pairs))
        self._work.for_dict(len(pairs))
        # Pairs and not a dict, as a dict of forged keys would have taken its time by now.
        check_hashes(key for key, _ in pairs)
        return dict(pairs)

    def _count(self, elements: int) -> None:
        """Count a list or dict; all may have so many elements together."""
        self._elements += elements
        if self._limits is not None and self._elements > self._limits.elements:
            raise PayloadError(_too_many(self._limits))

    def _build(self, items: list[Any]) -> object:
        # msgpack finishes inner lists first, so the parts are values already
        if items and type(items[0]) is Tag:
            self._open_tags -= 1
            return items.pop(0).restore(items, self)
        return items


class Tag:
    """A marker while its list is being built.

    Parameters
    ----------
    restore : callable
        Gives the value, for the parts that follow the marker and the decoder.
    cost : int or callable
        As of :class:`flame_flwr.payload.kinds.Kind`.
    """

    __slots__ = ("cost", "restore")

    def __init__(self, restore: Restore, cost: Cost = 0) -> None:
        self.restore = restore
        self.cost: Any = cost


def _check_version(header: bytes) -> None:
    if not header.startswith(_PREFIX) or len(header) <= len(_PREFIX):
        raise PayloadError(
            "What arrived is not a payload of flame-flwr: its header does not start as one. "
            "Both sides must run flame-flwr, and nothing between them may change the arrays."
        )
    version = header[len(_PREFIX)]
    if version != WIRE_VERSION:
        where = "on this side" if version > WIRE_VERSION else "on the side that sent it"
        raise PayloadError(
            f"The payload has wire version {version}, this side speaks version "
            f"{WIRE_VERSION}: upgrade flame-flwr {where}."
        )


def _check_sizes(header: bytes) -> None:
    """Refuse, without building anything, sizes that the bytes do not bear out."""
    unpacker = Unpacker(max_buffer_size=len(header))
    unpacker.feed(header)
    unpacker.skip()
    if unpacker.tell() != len(header):
        raise PayloadError(f"{_INVALID}: bytes follow after its end.")


def _too_many(limits: HeaderLimits) -> str:
    return _too_large(f"{limits.elements} elements in lists and dicts together")


def _too_large(limit: str) -> str:
    return f"The value has more than {limit}, which may not be: return what is long as an array."


_INVALID = "What arrived is not a valid payload"
_PREFIX = b"\x93" + bytes([0xA0 | len(MAGIC)]) + MAGIC.encode()
_TAGS = {code: Tag(kind.restored, kind.cost) for code, kind in BY_CODE.items()}
