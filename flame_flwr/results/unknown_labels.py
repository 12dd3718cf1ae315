"""A warning on the server where values of a node fit none of the labels of its statistic."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from flame_flwr.statistics.base import Statistic

__all__ = ["UnknownLabels"]

_DEEPEST = 8
_MOST = 20


@dataclass(slots=True)
class UnknownLabels:
    """Warns once per node and statistic, not in every round, and of so many of a node at most."""

    _said: dict[str, set[str]] = field(default_factory=dict)

    def note(self, node: str, number: int, value: object) -> None:
        """Log how many values fit no label in the statistics of a node's answer.

        Where the node's disclosure rules withhold the number, only that they do.
        """
        for place, statistic in _statistics(value, _DEEPEST, ()):
            count = statistic.visible.unfitted
            if count == 0:
                continue
            if count is None:  # withheld, and it may be 0: the whole group may be too small
                text = "values may fit no label: how many is withheld"
            else:
                many = "1 value fits" if count == 1 else f"{count} values fit"
                text = f"{many} no label: counted as `other`"
            where = f" at {'.'.join(place)}" if place else ""
            text = f"in a {type(statistic).__name__}{where} {text}"
            said = self._said.setdefault(node, set())
            if text not in said and len(said) < _MOST:
                said.add(text)
                logger.warning("round %d, %s: %s", number, node, text)


def _statistics(
    value: Any, depth: int, place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Statistic]]:
    """Give each statistic with the keys of dicts that lead to it, which are a stranger's."""
    base = sys.modules.get("flame_flwr.statistics.base")  # nothing can be one without it
    if base is None or depth == 0:
        return
    if isinstance(value, base.Statistic):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _statistics(item, depth - 1, (*place, one_line(key, 30)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _statistics(item, depth - 1, place)
