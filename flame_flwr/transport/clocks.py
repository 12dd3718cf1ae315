"""What hello says of a node's clock: added by the node itself, and not by an app."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flame_flwr.log import logger
from flame_flwr.transport.wait_for_replies import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLOCK", "read_clock", "told_clock", "warn_of_clocks"]

CLOCK = "clock"
"""What it is called in hello."""

_LARGEST = 1e9
"""Seconds: more than that, or no number, is no difference of clocks and is not shown."""

_WORTH_SAYING = 2.0
"""Seconds: less cannot be told, as the server's ``Date`` has whole seconds."""


def told_clock(difference: float | None) -> dict[str, float]:
    """Return what a node's hello says of its clock.

    Parameters
    ----------
    difference : float or None
        Seconds that it is ahead of the server's; ``None`` where that is not known.

    Examples
    --------
    >>> told_clock(4.44), told_clock(None)
    ({'clock': 4.4}, {})
    """
    if difference is None:
        return {}
    return {CLOCK: round(max(-_LARGEST, min(difference, _LARGEST)), 1)}


def read_clock(said: object) -> float | None:
    """Read what a node says of its clock; ``None`` of one that does not, or says nonsense.

    Examples
    --------
    >>> read_clock(-12.5), read_clock("soon"), read_clock(float("nan"))
    (-12.5, None, None)
    """
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if math.isfinite(said) and abs(said) <= _LARGEST else None


def warn_of_clocks(clocks: Mapping[str, float | None]) -> None:
    """Warn of nodes whose clock is more than two seconds off.

    Parameters
    ----------
    clocks : mapping of str to float or None
        Seconds that a node's clock is ahead, by the node's name.
    """
    off = [
        f"{name} is {abs(clock):.0f} s {'ahead' if clock > 0 else 'behind'}"
        for name, clock in clocks.items()
        if clock is not None and abs(clock) > _WORTH_SAYING
    ]
    if off:
        logger.warning(
            "clocks differ from the server's: %s. Have them set: the server refuses a node that is "
            "more than 5 s ahead or 5 minutes behind",
            shortened(off),
        )
