"""Giving memory back to the system: a server that takes in large models, one after another."""

from __future__ import annotations

import ctypes
import functools
import sys

__all__ = ["return_freed_memory"]

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE = 2 * 2**20
"""Bytes; Flower's chunks of arrays are of 5 MB."""


@functools.cache
def return_freed_memory() -> bool:
    """Make the C library return every large block to the system as soon as it is freed.

    glibc otherwise begins to keep blocks like those that it has seen freed, up to 32 MB each: of
    a 40 MB model in chunks it keeps another 40 MB. Return whether it could be told.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE))
    except (OSError, AttributeError):  # another C library
        return False
