"""Labels that pandas' hash tables would find one by one.

pandas looks labels up in tables of its own, by hashes of 32 bits without a secret: whoever knows
how they are computed can make labels that all have the same, and then each is compared with all
others. Here they are computed as pandas does, many at a time, before it sees the labels.

Source: ``khash.h`` and ``khash_python.h`` in ``pandas/_libs/include/pandas/vendored/klib``, of
pandas 2 and 3: ``kh_int64_hash_func``, ``murmur2_64to32``, ``kh_python_hash_func`` and
``__ac_X31_hash_string``.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from flame_flwr.payload.work import FEW, check_hashes

__all__ = ["check_numbers", "check_objects", "check_texts"]

_Hashes = npt.NDArray[np.uint32]


def check_numbers(values: npt.NDArray[Any], few: float = FEW) -> None:
    """Refuse numbers or moments of which many have the same hash, and are not equal.

    Parameters
    ----------
    values : ndarray
        The numbers.
    few : float
        With how many each may be compared, itself among them.

    Raises
    ------
    ValueError
        There are too many of them.
    """
    if len(values) <= FEW or (words := _words(values)) is None:
        return
    hashes = _hashes(words)
    # First by hashes alone, which is fast. Equal numbers may be many, and are one label.
    if _is_crowded(np.sort(hashes), few):
        bits = [word.view(f"u{word.itemsize}") for word in words]
        order = np.lexsort((*bits, hashes))
        _check_sorted(hashes[order], [word[order] for word in bits], few)


def check_objects(values: list[Any]) -> None:
    """Refuse Python objects of which many have the same hash, and are not equal.

    Raises
    ------
    ValueError
        There are too many of them.
    """
    check_hashes(values, _of_object, _SECRET)
    check_texts([value for value in values if type(value) is str])


def check_texts(values: list[str]) -> None:
    """Refuse texts of which many have the same hash, and are not equal: `groupby` compares them.

    Raises
    ------
    ValueError
        There are too many of them.
    """
    rows = Counter(text for text in values if len(text) <= _LONGEST)
    if len(rows) <= FEW:
        return
    texts = _hashed(list(rows))
    lookups = np.fromiter(rows.values(), np.int64, len(rows))
    # C's `char` has a sign on x86-64 and none on ARM, which tells bytes above 127: both are looked
    # at, as texts may be alike by one of the two alone.
    for char in (np.int8, np.uint8)[: 1 if all(map(bytes.isascii, texts)) else 2]:
        hashes = _of_texts(texts, char)
        _, which, labels = np.unique(hashes, return_inverse=True, return_counts=True)
        if int(labels[which.ravel()] @ lookups) > FEW * len(values):
            raise ValueError("texts that have all the same hash")


def _hashed(texts: list[str]) -> list[bytes]:
    """Return what pandas hashes of texts: up to a zero, and of what is no UTF-8 its `repr`."""
    try:
        found = [text.encode() for text in texts]
    except UnicodeEncodeError:
        found = [(repr(text) if _SURROGATE.search(text) else text).encode() for text in texts]
    if any(b"\0" in each for each in found):
        found = [each.partition(b"\0")[0] for each in found]
    return found


_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST, _AT_ONCE = 2**14, 2**10
"""Characters of a text that is looked at, as few can be longer; how many texts at once."""


def _of_texts(texts: list[bytes], char: type[np.integer[Any]]) -> _Hashes:
    """Return khash's hashes of texts: for every byte, 31 times the hash so far, plus the byte."""
    # Some at a time: the numbers of a text's bytes take four times its bytes, and more.
    parts = [_of_some(texts[i : i + _AT_ONCE], char) for i in range(0, len(texts), _AT_ONCE)]
    return np.concatenate(parts)


