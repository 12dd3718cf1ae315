"""Saying on the server what values of the nodes fit none of the labels of a statistic."""

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
    """What was said, so that it is said once and not in every round."""

    _said: set[tuple[str, str]] = field(default_factory=set)

    def note(self, node: str, number: int, value: object) -> None:
        """Log how many values fit no label in the statistics of a node's answer.

        Only what the node's disclosure rules let through; of what they withheld, that they did.
        """
        for statistic in _statistics(value, _DEEPEST):
            count = statistic.unfitted
            if count == 0:
                continue
            if count is None:  # withheld; as of a group that is too small as a whole, it may be 0
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
