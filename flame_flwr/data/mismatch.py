"""Findings about data that is not as an analysis expects, in words that may leave the node.

It is made of what the analysis itself has declared: no value, no count and no name out of the
data. Of how many values it tells, rules must know; that does not leave.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.labels import is_missing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Mismatch", "Tally", "outside"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as expected.

    Parameters
    ----------
    text : str
        What it is: free of the node's data.
    stops : bool
        Whether the node cannot take part because of it.
    rows : int or None
        Of how many values it tells, or people where it is known whose they are; it stays at the
        node, for disclosure rules. ``None`` of what tells of the form of the data only.
    """

    text: str
    stops: bool = True
    rows: int | None = field(default=None, compare=False)


class Tally:
    """How many values there are of a kind, and of how many people.

    Examples
    --------
    >>> import numpy as np
    >>> odd = Tally()
    >>> odd.add(np.array([True, False, True]), np.array(["a", "b", "a"]))
    >>> odd.rows, odd.size
    (2, 1)
    """

    def __init__(self) -> None:
        self.rows = 0
        self._people: set[object] | None = set()

    def add(self, are: npt.NDArray[np.bool_], people: Any = None) -> None:
        """Count the values that are of the kind; `people` says whose each of all is."""
        self.rows += int(are.sum())
        if people is None:
            self._people = None
        elif self._people is not None and are.any():
            self._people.update(str(each) for each in people[are] if not is_missing(each))

    @property
    def size(self) -> int:
        """How many people at least; how many values, where it is not said whose they are."""
        if self._people is None:
            return self.rows
        # values are of somebody, whoever it is: of none, rules would let anything be said
        return max(len(self._people), min(self.rows, 1))

    def at_most(self, values: int) -> int:
        """Return of how many people so many values may be."""
        return values if self._people is None else min(values, self.size)


def outside(low: float | None, high: float | None, unit: str = "") -> str:
    """Say where values are that are not within bounds.

    Examples
    --------
    >>> outside(1, None, "kg")
    'below 1 kg'
    >>> outside(0, 120)
    'outside 0 to 120'
    """
    after = f" {unit}" if unit else ""
    if low is None:
        return f"above {_number(high)}{after}"
    if high is None:
        return f"below {_number(low)}{after}"
    return f"outside {_number(low)} to {_number(high)}{after}"


def _number(bound: float | None) -> str:
    """Return a bound with all its digits."""
    assert bound is not None
    short = f"{float(bound):g}"
    return short if float(short) == float(bound) and "e" not in short else str(bound)
