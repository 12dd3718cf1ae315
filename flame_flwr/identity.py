"""Who a node is and who else takes part: fixed at hello, the same in every round."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

__all__ = ["AGGREGATOR_ID", "Identity", "Role"]

Role = Literal["default", "aggregator"]

AGGREGATOR_ID = "aggregator"


@dataclass(frozen=True, slots=True)
class Identity:
    """One participant's view of an analysis.

    Parameters
    ----------
    id : str
        The participant's own id.
    analyzers : tuple of str
        The ids of all analyzer nodes, in participant order.
    analysis_id, project_id : str
        What ``flame.get_analysis_id()`` and ``flame.get_project_id()`` return.

    Examples
    --------
    >>> Identity("node-0", ("node-0", "node-1")).partners()
    ['node-1', 'aggregator']
    """

    id: str
    analyzers: tuple[str, ...]
    analysis_id: str = "analysis"
    project_id: str = "project"

    @property
    def role(self) -> Role:
        """``'aggregator'`` for the aggregator, ``'default'`` for every analyzer."""
        return "aggregator" if self.id == AGGREGATOR_ID else "default"

    def partners(self) -> list[str]:
        """Return the ids of every other participant, analyzers first, in a new list."""
        partners = list(self.analyzers)
        with suppress(ValueError):  # by one search and not node by node: there may be a thousand
            del partners[self.analyzers.index(self.id)]
        if self.role == "default":
            partners.append(AGGREGATOR_ID)
        return partners
