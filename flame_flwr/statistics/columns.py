"""The statistics that `describe` keeps for a column of numbers, dates or labels."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import DataError, ModelError
from flame_flwr.statistics.minmax import MinMax
from flame_flwr.statistics.moments import Moments
from flame_flwr.statistics.quantiles import Quantiles
from flame_flwr.statistics.value_counts import ValueCounts
from flame_flwr.statistics.values import days, is_numeric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.labels import Label
    from flame_flwr.statistics.base import Statistic
    from flame_flwr.statistics.counts import RowCount

__all__ = ["DATE", "LABEL", "NUMBER", "QUARTILES", "figures", "merged_column", "of_column"]

Parts = tuple["Statistic", ...]

_MOST_LABELS = 50

NUMBER: tuple[type[Statistic], ...] = (Moments, Quantiles, MinMax)
DATE: tuple[type[Statistic], ...] = (Moments, MinMax)
LABEL: tuple[type[Statistic], ...] = (ValueCounts,)
QUARTILES = ("25%", "50%", "75%")
_EPOCH = datetime(1970, 1, 1)


def of_column(name: str, values: Any, labels: Sequence[Label] | None) -> Parts:
    """Return the statistics of a column, with its labels where these are declared.

    Raises
    ------
    DataError
        It has more different labels than a column of codes has, or what can be no label.
    """
    if labels is None and is_numeric(values):
        return tuple(kind.from_data(values) for kind in NUMBER)
    dates = days(values) if labels is None else None
    if dates is not None:
        return tuple(kind.from_data(dates) for kind in DATE)
    try:
        counts = ValueCounts.from_data(values, labels)
    except DataError as error:
        raise DataError(f"describe: {error.message}", detail=name) from error
    if counts.visible.cells > _MOST_LABELS and labels is None:
        raise DataError(
            f"describe: a column has more than {_MOST_LABELS} different labels, as names or free "
            "text have, and they would leave this node: leave it out, or declare its labels",
            detail=name,
        )
    return (counts,)


def merged_column(name: str, one: tuple[Parts, RowCount], two: tuple[Parts, RowCount]) -> Parts:
    """Return a column's statistics at two nodes together, each given with its table's rows.

    Raises
    ------
    ModelError
        It has numbers, dates or labels at one and something else at the other, or other labels.
    """
    pairs = zip(*_alike(name, one, two), strict=True)  # (Moments, Moments), and so on
    try:
        return tuple(a.merge(b) for a, b in pairs)
    except ModelError as error:
        detail = f"the column {name}" + (f": {error.detail}" if error.detail else "")
        raise ModelError(error.message, detail=detail) from error


def _alike(
    name: str,
    one: tuple[Parts, RowCount],
    two: tuple[Parts, RowCount],
) -> list[Parts]:
    """Return a column's statistics at two nodes, an empty one in the other's kind."""
    kinds = [tuple(map(type, parts)) for parts, _ in (one, two)]
    if kinds[0] == kinds[1]:
        return [one[0], two[0]]
    wanted = [kind for kind, (parts, _) in zip(kinds, (one, two), strict=True) if not _empty(parts)]
    if len(wanted) > 1:
        words = {NUMBER: "numbers", DATE: "dates", LABEL: "labels"}
        found = [words[kind] for kind in sorted(wanted, key=len, reverse=True)]
        raise ModelError(
            f"Description: a column has {' at one node and '.join(found)} at another: convert it "
            "before it is described",
            detail=f"the column {name}",
        )
    kind = wanted[0] if wanted else min(kinds, key=len)  # labels before dates before numbers
    return [_emptied(*one, kind), _emptied(*two, kind)]


def _empty(parts: Parts) -> bool:
    """Tell whether nothing of a column's values is known."""
    if isinstance(parts[0], ValueCounts):
        return parts[0].declared is None and not parts[0].visible.cells
    return not any(part.size for part in parts)


def _emptied(parts: Parts, rows: RowCount, kind: tuple[type[Statistic], ...]) -> Parts:
    """Return a column without values in another kind; the missing ones are counted as labels."""
    if tuple(map(type, parts)) == kind:
        return parts
    suppressed = max(part.suppressed for part in parts)  # what was withheld stays known as such
    if kind != LABEL:
        return tuple(one.zero()._changed(suppressed=suppressed) for one in kind)
    known = not suppressed and not rows.suppressed
    entries = ((None, rows.rows if known else 0, 0),)
    return (ValueCounts(None, entries, suppressed=0 if known else max(suppressed, 1)),)


def figures(parts: Parts) -> dict[str, Any]:
    """Return the figures of a column by name."""
    if isinstance(parts[0], ValueCounts):
        return {**_label_figures(parts[0]), "suppressed": parts[0].suppressed}
    if len(parts) == len(DATE):
        moments, extremes = (part.result() for part in parts)
        return {
            "count": moments["n"],
            "mean": _date(moments["mean"]),
            "std": moments["std"],
            "min": _date(extremes["min"]),
            "max": _date(extremes["max"]),
            "suppressed": moments["suppressed"],
            "range_withheld_at": extremes["suppressed"],
            "noisy_at": extremes["noisy_at"],
        }
    moments, quantiles, extremes = (part.result() for part in parts)
    return {
        "count": moments["n"],
        "mean": moments["mean"],
        "std": moments["std"],
        "min": extremes["min"],
        **dict(zip(QUARTILES, _within(quantiles["values"], extremes), strict=True)),
        "max": extremes["max"],
        "suppressed": max(moments["suppressed"], quantiles["suppressed"]),
        "range_withheld_at": extremes["suppressed"],
        "coarsened_at": quantiles["coarsened_at"],
        "noisy_at": max(quantiles["noisy_at"], extremes["noisy_at"]),
    }


def _within(values: list[float | None], extremes: dict[str, Any]) -> list[float | None]:
    """Return sketched quartiles, none of them outside the smallest and the largest value.

    These two are known only where no node kept its own back.
    """
    low, high = extremes["min"], extremes["max"]
    if low is None or extremes["suppressed"]:
        return values
    return [None if value is None else min(max(value, low), high) for value in values]


def _date(since: float | None) -> str | None:
    """Return days since 1970 as a date, with the time of day where it is not midnight."""
    try:
        found = None if since is None else _EPOCH + timedelta(days=since)
    except OverflowError:  # as where noise was added
        return None
    return None if found is None else found.isoformat().removesuffix("T00:00:00")


def _label_figures(counts: ValueCounts) -> dict[str, Any]:
    """Return what of a column of labels is known; ``None`` where a node withheld some."""
    found = counts.result()
    outside = {"other": found["other"]} if counts.declared is not None else {}
    pairs = list(zip(found["labels"], found["known"], strict=True))
    known = not counts.suppressed
    label, most = max(pairs, key=lambda pair: pair[1], default=(None, None))
    return {
        "count": sum(found["known"]) + found["other"] if known else None,
        "unique": sum(count > 0 for _, count in pairs) if known else None,
        "top": label if known else None,
        "freq": most if known else None,
        **outside,
    }
