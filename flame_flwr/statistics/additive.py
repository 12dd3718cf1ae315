"""A statistic as numbers to add up and what is alike at every node: for secure sums.

Its fields say so themselves, each with its grid; see :mod:`.fields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.grid import Grid
from flame_flwr.errors import ModelError
from flame_flwr.statistics.base import Statistic, kind_named, own_kinds
from flame_flwr.statistics.exact_sums import unpack_exact
from flame_flwr.statistics.merging_and_withholding import rules_of

if TYPE_CHECKING:
    from flame_flwr.statistics.merging_and_withholding import Summand

__all__ = ["is_additive", "joined", "own_sums", "split", "split_form"]


def is_additive(kind: type[Any]) -> bool:
    """Tell whether merging statistics of a class is adding numbers up."""
    # who merges in a way of their own may do more than their fields' rules say
    if not issubclass(kind, Statistic) or kind.merge is not Statistic.merge:
        return False
    return all(rule.is_additive for rule in rules_of(kind).values())


def split(statistic: Statistic) -> tuple[dict[str, Any], list[Summand]]:
    """Return what is in clear of a statistic in a secure sum, and its numbers with their grids.

    Raises
    ------
    ModelError
        Merging it is not addition; or labels are not declared.

    Examples
    --------
    >>> from flame_flwr.statistics import RowCount
    >>> clear, sums = split(RowCount(7))
    >>> clear
    {'statistic': 'RowCount', 'suppressed': None, 'rows': None}
    >>> joined(clear, iter([number for _, number in sums]))
    RowCount(rows=7)
    """
    kind = type(statistic)
    if not is_additive(kind):
        raise ModelError(
            f"{kind.__name__} is no sum, so it cannot be summed securely: use statistics that add "
            "up, such as Moments, Histogram, ValueCounts with labels or KaplanMeier"
        )
    sums: list[Summand] = []
    rules = rules_of(kind).items()
    clear = {name: rule.split(getattr(statistic, name), sums) for name, rule in rules}
    return {"statistic": kind.wire_name, **clear}, sums


def own_sums() -> dict[str, Any]:
    """Return how statistics of a user's own classes add up, by the name under which they travel.

    A node's gate has not these classes, so where the analysis runs tells it this.
    """
    return {
        name: {field: rule.how() for field, rule in rules_of(kind).items()}
        for name, kind in own_kinds().items()
        if is_additive(kind)
    }


def split_form(
    name: str, form: Any, how: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Summand]]:
    """Return what :func:`split` does, of a statistic whose class is not here.

    Parameters
    ----------
    name : str
        Under which it travels.
    form : mapping
        What ``to_json`` has made of it; taken as hostile, as is `how`.
    how : mapping
        Of its class, as :func:`own_sums` gives it.

    Raises
    ------
    ModelError
        They do not go together.
    """
    sums: list[Summand] = []
    try:
        clear = _split_fields(form, how, sums)
    # whatever a forged form or a forged rule runs into
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError("a statistic is not of the form that its class declares") from error
    return {"statistic": name, **clear}, sums


def joined(clear: Mapping[str, Any], sums: Iterator[Any]) -> Statistic:
    """Return the statistic of what :func:`split` gave, with sums in place of its numbers.

    Parameters
    ----------
    clear : mapping
        May have gone through JSON; taken as hostile.
    sums : iterator
        Whole numbers, and fractions where the grid has them.

    Raises
    ------
    ModelError
        There is no such statistic.
    """
    kind, parts = kind_named(clear.get("statistic")), _tuples(dict(clear))
    rules = {} if kind is None else rules_of(kind)
    if kind is None or not is_additive(kind) or parts.keys() != {"statistic", *rules}:
        raise ModelError("this is not the form of a statistic that adds up")
    try:
        return kind(**{name: rule.joined(parts[name], sums) for name, rule in rules.items()})
    except (TypeError, ValueError, AttributeError, StopIteration) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"the form of a {kind.__name__} is not one") from error


def _tuples(form: Any) -> Any:
    """Return a form that has gone through JSON with tuples, as statistics have them."""
    if isinstance(form, list | tuple):
        return tuple(map(_tuples, form))
    return {key: _tuples(part) for key, part in form.items()} if isinstance(form, dict) else form


def _split_fields(form: Any, how: Mapping[str, Any], sums: list[Summand]) -> dict[str, Any]:
    return {field: _split(form[field], each, sums) for field, each in how.items()}


def _split(form: Any, how: Any, sums: list[Summand]) -> Any:
    if how == "clear":
        return form
    if isinstance(how, list):
        sums.append((Grid(*how), unpack_exact(form["exact"]) if isinstance(form, dict) else form))
        return None
    [(kind, inner)] = how.items()
    if kind == "each":
        return [_split(item, inner, sums) for item in form]
    return list(_split_fields(form, inner, sums).values())
