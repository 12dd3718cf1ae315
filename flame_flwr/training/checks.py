"""Checks of an analyzer's settings, and of what its ``score`` returns.

Of the latter messages have no values and names, as they may travel.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, ModelError

if TYPE_CHECKING:
    from flame_flwr.star.nodes import StarAnalyzer

__all__ = ["check_flag", "check_scores", "check_strength", "check_whole", "set_given"]


def set_given(analyzer: StarAnalyzer, given: Mapping[str, Any]) -> None:
    """Have a constructor's arguments as attributes; ``None`` leaves the class's."""
    for name, value in given.items():
        if value is not None:
            setattr(analyzer, name, value)


def check_whole(analyzer: StarAnalyzer, key: str, least: int) -> None:
    """Check a setting that counts, and have it in Python's own type: loaders refuse NumPy's.

    Raises
    ------
    ModelError
        It is no whole number from `least`.
    """
    value = getattr(analyzer, key)
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise _wrong(analyzer, key, f"a whole number from {least}")
    _keep_as(analyzer, key, int(value))


def check_flag(analyzer: StarAnalyzer, key: str) -> None:
    """Check a setting that is true or false, and have it in Python's own type.

    Raises
    ------
    ModelError
        It is neither.
    """
    value = getattr(analyzer, key)
    if not isinstance(value, bool | np.bool_):
        raise _wrong(analyzer, key, "True or False")
    _keep_as(analyzer, key, bool(value))


def check_strength(analyzer: StarAnalyzer, key: str) -> None:
    """Check how strongly something is drawn to weights, and have it in Python's own type.

    Raises
    ------
    ModelError
        It is no finite number from 0.
    """
    value = getattr(analyzer, key)
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    strength = float(value) if is_number else math.nan
    if not 0 <= strength < math.inf:
        raise _wrong(analyzer, key, "a number from 0")
    _keep_as(analyzer, key, strength)


def check_scores(analyzer: StarAnalyzer, said: Any, reserved: Collection[str]) -> dict[str, float]:
    """Return what ``score`` says, as numbers.

    Parameters
    ----------
    analyzer : StarAnalyzer
        Whose it is.
    said : Any
        What it has returned.
    reserved : collection of str
        Names that the base uses itself, beside those that begin with ``test_``.

    Raises
    ------
    DataError
        A number is NaN or infinite.
    ModelError
        They are no mapping, or one has a name of the base's, or is none.
    """
    method = f"{type(analyzer).__name__}.score"
    if not isinstance(said, Mapping):
        raise ModelError(
            f"{method} must return numbers by name, such as {{'accuracy': 0.9}}, or {{}}, not "
            f"{type(said).__name__}"
        )
    scores = {}
    for name, value in said.items():
        called = f"{method}: {name!r}"  # may be a name in the data: it stays in the detail
        if name in reserved or str(name).startswith("test_"):
            raise ModelError(
                f"{method}: one of the names is one that the base uses itself: choose another",
                detail=f"{called} is a name that the base uses itself",
            )
        try:
            scores[name] = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{method}: each score must be one number",
                detail=f"{called} must be one number: {error}",
            ) from None
        if not math.isfinite(scores[name]):
            raise DataError(
                f"{method}: a score is not finite (NaN or infinite): leave it out there, such as "
                "an AUC where all samples are of one class",
                detail=f"{called} is not finite: leave it out there",
            )
    return scores


def _wrong(analyzer: StarAnalyzer, key: str, expected: str) -> ModelError:
    value = getattr(analyzer, key)
    return ModelError(f"{type(analyzer).__name__}: {key} must be {expected}, not {value!r}")


def _keep_as(analyzer: StarAnalyzer, key: str, value: Any) -> None:
    if type(getattr(analyzer, key)) is not type(value):
        setattr(analyzer, key, value)
