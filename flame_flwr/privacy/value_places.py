"""Where in a value something is, put into words only once somebody asks.

Most places are never named. As texts, those of a deep value with long keys would be copied at
every step on the way.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

__all__ = ["WHOLE", "Found", "Place", "in_words"]

Place = tuple["Place | None", object, Literal["key", "number", "keys"]]
"""The place of the container around something, and the key or number within; or its keys."""

WHOLE: Place = (None, "$", "number")
"""The place of a whole value."""

_LONGEST_KEY = 200
_MOST_STEPS = 5
"""So many numbers of a place leave: an app could say something by its value's depth."""


def in_words(place: Place, *, keys: bool) -> str:
    """Return a place as text.

    Parameters
    ----------
    place : Place
        Where something is.
    keys : bool
        Whether keys are named, which may name a patient: for the node's own eyes.

    Examples
    --------
    >>> ages = (WHOLE, "ages", "key")
    >>> in_words((ages, 3, "number"), keys=True), in_words((ages, 3, "number"), keys=False)
    ("$['ages'][3]", '$.*[3]')
    """
    steps = []
    above, step, kind = place
    while above is not None:
        if kind == "keys":
            steps.append(".keys()")
        else:
            hidden = kind == "key" and not keys
            steps.append(".*" if hidden else f"[{repr(step)[:_LONGEST_KEY]}]")
        above, step, kind = above
    steps.reverse()
    more = ["…"] if len(steps) > _MOST_STEPS and not keys else []
    return "".join(["$", *(steps[:_MOST_STEPS] if more else steps), *more])


class Found(NamedTuple):
    """A value of a result, and where it is.

    Attributes
    ----------
    value : Any
        A statistic, what is no container, or what is said of a table.
    place : Place
        Where.
    """

    value: Any
    place: Place

    @property
    def path(self) -> str:
        """Where, with keys; it stays on the node."""
        return in_words(self.place, keys=True)

    @property
    def keyless(self) -> str:
        """Where, without keys, which may name a patient."""
        return in_words(self.place, keys=False)
