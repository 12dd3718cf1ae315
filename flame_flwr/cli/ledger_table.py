"""What ``flame-flwr node ledger`` prints: what has left of each dataset, for each project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.cli.say import head, say
from flame_flwr.cli.tables import print_table
from flame_flwr.clients.node_data import registered
from flame_flwr.node.ledger_file import limits_of, today
from flame_flwr.text.shown_text import shown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flame_flwr.config import NodeSettings
    from flame_flwr.privacy.answer_cost import Cost
    from flame_flwr.privacy.ledger import Account, Ledger, LedgerLimits

__all__ = ["show_ledger"]

_TITLES = ("project", "answers", "today", "figures", "no noise", "min-max", "epsilon")


def show_ledger(settings: NodeSettings, ledger: Ledger) -> None:
    """Print a table for each dataset.

    Parameters
    ----------
    settings : NodeSettings
        Of the node; what limits there are.
    ledger : Ledger
        What has left.
    """
    limits, day = limits_of(settings, registered(settings)), today()
    datasets = dict.fromkeys((*limits, *sorted(each.dataset for each in ledger.accounts.values())))
    for place, dataset in enumerate(datasets):
        if place:
            say("")
        head(shown_text(dataset))
        own = [each for each in ledger.accounts.values() if each.dataset == dataset]
        if own:
            rows = [*(_row(each, day) for each in own), *_together(own, ledger, day)]
            print_table(_TITLES, rows, numbers=_TITLES[1:])
        else:
            say("nothing has left")
        if words := ", ".join(_limits(limits.get(dataset))):
            say(f"at most {words}, all projects together")


def _row(account: Account, day: str) -> list[str]:
    project = shown_text(account.project) or "(no approval asked)"
    return _cells(project, account.answers, account.on(day), account.cost)


def _together(own: Sequence[Account], ledger: Ledger, day: str) -> Iterator[list[str]]:
    """Give the line of all projects, where there are several."""
    if len(own) > 1:
        answers, cost = ledger.of(own[0].dataset)
        yield _cells("all projects", answers, sum(each.on(day) for each in own), cost)


def _cells(project: str, answers: int, on_this_day: int, cost: Cost) -> list[str]:
    numbers = (answers, on_this_day, cost.figures, cost.exact, cost.extremes)
    return [project, *(f"{number:,}" for number in numbers), f"{cost.epsilon:.3g}"]


def _limits(limits: LedgerLimits | None) -> Iterator[str]:
    if limits is not None and limits.answers_per_day:
        yield f"{limits.answers_per_day:,} answers a day"
    if limits is not None and limits.epsilon_total:
        yield f"epsilon {limits.epsilon_total:g}"
