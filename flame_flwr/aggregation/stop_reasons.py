"""Why a run stopped, in words that hold nothing measured: for runs whose figures stay hidden.

For private runs and for studies that hide keys; :func:`.convergence.stop_reason` says all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.convergence import (
    Combined,
    Convergence,
    MaxRounds,
    When,
    first_known,
    stop_reason,
)
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.aggregation.plateau import Plateau

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_unmeasured", "measured_by"]


def check_unmeasured(
    convergence: Convergence,
    number: int,
    aggregate: Any,
    last: Any,
    closed: Callable[[Convergence], bool] = lambda part: True,
) -> str | None:
    """Ask a convergence; where nothing measured may be shown, the reason is what was declared.

    Parameters
    ----------
    convergence : Convergence
        For a class of the user's own only its name is given: its text may hold exact figures.
    number, aggregate, last
        As for :meth:`Convergence.check`.
    closed : callable
        Tells of which parts nothing measured may be said; by default of all, as in a private run.
    """
    if isinstance(convergence, Combined):
        parts = convergence.parts
        return convergence.joined(
            [check_unmeasured(part, number, aggregate, last, closed) for part in parts]
        )
    reason = stop_reason(convergence, number, aggregate, last)
    if not reason or not closed(convergence):
        return reason
    # `type`, not isinstance: a user's subclass may put a figure into its words
    if type(convergence) in (MaxRounds, DeltaNorm, Plateau, When):
        return f"as declared, {convergence.in_words()}"
    return f"{type(convergence).__name__} said so"


def measured_by(convergence: Convergence, closed: Callable[[Convergence], bool]) -> float | None:
    """Return what :meth:`Convergence.measured` does, and NaN for what may not be shown.

    Parameters
    ----------
    convergence : Convergence
        What measures.
    closed : callable
        Tells of which parts nothing measured may be shown.
    """
    if isinstance(convergence, Combined):
        return first_known([measured_by(part, closed) for part in convergence.parts])
    change = convergence.measured()
    return math.nan if change is not None and closed(convergence) else change
