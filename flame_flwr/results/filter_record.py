"""Records the filters that nodes applied to their results, and the privacy budget they spent.

It is what the nodes say of themselves, for ``run.json`` and the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger
from flame_flwr.text.foreign_json import OddReportError, read_json
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from flame_flwr.privacy.budget import Budget

__all__ = ["FilterRecord", "read_names", "read_report"]

_LONGEST = 20_000
_LONGEST_LINE = 300
_MOST_FILTERS = 50
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
            # The node's own count is larger where an answer was lost on the way: the noise of that
            # one was spent all the same.
            answers = entry.get("answers")
            if isinstance(answers, int) and one.reported < answers <= _MOST:
                one.reported = answers

    def _filter(self, node: str, position: int, about: dict[str, Any]) -> _Filter:
        """Return a node's filter. One whose settings have changed since a checkpoint is another."""
        known = self.nodes.setdefault(node, [])
        for one in known:
            if (one.position, one.about) == (position, about):
                return one
        one = _Filter(position, about)
        # A node that names other filters every time would grow the record without end.
        if len(known) < _MOST_FILTERS:
            known.append(one)
        return one

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
        # All that was spent before is one number now; the counts of this run start at 0.
        for one in (one for filters in self.nodes.values() for one in filters):
            one.before, one.counted, one.reported = one.answers, 0, 0


def read_report(text: object) -> list[dict[str, Any]]:
    """Read what a node sent about its filters; nothing of a node that sent nothing.

    Raises
    ------
    OddReportError
        It is no report of filters.
    """
    if not text:
        return []
    from flame_flwr.privacy.budget import Mechanism

    what, found = "its report of filters", _items(text, "its report of filters")
    for each in found:
        if not (isinstance(each, dict) and _is_short_name(each.get("filter"))):
            raise OddReportError(f"{what} has an entry that is no filter")
        if each.get("mechanism") is not None and Mechanism.from_json(each["mechanism"]) is None:
            raise OddReportError(f"{what} has a privacy mechanism that there is not")
    return [_shown(each) for each in found]


def read_names(text: object) -> list[str]:
    """Read the names of disclosure rules that a node sent; nothing of one that sent nothing.

    Raises
    ------
    OddReportError
        They are no names of rules.
    """
    found = _items(text, "its list of disclosure rules")
    if not all(_is_short_name(name) for name in found):
        raise OddReportError("its list of disclosure rules has what is no rule's name")
    return found


def _shown(said: Any) -> Any:
    """Return what a node says with each of its texts as one line."""
    if isinstance(said, dict):
        return {one_line(key, _LONGEST_LINE): _shown(value) for key, value in said.items()}
    if isinstance(said, list):
        return [_shown(value) for value in said]
    return one_line(said, _LONGEST_LINE) if isinstance(said, str) else said


def _items(text: object, what: str) -> list[Any]:
    items = read_json(text, what, _LONGEST) if text else []
    if not isinstance(items, list) or len(items) > _MOST_FILTERS:
        raise OddReportError(f"{what} is no list of a few")
    return items


def _is_short_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and len(name) <= 100
