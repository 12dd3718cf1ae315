"""Findings about data that is not as an analysis expects, in words that may leave the node.

It is made of what the analysis itself has declared: no value, no count and no name out of the
data. Of how many values it tells, rules must know; that does not leave.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Mismatch", "outside"]


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
        Of how many values it tells; it stays at the node, for disclosure rules. ``None`` of what
        tells of the form of the data only.
    """

    text: str
    stops: bool = True
    rows: int | None = field(default=None, compare=False)


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
