"""Parameters of what users declare, as rules, filters and reductions: what each may be.

It is said beside the field, and checked in one place when an object is made. Of rules, so is which
of two values is the stricter.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import MISSING, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "ABOVE_ZERO",
    "FRACTION",
    "NOT_BELOW_0",
    "SEED",
    "TRUE_OR_FALSE",
    "WHOLE_FROM_1",
    "Domain",
    "at_least",
    "check_parameters",
    "one_of",
    "parameter",
    "plain_parameters",
    "stricter_of",
]

T = TypeVar("T", bound="DataclassInstance")


class Domain(NamedTuple):
    """The values that a parameter may have.

    Attributes
    ----------
    words : str
        How an error says it.
    holds : callable
        Tells whether a value is in it.
    plain : callable
        Gives the value for a run's record.
    """

    words: str
    holds: Callable[[Any], bool]
    plain: Callable[[Any], Any] = lambda value: value


def parameter(
    domain: Domain,
    default: Any = MISSING,
    stricter: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Declare the field of a parameter.

    Parameters
    ----------
    domain : Domain
        What it may be.
    default : object, optional
        Without one it must be given.
    stricter : callable, optional
        Gives the stricter of two values, such as ``max``; without it the first party's holds.
    """
    return field(default=default, metadata={"domain": domain, "stricter": stricter})


def check_parameters(owner: DataclassInstance) -> None:
    """Check an object that has just been made.

    Raises
    ------
    ModelError
        A parameter is not what it may be.
    """
    for each in fields(owner):
        domain, value = each.metadata.get("domain"), getattr(owner, each.name)
        if domain is not None and not domain.holds(value):
            name = type(owner).__name__
            raise ModelError(f"{name}: {each.name} {domain.words}, not {value!r}")


def stricter_of(one: T, other: T) -> T:
    """Return the first of two rules of a kind, with the stricter of each parameter."""
    joint = {
        each.name: each.metadata["stricter"](getattr(one, each.name), getattr(other, each.name))
        for each in fields(one)
        if each.metadata.get("stricter") is not None
    }
    return replace(one, **joint)


def plain_parameters(owner: DataclassInstance) -> dict[str, Any]:
    """Return the parameters that are not defaults, as a run's record has them."""
    found = {}
    for each in fields(owner):
        value, domain = getattr(owner, each.name), each.metadata.get("domain")
        if value != each.default:
            plain = value if domain is None else domain.plain(value)
            found[each.name] = list(plain) if isinstance(plain, tuple) else plain
    return found


def one_of(*words: str | None) -> Domain:
    """Return the domain of a few words."""
    return Domain(f"must be one of {', '.join(map(repr, words))}", lambda value: value in words)


def at_least(least: int) -> Domain:
    """Return the domain of integers from a smallest one on."""
    words = f"must be an integer of at least {least}"
    # `type`, here and below: True is an int by `isinstance`.
    return Domain(words, lambda value: type(value) is int and value >= least)


def _is_above_zero(value: object) -> bool:
    try:
        return _is_real(value) and 0 < float(value) < math.inf  # type: ignore[arg-type]
    except OverflowError:  # an int too large for a float
        return False


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_seed(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


ABOVE_ZERO = Domain("must be a number above 0", _is_above_zero, float)
FRACTION = Domain(
    "must be above 0 and at most 1", lambda value: _is_real(value) and 0 < value <= 1, float
)
NOT_BELOW_0 = Domain("must be a number, 0 or more", lambda value: _is_real(value) and value >= 0)
WHOLE_FROM_1 = Domain(
    "must be a whole number from 1", lambda value: type(value) is int and value >= 1
)
SEED = Domain("must be an integer or None", _is_seed)
TRUE_OR_FALSE = Domain("must be True or False", lambda value: type(value) is bool)