def _of_some(texts: list[bytes], char: type[np.integer[Any]]) -> _Hashes:
    """Return hashes of some texts: of each its bytes, times 31 to what comes after them."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    data = np.frombuffer(b"".join(texts), char).astype(np.uint32)  # wraps around, as in C
    ends = np.cumsum(lengths)
    after = np.repeat(ends, lengths) - 1 - np.arange(len(data))
    hashes: _Hashes = np.zeros(len(texts), np.uint32)
    if len(data):
        powers = np.array([1] + [31] * int(lengths.max()), np.uint32)
        data *= np.multiply.accumulate(powers)[after]
        filled = lengths > 0  # `reduceat` would give an empty text the byte that follows
        hashes[filled] = np.add.reduceat(data, (ends - lengths)[filled])
    return hashes


_SECRET = frozenset[type]({str, bytes, bool, type(None)})
"""Types of objects of which nobody can make many of one hash: Python's hash of a text is secret."""


def _of_object(value: Any) -> int:
    number = hash(value) & 0xFFFF_FFFF_FFFF_FFFF
    return (number >> 32) ^ (number & 0xFFFF_FFFF)


def _words(values: npt.NDArray[Any]) -> list[npt.NDArray[Any]] | None:
    """Return what is hashed of each value; ``None`` where no two can have the same hash."""
    dtype = values.dtype
    values = values.astype(dtype.newbyteorder("="), copy=False)
    if dtype.kind in "mM":
        return [values.view(np.int64)]
    if dtype.kind in "iu" and dtype.itemsize == 8:
        return [values]
    if dtype == np.float64:
        return [_one_zero(values)]
    if dtype.kind == "c":
        return [_one_zero(values.real), _one_zero(values.imag)]
    return None


def _one_zero(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return floats of which those that are one label have the same bits: zeros, and NaNs."""
    found = values + 0.0
    found[np.isnan(found)] = np.nan
    return found


def _hashes(words: list[npt.NDArray[Any]]) -> _Hashes:
    hashes = np.zeros(len(words[0]), np.uint32)
    for word in words:
        hashes ^= _of_float(word) if word.dtype.kind == "f" else _of_int(word)
    return hashes


def _of_int(word: npt.NDArray[Any]) -> _Hashes:
    folded: _Hashes = ((word >> 33) ^ word ^ (word << 11)).astype(np.uint32)
    return folded


def _of_float(word: npt.NDArray[Any]) -> _Hashes:
    halves: _Hashes = word.view(np.uint32).reshape(len(word), -1)
    found: _Hashes = np.full(len(word), _SEED, np.uint32)
    for half in halves.T:
        mixed = half * _MIX
        found = (found * _MIX) ^ ((mixed ^ (mixed >> _HALF)) * _MIX)
    found = (found ^ (found >> _FIRST)) * _MIX
    return found ^ (found >> _LAST)


_MIX = np.uint32(0x5BD1E995)
_HALF, _FIRST, _LAST = np.uint32(24), np.uint32(13), np.uint32(15)
_SEED = np.uint32(0xC70F6907 ^ 4)
"""Murmur2's constants, as pandas has them; the seed is mixed with the length, 4 bytes."""


def _starts(ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where in sorted values another one begins."""
    return np.concatenate(([True], ordered[1:] != ordered[:-1]))


def _is_crowded(ordered: _Hashes, few: float) -> bool:
    places = np.flatnonzero(_starts(ordered))
    counts = np.diff(places, append=len(ordered))
    return int(counts @ counts) > few * len(ordered)


def _check_sorted(hashes: _Hashes, words: list[npt.NDArray[Any]], few: float) -> None:
    """Count exactly: each row is compared with the different labels that share its hash."""
    new_hash = _starts(hashes)
    new_label = new_hash | np.logical_or.reduce([_starts(word) for word in words])
    places = np.flatnonzero(new_hash)
    labels = np.add.reduceat(new_label.astype(np.int64), places)
    counts = np.diff(places, append=len(hashes))
    if int(labels @ counts) > few * len(hashes):
        raise ValueError("labels that have all the same hash")
