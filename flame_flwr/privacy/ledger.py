"""A node's ledger: what has left of each dataset for each project, and how much more may.

This is what it says, as text and back. The node's file is :mod:`flame_flwr.node.ledger_file`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from typing import Any, Self

from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.privacy.answer_cost import Cost

__all__ = ["Account", "Ledger", "LedgerLimits"]

_VERSION = 1
_PER_DAY = (
    "the hospital lets one of this node's datasets be answered about so many times a day, for all "
    "projects together, and it was today (`answers-per-day` in this node's config or registry). It "
    "answers again after midnight, UTC"
)
_SPENT = (
    "the privacy budget of one of this node's datasets is spent, by all projects together, or this "
    "answer would need more than is left (`epsilon-total` in this node's config or registry). The "
    "hospital decides whether there is more"
)


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """How much may leave of a dataset, for all projects together; 0 is no limit.

    Parameters
    ----------
    answers_per_day : int
        How many answers a day, by UTC.
    epsilon_total : float
        Of all answers that ever leave.
    """

    answers_per_day: int = 0
    epsilon_total: float = 0.0

    def any(self) -> bool:
        """Tell whether there is a limit."""
        return bool(self.answers_per_day or self.epsilon_total)


@dataclass(frozen=True, slots=True)
class Account:
    """What has left of one dataset for one project.

    Parameters
    ----------
    dataset, project : str
        Whose account it is.
    answers : int
        How many answers have left.
    cost : Cost
        What all of them cost together.
    day : str
        The day of the last one, by UTC.
    today : int
        How many have left on that day.
    """

    dataset: str
    project: str
    answers: int = 0
    cost: Cost = field(default_factory=Cost)
    day: str = ""
    today: int = 0

    def with_answer(self, cost: Cost, day: str) -> Self:
        """Return it with one answer more."""
        today = self.today if day == self.day else 0
        return replace(
            self, answers=self.answers + 1, cost=self.cost + cost, day=day, today=today + 1
        )

    def on(self, day: str) -> int:
        """Return how many answers have left on a day, as far as the account still knows."""
        return self.today if day == self.day else 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The accounts of a node.

    Parameters
    ----------
    accounts : dict
        By dataset and project.

    Examples
    --------
    >>> ledger = Ledger().with_answer(["ward"], "halta", Cost(figures=3), "2026-11-30")
    >>> ledger.of("ward")
    (1, Cost(figures=3, pure=0.0, shift=0.0, delta=1e-05, extremes=0, exact=0))
    >>> Ledger.parse(ledger.text()) == ledger
    True
    """

    accounts: Mapping[tuple[str, str], Account] = field(default_factory=dict)

    def of(self, dataset: str) -> tuple[int, Cost]:
        """Return how many answers have left of a dataset for all projects, and what they cost."""
        own = [each for each in self.accounts.values() if each.dataset == dataset]
        return sum(each.answers for each in own), sum((each.cost for each in own), Cost())

    def with_answer(self, datasets: Iterable[str], project: str, cost: Cost, day: str) -> Self:
        """Return it with one answer more, which is of all these datasets."""
        accounts = dict(self.accounts)
        for dataset in datasets:
            key = dataset, project
            accounts[key] = accounts.get(key, Account(*key)).with_answer(cost, day)
        return replace(self, accounts=accounts)

    def check(self, limits: Mapping[str, LedgerLimits], day: str) -> None:
        """See that one more answer about datasets is within their limits.

        Raises
        ------
        NodeFailedError
            A limit of one of them is reached.
        """
        for dataset, most in limits.items():
            today = sum(each.on(day) for each in self.accounts.values() if each.dataset == dataset)
            if most.answers_per_day and today >= most.answers_per_day:
                raise NodeFailedError(_PER_DAY, detail=f"{dataset}: {today} answers")
            if most.epsilon_total and self.of(dataset)[1].epsilon >= most.epsilon_total:
                raise NodeFailedError(_SPENT, detail=dataset)

    def check_cost(self, limits: Mapping[str, LedgerLimits], cost: Cost) -> None:
        """See that the privacy budgets of datasets have enough left for an answer.

        Raises
        ------
        NodeFailedError
            One has not.
        """
        for dataset, most in limits.items():
            # of the sum, not the sum of epsilons: Gaussian mechanisms cost less together
            together = (self.of(dataset)[1] + cost).epsilon if most.epsilon_total else 0.0
            if together > most.epsilon_total:
                raise NodeFailedError(
                    _SPENT, detail=f"{dataset}: epsilon {together:.3g} of {most.epsilon_total:g}"
                )

    def text(self) -> str:
        """Return it for :meth:`parse`."""
        said = [asdict(each) for each in self.accounts.values()]
        return json.dumps({"version": _VERSION, "accounts": said}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what :meth:`text` has written.

        Raises
        ------
        ConfigError
            It is anything else; none of it counts then.
        """
        try:
            said = json.loads(text)
            if said.keys() != {"version", "accounts"} or said["version"] != _VERSION:
                raise ValueError("it is of another version")
            accounts = [_account(each) for each in said["accounts"]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ConfigError(f"it is not what a node writes: {error}") from error
        return cls({(each.dataset, each.project): each for each in accounts})


def _account(said: dict[str, Any]) -> Account:
    cost = Cost(**said.pop("cost"))
    account = Account(**said, cost=cost)
    for of in (account, cost):
        for each in fields(of):
            _check(getattr(of, each.name), str(each.type))
    if account.day:
        date.fromisoformat(account.day)
    return account


def _check(value: object, kind: str) -> None:
    """Refuse a value of another type, and numbers that JSON knows and no account: nan and -1."""
    kinds = {"str": str, "int": int, "float": float, "Cost": Cost}
    if type(value) is not kinds[kind]:
        raise TypeError(f"{value!r} is no {kind}")
    if isinstance(value, int | float) and not 0 <= value < math.inf:
        raise ValueError(f"{value!r} cannot be")
