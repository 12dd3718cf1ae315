"""Packing a value into the header and the bulk arrays: the walk, not the kinds.

msgpack's C packer does the walk; it calls back for every value it does not know by
itself, and gets a tagged list to go on with. Finding out *where* a refused value stands
is not done here but, only once something was refused, in ``paths``.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from msgpack import Packer

from flame_flwr.payload.screening import screen
from flame_flwr.payload.table import BY_TYPE, PICKLE, find
from flame_flwr.payload.wire_format import INLINE_LIMIT, MAGIC, WIRE_VERSION, RefusedError

__all__ = ["Encoder"]


class Encoder:
    """The state of one `encode`: the arrays that travel beside the header.

    Parameters
    ----------
    allow_pickle : bool
        Whether what has no place in the format is pickled instead of refused.
    """

    __slots__ = ("allow_pickle", "arrays")

    def __init__(self, allow_pickle: bool) -> None:
        self.allow_pickle = allow_pickle
        self.arrays: list[npt.NDArray[Any]] = []

    def header(self, value: object) -> bytes:
        """Pack ``value``; its bulk arrays are in ``arrays`` afterwards."""
        packer = Packer(
            default=self._default,
            strict_types=True,  # else an `np.float64` or an `IntEnum` would arrive as its base
            unicode_errors="surrogatepass",  # a file's name may hold lone surrogates
            buf_size=1024,  # grows; msgpack's own 256 kB are more than nearly every header
        )
        return cast(bytes, packer.pack(screen([MAGIC, WIRE_VERSION, value])))

    def place(self, array: npt.NDArray[Any]) -> int:
        """Put an array beside the header; return its number there."""
        self.arrays.append(array)
        return len(self.arrays) - 1

    def blob(self, data: bytes) -> bytes | int:
        """Keep opaque bytes in the header if they are few, else put them beside it."""
        if len(data) <= INLINE_LIMIT:
            return data
        return self.place(np.frombuffer(data, np.uint8))

    def _default(self, value: object) -> list[Any]:
        """Turn one value that msgpack does not know into a tagged list."""
        try:
            row = BY_TYPE.get(type(value)) or find(value)
            return row.tagged(value, self)
        except RefusedError:
            if not self.allow_pickle:
                raise
        return PICKLE.tagged(value, self)
