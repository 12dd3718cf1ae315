"""The checks of filters' parameters."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from flame_flwr.privacy.filters import UpdateFilter

__all__ = ["above_zero", "check_fraction", "seed_or_none"]


def above_zero(owner: UpdateFilter, *names: str) -> None:
    """Check that parameters are finite numbers above 0, and make them floats.

    Raises
    ------
    ModelError
        One is something else.
    """
    for name in names:
        value = getattr(owner, name)
        if not _real(value) or not 0 < float(value) < math.inf:
            raise ModelError(f"{owner.name}: {name} must be a number above 0, not {value!r}")
        object.__setattr__(owner, name, float(value))


def check_fraction(owner: UpdateFilter, name: str) -> None:
    """Check that a parameter is above 0 and at most 1, and make it a float.

    Raises
    ------
    ModelError
        It is something else.
    """
    value = getattr(owner, name)
    if not _real(value) or not 0 < value <= 1:
        raise ModelError(f"{owner.name}: {name} must be above 0 and at most 1, not {value!r}")
    object.__setattr__(owner, name, float(value))


def seed_or_none(owner: UpdateFilter) -> None:
    """Check that ``seed`` is an integer or ``None``.

    Raises
    ------
    ModelError
        It is something else.
    """
    seed: Any = owner.seed  # type: ignore[attr-defined]
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise ModelError(f"{owner.name}: seed must be an integer or None, not {seed!r}")


def _real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
