"""A warning on the server where values of a node fit none of the labels of its statistic."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger

if TYPE_CHECKING:
    from flame_flwr.statistics.base import Statistic

__all__ = ["UnknownLabels"]

_DEEPEST = 8


@dataclass(slots=True)
class UnknownLabels:
    """Warns once per node and kind of statistic, not in every round."""

    _said: set[tuple[str, str]] = field(default_factory=set)

    def note(self, node: str, number: int, value: object) -> None:
        """Log how many values fit no label in the statistics of a node's answer.

        Where the node's disclosure rules withhold the number, only that they do.
        """
        for statistic in _statistics(value, _DEEPEST):
            count = statistic.visible.unfitted
            if count == 0:
                continue
            if count is None:  # withheld, and it may be 0: the whole group may be too small
                text = "values may fit no label: how many is withheld"
            else:
                many = "1 value fits" if count == 1 else f"{count} values fit"
                text = f"{many} no label: counted as `other`"
            kind = type(statistic).__name__
            if (node, f"{kind}{text}") not in self._said:
                self._said.add((node, f"{kind}{text}"))
                logger.warning("round %d, %s: in a %s %s", number, node, kind, text)


def _statistics(value: Any, depth: int) -> Iterator[Statistic]:
    base = sys.modules.get("flame_flwr.statistics.base")  # nothing can be one without it
    if base is None or depth == 0:
        return
    if isinstance(value, base.Statistic):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _statistics(item, depth - 1)
