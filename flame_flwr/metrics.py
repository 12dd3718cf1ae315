"""Metrics: the numbers by name that nodes report of a round or of the evaluation.

They are only shown: no aggregate is made of them. A node checks its own before they leave, and the
server checks them again, as it cannot trust a node's text.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "COLUMNS",
    "FORMULA",
    "LONGEST",
    "MOST",
    "MOST_NAMES",
    "MOST_SCORES",
    "OF_AN_ANSWER",
    "RESERVED",
    "TEST_ROWS",
    "check_metrics",
    "check_names",
    "check_numbers",
    "is_of_tests",
    "readable",
    "rows_tested",
]

OF_AN_ANSWER = (
    "seconds",
    "size",
    "filters",
    "disclosure",
    "failure",
    "frozen",
    "data-changed",
)
"""What an answer to a round holds beside the metrics: nodes write these, the server reads them."""

COLUMNS = ("round", "node", "seconds", "bytes", "failed", "round_seconds", "reason", "change")
"""The columns of ``history.csv`` before those of the metrics."""

RESERVED = frozenset({*OF_AN_ANSWER, *COLUMNS})
"""Names that no metric of a round can have, wherever it runs."""

MOST = 100
"""How many metrics a node may report of one round."""

MOST_SCORES = 1000
"""How many scores ``evaluation_method`` may return."""

MOST_NAMES = 500
"""How many metrics with names of their own there may be in a run."""

TEST_ROWS = "n_test"
"""The key of how many rows a node has tested with: what scores of test data are weighted by."""

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula."""

LONGEST = 100
"""How long a metric's name may be."""

_NAMES = (
    f"a name is a short text, of letters, digits and signs that can be shown, at most {LONGEST} "
    "of them; it does not begin with =, +, - or @, which a spreadsheet takes for a formula"
)
_TAKEN = (
    "is a name of the framework's own; choose another (`flame_flwr.metrics.RESERVED` has all that "
    "are taken)"
)


def check_numbers(scores: Any, where: str) -> dict[str, float]:
    """Return numbers by name as Flower takes them.

    Parameters
    ----------
    scores : dict of str to number
        What user code gave.
    where : str
        The method that it gave them to, or that returned them, for messages.

    Raises
    ------
    ModelError
        It is no dict of numbers, a name is not allowed, or there are too many.
    """
    if not isinstance(scores, dict):
        raise ModelError(f"{where} must return a dict of numbers, not {type(scores).__name__}")
    for key, value in scores.items():
        if not isinstance(key, str) or not isinstance(value, numbers.Real):
            raise ModelError(
                f"{where} must return a dict of numbers by name; "
                f"an entry is {type(key).__name__}: {type(value).__name__}",
                detail=f"{key!r}: {value!r}",
            )
        if not _is_name(key):
            raise ModelError(f"{where}: {_NAMES}", detail=repr(key)[:500])
    if len(scores) > MOST_SCORES:
        raise ModelError(f"{where} may return at most {MOST_SCORES} numbers")
    return {key: _number(value, f"{where} returned") for key, value in scores.items()}


def check_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what ``report_metrics`` was given as it may leave.

    Raises
    ------
    ModelError
        A name that is not allowed, a value that is no number, or too many of them.
    """
    for name, value in metrics.items():
        if not _is_name(name):
            raise ModelError(f"flame.report_metrics: {_NAMES}", detail=repr(name)[:500])
        if name in RESERVED:
            raise ModelError(f"flame.report_metrics: one of the names {_TAKEN}", detail=repr(name))
        if not isinstance(value, numbers.Real):
            raise ModelError(
                f"flame.report_metrics takes numbers, and got one of type {type(value).__name__}; "
                "float(...) makes a number of an array with one entry",
                detail=repr(name),
            )
    if len(metrics) > MOST:
        raise ModelError(f"flame.report_metrics takes at most {MOST} numbers a round")
    return {name: _number(value, "flame.report_metrics got") for name, value in metrics.items()}


def check_names(names: Iterable[Any], where: str) -> None:
    """Refuse metrics that a strategy declares under names that none can have.

    Parameters
    ----------
    names : iterable of str
        Those it declares.
    where : str
        What declares them, for the message.

    Raises
    ------
    ModelError
        A name is not allowed, or is one of :data:`RESERVED`.
    """
    for name in names:
        if not _is_name(name):
            raise ModelError(f"{where}: {name!r}: {_NAMES}")
        if name in RESERVED:
            raise ModelError(f"{where}: {name!r} {_TAKEN}")


def readable(
    metrics: Mapping[Any, Any], *, reserved: frozenset[str] = RESERVED, most: int = MOST
) -> dict[str, float]:
    """Return the valid metrics among what a node sent; the others are left out.

    Parameters
    ----------
    metrics : dict
        What came.
    reserved : frozenset of str
        Names that are taken.
    most : int
        How many there may be.
    """
    found = {
        name: value
        for name, value in metrics.items()
        if name not in reserved
        and _is_name(name)
        and isinstance(value, int | float)
        and not isinstance(value, bool)  # which is an int, and no number to plot
        and (isinstance(value, float) or -(2**63) <= value < 2**63)
    }
    return found if len(found) <= most else dict(list(found.items())[:most])


def is_of_tests(name: str) -> bool:
    """Tell whether a metric is a score of test data, by its name: ``test_loss``."""
    return name.startswith("test_")


def rows_tested(*said: Any) -> float | None:
    """Return how many rows a node has tested with, as the first that says so has it.

    Parameters
    ----------
    *said : Any
        What it returned or reported: dicts, or anything else.
    """
    for each in said:
        count: Any = each.get(TEST_ROWS) if isinstance(each, dict) else None
        if count is None:
            continue
        if getattr(count, "shape", None) == ():  # an array of one number, as PyTorch gives
            count = count.item()
        if isinstance(count, numbers.Real) and not isinstance(count, bool):
            try:
                number = float(count)
            except OverflowError:
                return None
            return number if math.isfinite(number) and number >= 0 else None
    return None


def _is_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name.strip()) <= len(name) <= LONGEST
        and name.isprintable()
        and not name.strip().startswith(FORMULA)  # spreadsheets skip spaces before a formula
    )


def _number(value: Any, where: str) -> float:
    if not isinstance(value, numbers.Integral):
        return float(value)
    if not -(2**63) <= int(value) < 2**63:  # Flower's MetricRecord would not encode it
        raise ModelError(f"{where} an integer of more than 64 bits")
    return int(value)
