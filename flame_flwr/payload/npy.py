"""One array as the bytes of an ``.npy`` file and back, without `numpy.load`.

Flower sends arrays as ``.npy`` bytes and reads them with `numpy.load`, which allocates
whatever size the header claims before it looks how many bytes there are. Here the header
is checked against the bytes first, and the array is a view of them.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import PayloadError
from flame_flwr.payload.dtypes import dtype_from_spec
from flame_flwr.payload.numpy_types import check_shape, fortran_only, view

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["array_from_npy", "check_npy", "filled", "npy_bytes"]


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """Write an array as ``.npy`` bytes, as `numpy.save` would, with at most a single copy.

    Parameters
    ----------
    array : ndarray
        An array of any shape and layout; structured and object dtypes are refused. What
        `array_from_npy` and `filled` return is not copied where its bytes are just what would be
        written.

    Returns
    -------
    bytes
        What `numpy.load` reads.

    Raises
    ------
    PayloadError
        The dtype has no place in the header.
    """
    if array.dtype.hasobject or array.dtype.names is not None:
        raise PayloadError(
            "An array of objects or of a structured dtype cannot be sent to Flower as it is: "
            "send what encode(...) makes of it."
        )
    fortran = fortran_only(array)
    head = _head(array.dtype, array.shape, fortran)
    made_of = _bytes_beneath(array)
    # Their sender may have written other spaces, or another version: that would say something, too.
    is_whole = array.flags.forc and len(made_of) == len(head) + array.nbytes
    if is_whole and made_of.startswith(head):
        return made_of
    if not array.nbytes:
        return head
    flat = np.ravel(array, order="F" if fortran else "C")
    return b"".join((head, flat.view(np.uint8).data))


def filled(
    dtype: np.dtype[Any], shape: tuple[int, ...], fill: Callable[[npt.NDArray[Any]], None]
) -> npt.NDArray[Any]:
    """Return a new array, read-only, that `npy_bytes` does not copy.

    Parameters
    ----------
    dtype : dtype
        Of plain numbers.
    shape : tuple of int
        The array is laid out as C's are.
    fill : callable
        Is given the array, flat and of zeros, to write into it.

    Examples
    --------
    >>> filled(np.dtype("f8"), (1, 2), lambda numbers: numbers.fill(0.5))
    array([[0.5, 0.5]])
    """
    head = _head(dtype, shape, fortran=False)
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    file = BytesIO()  # gives its bytes away: what is written is not held twice
    file.write(head)
    file.seek(len(head) + size - 1)
    file.write(b"\0")  # makes the room, all of zeros, at once
    with file.getbuffer() as buffer:
        numbers = np.frombuffer(buffer, dtype, offset=len(head))
        fill(numbers)
        del numbers  # a buffer cannot be released while an array looks at it
    return view(file.getvalue(), dtype, shape, False, len(head))


def array_from_npy(data: bytes) -> npt.NDArray[Any]:
    """Look at ``.npy`` bytes as an array: read-only, not copied, header checked first.

    Parameters
    ----------
    data : bytes
        Taken as hostile.

    Returns
    -------
    ndarray
        A view that keeps ``data`` alive.

    Raises
    ------
    PayloadError
        These are no ``.npy`` bytes, they hold objects, or not as many bytes follow the
        header as it claims.
    """
    try:
        dtype, shape, fortran, offset = _header(data)
        if dtype.names is not None:
            raise ValueError("a structured dtype, which payloads send as bytes")
        return view(data, dtype, shape, fortran, offset)
    except Exception as error:
        raise PayloadError(
            "An array that arrived is not valid: its .npy header and its bytes do not fit "
            "each other. It was cut or changed on its way, or not made by flame-flwr.",
            detail=str(error) or None,
        ) from error


def check_npy(start: bytes, nbytes: int) -> None:
    """Check an ``.npy`` member of an archive by its first bytes, structured dtypes too.

    Parameters
    ----------
    start : bytes
        The member's first bytes, at least as many as `HEADER_LIMIT` says if it has them.
    nbytes : int
        How many bytes the member has.

    Raises
    ------
    ValueError, TypeError
        `numpy.load` must not be given this.
    """
    dtype, shape, _, offset = _header(start)
    check_shape(shape, dtype, nbytes - offset)


def _head(dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> bytes:
    text = f"{{'descr': '{dtype.str}', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    padding = -(len(_MAGIC) + 4 + len(text) + 1) % 64  # as the format says, so that data is aligned
    length = len(text) + padding + 1
    return b"%s\x01\x00%s%s%s\n" % (
        _MAGIC,
        length.to_bytes(2, "little"),
        text.encode("ascii"),
        b" " * padding,
    )


def _bytes_beneath(array: npt.NDArray[Any]) -> bytes:
    """Return the bytes that an array is a view of; none where it is of other memory."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if type(base) is bytes else b""


HEADER_LIMIT = 12_000
"""No header is longer; numpy's own limit is 10,000 characters."""


def _header(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    if data[: len(_MAGIC)] != _MAGIC or len(data) < len(_MAGIC) + 6:
        raise ValueError("no .npy bytes")
    version = data[len(_MAGIC)], data[len(_MAGIC) + 1]
    if version not in _LENGTH_BYTES:
        raise ValueError("an .npy version that does not exist")
    start = len(_MAGIC) + 2 + _LENGTH_BYTES[version]
    length = int.from_bytes(data[len(_MAGIC) + 2 : start], "little")
    # Four bytes can claim 4 GB of header, of which numpy would make a text.
    if length > HEADER_LIMIT - start or start + length > len(data):
        raise ValueError("an .npy header of a wrong length")
    return *_described(bytes(data[start : start + length])), start + length


@lru_cache(maxsize=64)  # most messages of a run bring the same ones
def _described(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    found = _HEADER.fullmatch(header.decode("utf-8"))
    if found is None:
        raise ValueError("an .npy header that is not understood")
    descr, fortran, shape = found.groups()
    dtype = _dtype(descr)
    sizes = tuple(int(size) for size in shape.split(",") if size.strip())
    return dtype, sizes, fortran == "True"


def _dtype(descr: str) -> np.dtype[Any]:
    if descr[0] == "'":
        return dtype_from_spec(descr[1:-1])
    return np.dtype([(name, dtype_from_spec(spec)) for name, spec in _FIELD.findall(descr)])


_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_FIELD = re.compile(r"\('([^'\\]*)', '([^'\\]*)'\)")
# What `numpy.save` writes, letter by letter. numpy itself reads headers by `ast.literal_eval`, of
# which Python's documentation says that hostile text may end the process.
_HEADER = re.compile(
    r"\{'descr': ('[^'\\]*'|\[(?:\('[^'\\]*', '[^'\\]*'\)(?:, )?)*\]), "
    r"'fortran_order': (True|False), 'shape': \(((?:\d{1,19}(?:, \d{1,19})*,?)?)\), \} *\n"
)
