"""One array as the bytes of an ``.npy`` file and back, without `numpy.load`.

Flower sends arrays as ``.npy`` bytes and reads them with `numpy.load`, which allocates
whatever size the header claims before it looks how many bytes there are. Here the header
is checked against the bytes first, and the array is a view of them.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import PayloadError
from flame_flwr.payload.dtypes import dtype_from_spec
from flame_flwr.payload.numpy_types import check_shape, fortran_only, view

__all__ = ["array_from_npy", "check_npy", "npy_bytes"]


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """Write an array as ``.npy`` bytes, as `numpy.save` would, with a single copy.

    Parameters
    ----------
    array : ndarray
        Of any shape and layout; structured and object dtypes are refused.

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
    text = f"{{'descr': '{array.dtype.str}', 'fortran_order': {fortran}, 'shape': {array.shape}, }}"
    padding = -(len(_MAGIC) + 4 + len(text) + 1) % 64
    length = len(text) + padding + 1
    head = b"%s\x01\x00%s%s%s\n" % (
        _MAGIC,
        length.to_bytes(2, "little"),
        text.encode("ascii"),
        b" " * padding,
    )
    if not array.nbytes:
        return head
    flat = np.ravel(array, order="F" if fortran else "C")
    return b"".join((head, flat.view(np.uint8).data))


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
    if length > HEADER_LIMIT - start or start + length > len(data):
        raise ValueError("an .npy header of a wrong length")
    text = data[start : start + length].decode("utf-8")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError("an .npy header that is not understood")
    descr, fortran, shape = found.groups()
    dtype = _dtype(descr)
    sizes = tuple(int(size) for size in shape.split(",") if size.strip())
    return dtype, sizes, fortran == "True", start + length


def _dtype(descr: str) -> np.dtype[Any]:
    if descr[0] == "'":
        return dtype_from_spec(descr[1:-1])
    return np.dtype([(name, dtype_from_spec(spec)) for name, spec in _FIELD.findall(descr)])


_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_FIELD = re.compile(r"\('([^'\\]*)', '([^'\\]*)'\)")
_HEADER = re.compile(
    r"\{'descr': ('[^'\\]*'|\[(?:\('[^'\\]*', '[^'\\]*'\)(?:, )?)*\]), "
    r"'fortran_order': (True|False), 'shape': \(((?:\d{1,19}(?:, \d{1,19})*,?)?)\), \} *\n"
)
