"""`encode` and `decode`: a value to a `Payload` and back.

The law: ``decode(encode(value))`` is the same value, of the same types, in the same
order, and shares no memory with it. Between the two, a payload refers to the value's own
bulk arrays, so the value must not be changed meanwhile. For payloads as Flower's arrays
see ``records``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from flame_flwr.errors import PayloadError, text_of
from flame_flwr.payload.decoder import Decoder, Tag
from flame_flwr.payload.encoder import Encoder
from flame_flwr.payload.paths import explain
from flame_flwr.payload.python_types import WHOLE_NUMBER

__all__ = ["Payload", "checked", "decode", "encode", "known_good"]

_MOST_BYTES = 1600
"""Of a whole number: 3,853 digits. Python writes 4,300 as text, and some may be added up."""


@dataclass(frozen=True, slots=True, eq=False)
class Payload:
    """A value on its way: what it is, and the arrays it is made of.

    Attributes
    ----------
    header : bytes
        A msgpack document: structure, types, small arrays, the places of the large ones.
    arrays : tuple of ndarray
        The arrays of more than `INLINE_LIMIT` bytes, not copied.

    Notes
    -----
    ``_trusted`` says that this process has made it, or has decoded it before: then it is decoded
    without a count of what that takes.

    Examples
    --------
    >>> import numpy as np
    >>> payload = encode({"weights": np.zeros((300, 30)), "n": 42})
    >>> [array.shape for array in payload.arrays], payload.nbytes > 300 * 30 * 8
    ([(300, 30)], True)
    """

    header: bytes
    arrays: tuple[npt.NDArray[Any], ...] = ()
    _trusted: bool = field(default=False, repr=False)

    @property
    def nbytes(self) -> int:
        """How many bytes the header and the arrays hold together."""
        return len(self.header) + sum(array.nbytes for array in self.arrays)


def known_good(payload: Payload) -> Payload:
    """Return a payload that has been decoded whole, and need not be taken as hostile again."""
    return payload if payload._trusted else replace(payload, _trusted=True)


def encode(value: object, *, allow_pickle: bool = False) -> Payload:
    """Make a value ready to travel.

    Parameters
    ----------
    value : object
        Plain Python values and containers, numpy scalars and arrays (no object dtype),
        pandas frames, series, indexes and scalars, scipy.sparse arrays, fitted
        scikit-learn estimators (extra ``estimators``), and types taught with
        `register_type`. What a value does not show stays here: what is under a mask,
        between the fields of a structured array, or in a frame's ``attrs``.
    allow_pickle : bool, default=False
        Pickle what has no place in the format. Who receives a pickle runs what its sender
        put in: only where every party is trusted.

    Returns
    -------
    Payload
        Refers to the value's large arrays: they are not copied.

    Raises
    ------
    PayloadError
        Something in the value cannot travel; ``detail`` is its path in the value.

    Examples
    --------
    >>> import numpy as np
    >>> from flame_flwr.payload import decode, encode
    >>> payload = encode({"weights": np.zeros((300, 30)), "loss": 0.25, "n": 42})
    >>> len(payload.arrays), decode(payload)["loss"]
    (1, 0.25)
    """
    encoder = Encoder(allow_pickle)
    try:
        header = encoder.header(value)
    except Exception as error:
        raise explain(value, error, allow_pickle) from error
    return Payload(header, tuple(encoder.arrays), True)


def decode(
    payload: Payload,
    *,
    allow_pickle: bool = False,
    copies: bool = True,
    as_text: bool = False,
    room: int | None = None,
) -> Any:
    """Restore the value of a payload.

    Parameters
    ----------
    payload : Payload
        From `encode`, `from_arrays` or `from_record`. What came from outside is taken as
        hostile.
    allow_pickle : bool, default=False
        Load pickles in it: they can run any code.
    copies : bool, default=True
        Whether large arrays are copies. Otherwise they are the payload's own, which may be
        read-only: for code that reads them once and keeps nothing.
    as_text : bool, default=False
        Whether the value will be written as text: whole numbers of more digits than Python
        writes are refused.
    room : int, optional
        Bytes of memory that a value from outside may take.

    Returns
    -------
    object
        Its arrays own their memory, are writable and shared with nothing. An array is
        laid out as Fortran arrays are if it was one when it was encoded, else as C's are.

    Raises
    ------
    PayloadError
        The payload is not valid, of another wire version, holds a pickle that is not
        allowed, or needs a package or a registered type that is missing here.
    """
    instead = _AS_TEXT if as_text else None
    decoder = Decoder(payload.arrays, allow_pickle, copies, instead=instead, room=room)
    return checked(decoder, payload)


def _writable_number(items: list[Any], decoder: Decoder) -> int:
    raw = bytes(memoryview(*items))
    # Python refuses to write longer ones as text, and took minutes before it did (CVE-2020-10735).
    if len(raw) > _MOST_BYTES:
        raise PayloadError(
            f"The value has a whole number of more than {_MOST_BYTES} bytes, which cannot be "
            "written as text: return it as bytes."
        )
    return int.from_bytes(raw, "little", signed=True)


_AS_TEXT = {WHOLE_NUMBER: Tag(_writable_number)}


def checked(decoder: Decoder, payload: Payload) -> Any:
    """Return what a decoder makes of a payload, with one error for whatever is wrong in it.

    Raises
    ------
    PayloadError
        The payload is not valid.
    """
    try:
        return decoder.value(payload.header, trusted=payload._trusted)
    except PayloadError:
        raise
    except Exception as error:
        raise PayloadError(
            f"What arrived is not a valid payload ({type(error).__name__}): it was cut or "
            "changed on its way, or not made by flame-flwr.",
            detail=text_of(error) or None,
        ) from error
