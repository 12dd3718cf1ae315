"""Restoring a value from a header and its bulk arrays: the walk, not the kinds.

Bytes are taken as hostile. Before anything is built, the whole document is skipped
through once, which needs no memory: a header that promises more elements than bytes
follow is refused there. Only then msgpack's C unpacker builds it, calling back for each
marker and for each finished list. Kinds check what they are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from msgpack import Unpacker, unpackb

from flame_flwr.errors import PayloadError
from flame_flwr.payload.table import BY_CODE
from flame_flwr.payload.wire import MAGIC, WIRE_VERSION

__all__ = ["Decoder"]

Restore = Callable[[list[Any], "Decoder"], Any]


class Decoder:
    """What one `decode` keeps track of.

    Parameters
    ----------
    arrays : sequence of ndarray
        The bulk arrays; each may be used once, and must be.
    allow_pickle : bool
        Whether a pickle in the payload is loaded.
    copies : bool
        Whether bulk arrays are copied.
    """

    __slots__ = ("_arrays", "_open_tags", "allow_pickle", "copies")

    def __init__(
        self, arrays: tuple[npt.NDArray[Any], ...], allow_pickle: bool, copies: bool = True
    ) -> None:
        self._arrays: list[npt.NDArray[Any] | None] = list(arrays)
        self._open_tags = 0
        self.allow_pickle = allow_pickle
        self.copies = copies

    def value(self, header: bytes, *, trusted: bool) -> object:
        """Build the value; ``trusted`` skips the pass for forged sizes."""
        _check_version(header)
        if not trusted:
            _check_sizes(header)
        document = unpackb(
            header,
            ext_hook=self._tag,
            list_hook=self._build,
            strict_map_key=False,
            unicode_errors="surrogatepass",
        )
        _, _, value = document
        if self._open_tags:
            raise PayloadError(f"{_INVALID}: it has a marker outside of a tagged list.")
        if any(array is not None for array in self._arrays):
            raise PayloadError(f"{_INVALID}: it has arrays that its header does not mention.")
        return value

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

    def _tag(self, code: int, data: bytes) -> _Tag:
        tag = _TAGS.get(code)
        if tag is None or data:
            raise PayloadError(f"{_INVALID}: it has a marker of an unknown kind.")
        self._open_tags += 1
        return tag

    def _build(self, items: list[Any]) -> object:
        # msgpack finishes inner lists first, so the parts are values already
        if items and type(items[0]) is _Tag:
            self._open_tags -= 1
            return items.pop(0).restore(items, self)
        return items


class _Tag:
    """A marker while its list is being built."""

    __slots__ = ("restore",)

    def __init__(self, restore: Restore) -> None:
        self.restore = restore


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


_INVALID = "What arrived is not a valid payload"
_PREFIX = b"\x93" + bytes([0xA0 | len(MAGIC)]) + MAGIC.encode()
_TAGS = {code: _Tag(kind.restored) for code, kind in BY_CODE.items()}
