"""How statistics are shown to people: figures rounded, long lists cut, what is unknown empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from flame_flwr.statistics.description import Description

__all__ = ["shown_figures", "shown_table", "shown_title"]

_MOST = 10
"""Of a list."""


def shown_figures(figures: Mapping[str, Any]) -> str:
    """Return figures by name, without those that are 0 because nothing was altered.

    Examples
    --------
    >>> shown_figures({"n": 3, "mean": 2 / 3, "suppressed": 0})
    'n=3, mean=0.666667'
    """
    return ", ".join(
        f"{name}={_figure(value)}"
        for name, value in figures.items()
        if _any(value) or not name.endswith(("suppressed", "_at"))
    )


def shown_title(description: Description) -> str:
    """Return what a description's table is of."""
    suppressed = description.suppressed
    nodes = f"{suppressed} node{'s' if suppressed > 1 else ''}"
    withheld = f", withheld in part or wholly at {nodes}" if suppressed else ""
    return f"Description of {description.rows.rows} rows{withheld}"


def shown_table(description: Description) -> pd.DataFrame:
    """Return a description's table with texts in place of figures."""
    return description.to_frame().map(_cell)


def _any(value: Any) -> bool:
    values = value.values() if isinstance(value, Mapping) else value
    return any(values) if isinstance(values, Iterable) else bool(values)


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        pairs = [f"{name!r}: {_figure(one)}" for name, one in value.items()]
        return f"{{{', '.join(_first(pairs))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_first([_figure(one) for one in value]))}]"
    return repr(value)


def _first(parts: list[str]) -> list[str]:
    return parts if len(parts) <= _MOST else [*parts[: _MOST - 1], f"... {len(parts)}"]


def _cell(value: Any) -> str:
    if value != value:
        return ""
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """Round to six digits, of large numbers to whole ones: a sum or a maximum is read as it is."""
    return f"{value:.0f}" if 999_999.5 <= abs(value) < 1e15 else f"{value:.6g}"
