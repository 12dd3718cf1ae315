"""Sets of people as bitmaps over a list of them, for the node's gate; they never leave a node."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from flame_flwr.statistics.people import People

__all__ = ["MOST_PEOPLE", "PeopleSets", "packed_ids", "unpacked_bits", "unpacked_ids"]

MOST_PEOPLE = 500_000
_MOST_SETS = 5000
_MOST_PLACES = 100_000
_NO_SET = -1


@dataclass(frozen=True, slots=True)
class PeopleSets:
    """Which people are in which figure of a result.

    Parameters
    ----------
    people : bytes
        Eight bytes for each of them, in ascending order: a hash of the id.
    sets : tuple of bytes
        Bitmaps over these people.
    of : tuple of int
        For each part of the result its set; -1 where it is not known.
    cells : mapping of int to tuple of int
        For parts that count bins or labels, by their number: the set of each.
    rows : tuple of int
        For each part its set of people together with how many rows each has, as `of`; -1 where all
        have one.

    Examples
    --------
    >>> some = np.array([3, 5, 9], dtype=np.uint64)
    >>> sets = PeopleSets.of_parts([some, None, some[:2]])
    >>> sets.of, PeopleSets.from_json(sets.to_json()).ids(2).tolist()
    ((0, -1, 1), [3, 5])
    """

    people: bytes = b""
    sets: tuple[bytes, ...] = ()
    of: tuple[int, ...] = ()
    cells: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    rows: tuple[int, ...] = ()

    @classmethod
    def of_parts(
        cls,
        parts: Sequence[People | None],
        cells: Sequence[Sequence[People]] = (),
        rows: Sequence[People | None] = (),
    ) -> Self:
        """Return the sets of the parts of a result, each given with the people it is about.

        Without those of which there are too many, for which rules go by sizes.
        """
        known = [part for part in (*parts, *rows) if part is not None]
        if not known:
            return cls()
        # parts of one table share an array
        everybody = np.unique(np.concatenate([*{id(part): part for part in known}.values()]))
        if len(everybody) > MOST_PEOPLE:
            return cls()
        places: dict[bytes, int] = {}
        of = [_NO_SET if part is None else _place(part, everybody, places) for part in parts]
        within = {
            number: tuple(_place(cell, everybody, places) for cell in found)
            for number, found in enumerate(cells)
            if found
        }
        told = [_NO_SET if part is None else _place(part, everybody, places) for part in rows]
        return cls(everybody.tobytes(), tuple(places), tuple(of), within, tuple(told))

    def ids(self, part: int) -> People | None:
        """Return the people whom a part of the result is about; ``None`` where it is not known."""
        if part >= len(self.of) or self.of[part] == _NO_SET:
            return None
        return self._set(self.of[part])

    def ids_by_cell(self, part: int) -> tuple[People, ...]:
        """Return the people of each bin or label of a part, where they are known."""
        return tuple(self._set(each) for each in self.cells.get(part, ()) if each != _NO_SET)

    def ids_with_rows(self, part: int) -> People | None:
        """Return people together with how many rows each has; ``None`` where all have one."""
        number = self.rows[part] if part < len(self.rows) else _NO_SET
        return None if number == _NO_SET else self._set(number)

    def _set(self, number: int) -> People:
        people: People = np.frombuffer(self.people, dtype=np.uint64)
        bits = np.unpackbits(np.frombuffer(self.sets[number], np.uint8), count=len(people))
        within: People = people[bits.astype(bool)]
        return within

    def to_json(self) -> dict[str, Any]:
        """Return it for :meth:`from_json`."""
        packed = [base64.b64encode(zlib.compress(each, 1)).decode() for each in self.sets]
        cells = [[part, *places] for part, places in self.cells.items()]
        people = packed_ids(self.people)
        of, rows = list(self.of), list(self.rows)
        return {"people": people, "sets": packed, "of": of, "cells": cells, "rows": rows}

    @classmethod
    def from_json(cls, said: Any) -> Self:
        """Read what another process said.

        Raises
        ------
        TypeError, ValueError
            It is not of this form.
        """
        if not isinstance(said, Mapping) or len(said["sets"]) > _MOST_SETS:
            raise ValueError("no sets of people")
        people = unpacked_ids(said["people"])
        length = (len(people) // 8 + 7) // 8
        sets = tuple(unpacked_bits(each, length) for each in said["sets"])
        of, cells = tuple(said["of"]), {part: tuple(rest) for part, *rest in said["cells"]}
        rows = tuple(said["rows"])
        every = [*of, *rows, *(place for places in cells.values() for place in places)]
        if not all(type(place) is int and _NO_SET <= place < len(sets) for place in every):
            raise ValueError("no place of a set")
        if not all(type(part) is int for part in cells) or len(every) > _MOST_PLACES:
            raise ValueError("no parts of a result")
        return cls(people, sets, of, cells, rows)


def packed_ids(people: bytes) -> str:
    """Return people's ids as text."""
    return base64.b64encode(people).decode()


def unpacked_ids(text: str, most: int | None = MOST_PEOPLE) -> bytes:
    """Return what :func:`packed_ids` made a text of.

    Parameters
    ----------
    text : str
        The text.
    most : int or None
        How many people there may be; ``None`` for any number, as of what the node itself has kept.

    Raises
    ------
    ValueError
        It is no such text.
    """
    people = base64.b64decode(text, validate=True)
    if len(people) % 8 or (most is not None and len(people) > 8 * most):
        raise ValueError("no list of people")
    return people


def unpacked_bits(text: str, length: int) -> bytes:
    """Return a bitmap of so many bytes, which was packed as text.

    Raises
    ------
    ValueError, zlib.error
        It is no such text.
    """
    # never more than is expected, whatever was packed
    found = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), length + 1)
    if len(found) != length:
        raise ValueError("a bitmap of other people")
    return found


def _place(part: People, everybody: People, places: dict[bytes, int]) -> int:
    bits = np.zeros(len(everybody), dtype=bool)
    bits[np.searchsorted(everybody, part)] = True
    packed = np.packbits(bits).tobytes()
    # many figures are about the same people: each set is told once
    if packed not in places and len(places) >= _MOST_SETS:
        return _NO_SET
    return places.setdefault(packed, len(places))
