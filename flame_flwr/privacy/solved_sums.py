"""Whether sums over several sets of people are equations of which a few people's sum is solved.

Of x and four groups a, b, c, d the sums over xab, xcd, ac and bd tell x: half of the first two less
the others. No two of these sets show it, so it is looked for by linear algebra.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["rows_of", "solves_few"]

_MOST_STEPS = 2e10
"""So many products are made, a few seconds' work; a set that needs more is withheld."""
_ZERO = 1e-5
"""Below it a drawn number of standard deviation 1 is an error of rounding."""
_CHUNK = 8192
"""Groups whose floats are in memory at a time."""

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def solves_few(new: int, left: Sequence[int], people: int, k: int) -> bool:
    """Tell whether with a new set a sum over fewer than `k`, who are in the same sets, is solved.

    So it does where half as many sets as people are independent: of whole numbers, such as ages,
    the rest is soon guessed.

    Parameters
    ----------
    new : int
        The people of the set, as a bitmap.
    left : sequence of int
        Those of the sets that have left.
    people : int
        Of how many people the bitmaps are.
    k : int
        The smallest group that may be seen.

    Examples
    --------
    >>> x, a, b, c, d = 1, *(0b11111 << start for start in (1, 6, 11, 16))
    >>> solves_few(x | a | b, [x | c | d, a | c], 21, 5)
    False
    >>> solves_few(x | a | b, [x | c | d, a | c, b | d], 21, 5)
    True
    """
    sets = _linked(new, left)
    if len(sets) < 3:  # of two it is their difference, or what they have in common
        return False
    first, sizes = _groups(sets, people)
    small = sizes < k
    if not small.any():
        return False
    if len(sets) ** 2 * len(sizes) > _MOST_STEPS:
        return True
    matrix = np.array([rows_of(each, people)[first] for each in sets])
    # How many people each two sets share. It has the rank of the sets over people, and is small
    # where these are many.
    common = np.zeros((len(sets), len(sets)))
    for _, part, weights in _parts(matrix, sizes):
        common += (part * weights) @ part.T
    if 2 * np.linalg.matrix_rank(common, hermitian=True) > sizes.sum():
        return True
    return bool(_is_solved(matrix, common, sizes)[small].any())


def rows_of(bits: int, people: int) -> Flags:
    """Return for each of the people whether a bitmap has them."""
    packed = np.frombuffer(bits.to_bytes((people + 7) // 8, "little"), np.uint8)
    return np.unpackbits(packed, count=people, bitorder="little").astype(bool)


def _linked(new: int, left: Sequence[int]) -> list[int]:
    """Return the new set, and all that share people with it, directly or through others."""
    linked, rest, reach = [new], [each for each in dict.fromkeys(left) if each != new], new
    while near := [each for each in rest if each & reach]:
        linked += near
        rest = [each for each in rest if not each & reach]
        for each in near:
            reach |= each
    return linked


def _groups(sets: Sequence[int], people: int) -> tuple[Counts, Counts]:
    """Return one person of each group that is in the same sets, and how many they are."""
    # A person's mark is the sum of those of its sets: two choices of sets have one with a chance of
    # 2**-63, and rows of flags would be as many columns as sets.
    marks = np.random.default_rng(1).integers(1, 2**63, len(sets), dtype=np.uint64)
    marked = np.zeros(people, dtype=np.uint64)
    for each, mark in zip(sets, marks, strict=True):
        marked[rows_of(each, people)] += mark
    found, first, sizes = np.unique(marked, return_index=True, return_counts=True)
    return first[found > 0], sizes[found > 0]  # without those who are in no set


def _parts(matrix: Flags, sizes: Counts) -> Iterator[tuple[slice, Floats, Floats]]:
    for start in range(0, len(sizes), _CHUNK):
        place = slice(start, start + _CHUNK)
        yield place, matrix[:, place].astype(float), sizes[place].astype(float)


def _is_solved(matrix: Flags, common: Floats, sizes: Counts) -> Flags:
    """Tell of each group whether its sum can be had.

    So it can where it is zero in all cases in which those over the sets are: it is in two of these
    cases, which are drawn by chance.
    """
    # A fixed seed: an answer must not be withheld in one run and leave in the next.
    drawn = np.random.default_rng(0).standard_normal((len(sizes), 2))
    over = np.zeros((len(matrix), 2))
    for place, part, weights in _parts(matrix, sizes):
        over += part @ (np.sqrt(weights)[:, None] * drawn[place])
    # Projected onto what the sums leave open: a group that they fix has no part there.
    solved = np.linalg.pinv(common, 1e-11, hermitian=True) @ over
    for place, part, weights in _parts(matrix, sizes):
        drawn[place] -= np.sqrt(weights)[:, None] * (part.T @ solved)
    found: Flags = np.all(np.abs(drawn) < _ZERO, axis=1)
    return found
