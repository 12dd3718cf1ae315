"""What nodes did to their results before they left, and the privacy budget that they have spent.

It is what the nodes say of themselves, for ``run.json`` and the log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger

if TYPE_CHECKING:
    from flame_flwr.privacy.budget import Budget

__all__ = ["FilterRecord", "read_names", "read_report"]

_LONGEST = 20_000
_MOST = 10**9
_NOTE = "for any two data sets of this node, on the arrays that were filtered"


@dataclass(slots=True)
class _Filter:
    """One filter of a node: what the node says of it, and how many answers it has acted on."""

    position: int
    about: dict[str, Any]
    before: int = 0
    counted: int = 0
    reported: int = 0

    @property
    def answers(self) -> int:
        """All answers that may have left: also those of runs before, and those never counted."""
        return self.before + max(self.counted, self.reported)


@dataclass(slots=True)
class FilterRecord:
    """The filters of a run, per node; empty without any."""

    nodes: dict[str, list[_Filter]] = field(default_factory=dict)

    def note(self, node: str, report: list[dict[str, Any]]) -> None:
        """Count one answer.

        Parameters
        ----------
        node : str
            Its id.
        report : list of dict
            What its filters say, see :meth:`flame_flwr.privacy.filter_chain.FilterChain.report`;
            ``answers`` counts those that left, also where the server has not got them.
        """
        for position, entry in enumerate(report):
            about = {k: value for k, value in entry.items() if k not in ("applied", "answers")}
            one = self._filter(node, position, about)
            one.counted += bool(entry.get("applied"))
            # The node's own count is larger where an answer was lost on the way.
            answers = entry.get("answers")
            if isinstance(answers, int) and one.reported < answers <= _MOST:
                one.reported = answers

    def _filter(self, node: str, position: int, about: dict[str, Any]) -> _Filter:
        """Return a node's filter. One whose settings have changed since a checkpoint is another."""
        known = self.nodes.setdefault(node, [])
        for one in known:
            if (one.position, one.about) == (position, about):
                return one
        known.append(_Filter(position, about))
        return known[-1]

    def budgets(self) -> dict[str, Budget]:
        """Return what every node has spent; a node without noise is not among them."""
        if not self.nodes:
            return {}
        from flame_flwr.privacy.budget import Mechanism, spent

        found = {}
        for node, filters in self.nodes.items():
            costs = [(Mechanism.from_json(f.about.get("mechanism")), f.answers) for f in filters]
            releases = [(cost, answers) for cost, answers in costs if cost is not None and answers]
            if releases:
                found[node] = spent(releases)
        return found

    def log_budgets(self) -> None:
        """Say what has been spent, once for all nodes that have spent the same."""
        groups: dict[Budget, list[str]] = {}
        for node, budget in self.budgets().items():
            groups.setdefault(budget, []).append(node)
        for budget, nodes in groups.items():
            who = nodes[0] if len(nodes) == 1 else f"each of {len(nodes)} nodes"
            if budget.epsilon is None:
                logger.warning(
                    "privacy budget of the filters, %s: unknown, as dp-accounting is not installed "
                    "here (pip install 'flame-flwr[dp]')",
                    who,
                )
            else:
                logger.info(
                    "privacy budget of the filters, %s: epsilon %.4g, delta %g, %s",
                    who,
                    budget.epsilon,
                    budget.delta,
                    _NOTE,
                )

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return, per node, its filters in order, and epsilon and delta where it has noise."""
        budgets = self.budgets()
        about: dict[str, dict[str, Any]] = {}
        for node, filters in self.nodes.items():
            about[node] = {"filters": [{**one.about, "answers": one.answers} for one in filters]}
            if node in budgets:
                spent = budgets[node]
                about[node] |= {"epsilon": spent.epsilon, "delta": spent.delta, "holds": _NOTE}
        return about

    def go_on(self) -> None:
        """Count from what nodes have spent in the runs before this one."""
        for one in (one for filters in self.nodes.values() for one in filters):
            one.before, one.counted, one.reported = one.answers, 0, 0


def read_report(text: object) -> list[dict[str, Any]]:
    """Read what a node sent about its filters; nothing where it cannot be read."""
    return [each for each in _items(text) if isinstance(each, dict) and "filter" in each]


def read_names(text: object) -> list[str]:
    """Read the names of disclosure rules that a node sent; nothing where it cannot be read."""
    return [name for name in _items(text) if isinstance(name, str) and name.isidentifier()]


def _items(text: object) -> list[Any]:
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        return []
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return items if isinstance(items, list) else []
