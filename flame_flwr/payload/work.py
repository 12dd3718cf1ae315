"""What restoring a value may cost: memory and time in proportion to the bytes that arrived.

A few bytes can name much: an index of a billion rows, a hundred thousand empty tables, keys that a
dict finds one by one. So a decoder counts, before it builds a part, about how much memory that
takes, or how much else would take the same time, and refuses what is too much for so few bytes.
"""

from __future__ import annotations

from collections import Counter
from time import thread_time
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FEW", "FLOOR", "GROWTH", "Work", "check_hashes"]

GROWTH = 16
"""How many times its own bytes a value's parts may take."""

FLOOR = 128 * 2**20
"""Bytes that the parts of any value may take, however few bytes arrived."""

SECONDS, SECONDS_PER_MB = 10.0, 1.0
"""Time of the processor that the parts of any value may take, and for each MB that arrived."""

_LOOK_EVERY = 2**14
"""Bytes of cost between two looks at the clock."""

_LIST, _ENTRY = 64, 16
_DICT, _PAIR = 128, 128
"""Bytes of CPython's lists and dicts, rounded up: 56 and 8 for each entry, which may grow twofold;
64 and about 100 for each pair."""


class Work:
    """The cost of one value: what its parts, as far as they are built, have taken.

    Parameters
    ----------
    received : int
        Bytes that arrived.
    bulk : int
        How many of them are arrays of the value's own.
    room : int, optional
        Bytes that it may take, its arrays among them.
    """

    __slots__ = ("_left", "_look_below", "_room", "_until")

    def __init__(self, received: int, bulk: int = 0, room: int | None = None) -> None:
        most = max(FLOOR, GROWTH * received)
        self._room = room if room is not None and room - bulk < most else None
        self._left = self._look_below = most if self._room is None else self._room - bulk
        # this thread's own time: others, and a busy machine, take none of it
        self._until = thread_time() + SECONDS + SECONDS_PER_MB * received / 2**20

    def spend(self, cost: int) -> None:
        """Count a part.

        Parameters
        ----------
        cost : int
            About how many bytes it takes.

        Raises
        ------
        PayloadError
            All parts together take too much, or have taken too long.
        """
        self._left -= cost
        if self._left < self._look_below:
            self._look()

    def _look(self) -> None:
        self._look_below = max(0, self._left - _LOOK_EVERY)
        if self._left < 0 and self._room is not None:
            raise PayloadError(
                f"The value takes more than {self._room / 2**20:.4g} MB of memory, which is a "
                "node's part of what the values of a round may take: raise `max-answer-mb` in the "
                "run config if the server has more, else return less."
            )
        if self._left < 0:
            raise PayloadError(
                f"The value takes more memory, or time, than {GROWTH} times its bytes, and than "
                f"{FLOOR // 2**20} MB: return what is long as an array, or as one table."
            )
        if thread_time() > self._until:
            raise PayloadError(
                f"The value takes longer to restore than {SECONDS:g} s, and {SECONDS_PER_MB:g} s "
                "for each of its MB: return what is long as an array, or as one table."
            )

    def for_list(self, length: int) -> None:
        """Count a list."""
        self.spend(_LIST + _ENTRY * length)

    def for_dict(self, length: int) -> None:
        """Count a dict."""
        self.spend(_DICT + _PAIR * length)


def check_hashes(
    keys: Iterable[Any],
    hashed: Callable[[Any], int] = hash,
    safe: frozenset[type] = frozenset({str, bytes, bool, float, type(None)}),
) -> None:
    """Refuse keys of which many have the same hash: a dict would compare each with all others.

    Hashes of texts have a secret of this process in them; those of numbers can be computed.

    Parameters
    ----------
    keys : iterable
        Equal ones are found at once, however many.
    hashed : callable
        Gives the hash that is looked at.
    safe : frozenset of type
        The types of which no keys can be made whose hashes are the same.

    Raises
    ------
    ValueError
        There are too many of them.
    """
    # Floats are safe: at most 201 of them have one hash, their 53 bits modulo 2**61 - 1.
    looked_at = [key for key in keys if type(key) not in safe]
    if len(looked_at) <= FEW:
        return
    hashes = [*map(hashed, looked_at)]
    most = FEW * len(looked_at)
    if sum(count * count for count in Counter(hashes).values()) <= most:
        return
    # Many equal keys have one hash, too, and cost nothing: so only different ones are counted.
    alike: dict[int, list[Any]] = {}
    for number, key in zip(hashes, looked_at, strict=True):
        others = alike.setdefault(number, [])
        most -= len(others)
        if most < 0:
            raise ValueError("keys that have all the same hash")
        if key not in others:
            others.append(key)


FEW = 64
"""How many keys of one hash each key may be compared with."""
