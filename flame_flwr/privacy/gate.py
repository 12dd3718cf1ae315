"""The gate: what every result of a node passes before it leaves.

One object holds what protects a hospital: its disclosure rules and its filters, joined with those
that the study declares. It runs where the hospital's own program is, in the process of
``flame-flwr node start``, and in an analysis's process only where there is no other: in a
simulation, in process and on Flower's own SuperNode. It takes what an analysis returns as a
stranger's, and runs nothing of the analysis's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError, PayloadError
from flame_flwr.log import logger
from flame_flwr.payload import Payload, encode
from flame_flwr.payload.opaque import holds_pickle, look_into
from flame_flwr.payload.sparse_change import holds_sparse_change
from flame_flwr.privacy.disclosure import (
    apply_rules,
    check_numbers_of,
    encode_allowed,
    joint_rules,
    statistics_in,
)
from flame_flwr.privacy.figure_account import FigureAccount
from flame_flwr.privacy.figure_columns import tell_columns
from flame_flwr.privacy.filter_chain import FilterChain
from flame_flwr.privacy.rule_tally import RuleTally
from flame_flwr.privacy.rules import is_strict
from flame_flwr.privacy.sparse_changes import made_dense
from flame_flwr.privacy.study_declaration import of_strict_node

if TYPE_CHECKING:
    from flame_flwr.data.mismatch import Mismatch
    from flame_flwr.privacy.disclosure_rule import DisclosureRule
    from flame_flwr.privacy.study_declaration import Study
    from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["MUST_MASK", "Gate", "Passed", "findings_that_leave"]

MUST_MASK = (
    "the answer would leave unmasked, and this analysis, or this node's config, lets secure sums "
    "out only: declare secure=True, and let the server run it so"
)


@dataclass(frozen=True, slots=True)
class Passed:
    """A result as it may leave, with what has been done to it.

    Attributes
    ----------
    payload : Payload
        The result.
    rules : tuple of str
        The names of the rules that it went through, in the order in which they acted.
    filters : tuple of dict
        What each filter says of itself, and whether it has acted.
    unseen : str
        For the node's audit log: how many parts the rules could not look into, and of how many
        people the analysis says that they are.
    withheld : mapping of str to mapping of str to int
        Likewise: how much the rules kept back, as
        :meth:`flame_flwr.privacy.rule_tally.RuleTally.to_json` has it.
    people : int or None
        How many people the data is about, where that is known and the rules let it be said.
    """

    payload: Payload
    rules: tuple[str, ...] = ()
    filters: tuple[Mapping[str, Any], ...] = ()
    unseen: str = ""
    withheld: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    people: int | None = None

    def noted(self) -> dict[str, Any]:
        """Return what the node's audit log says of it, and nobody else."""
        said = {"unseen": self.unseen, "withheld": self.withheld}
        return {key: value for key, value in said.items() if value}

    def said(self) -> dict[str, str]:
        """Return what travels beside the result: nothing where nothing was done."""
        said = {}
        if self.filters:
            said["filters"] = json.dumps(self.filters)
        if self.rules:
            said["disclosure"] = json.dumps(self.rules)
        return said


@dataclass(frozen=True, slots=True)
class Gate:
    """What lets a node's results leave.

    Parameters
    ----------
    node : str
        The node's id.
    rules : sequence of DisclosureRule
        The node's own; of two of a kind, here and in the study, the stricter holds.
    filters : sequence of UpdateFilter
        The node's own, which act after the study's.
    pickles : bool
        Whether a pickle may leave where the study declares it, and may be loaded. It is never
        loaded here.
    account : FigureAccount, optional
        What has left of the node earlier in the run; results are added. By default nothing.

    Examples
    --------
    >>> from flame_flwr.payload import decode, encode
    >>> from flame_flwr.privacy import MinCount
    >>> from flame_flwr.privacy.study_declaration import Study
    >>> from flame_flwr.statistics import RowCount
    >>> gate = Gate("hospital-a", rules=(MinCount(5),))
    >>> passed = gate.result(encode(RowCount(3)), Study(), 1)
    >>> decode(passed.payload).size, passed.rules
    (0, ('MinCount',))
    """

    node: str
    rules: Sequence[DisclosureRule] = ()
    filters: Sequence[UpdateFilter] = ()
    pickles: bool = field(default=True, kw_only=True)
    account: FigureAccount = field(default_factory=FigureAccount, kw_only=True)

    def holding(self, study: Study) -> tuple[DisclosureRule, ...]:
        """Return the rules that hold for a study, in the order in which they act."""
        return joint_rules(self.rules, study.rules)

    def hello(self, study: Study, *, evaluates: bool) -> None:
        """See, before the first round, that a study can pass at all.

        Raises
        ------
        ConfigError
            It cannot; the message says why.
        """
        if evaluates:
            self.evaluation(study)
        if is_strict(self.holding(study)):
            study.of_strict_node()
        if study.allow_pickle and not self.pickles:
            raise ConfigError(_NEVER)

    def findings(
        self, found: Iterable[Mismatch], study: Study, withheld: RuleTally | None = None
    ) -> list[Mismatch]:
        """Return what may be said of the data before the first round; the log has the rest."""
        return findings_that_leave(self.holding(study), found, withheld)

    def evaluation(self, study: Study) -> None:
        """See that the numbers of ``evaluation_method`` may leave.

        Raises
        ------
        ConfigError
            The node is strict.
        """
        check_numbers_of("evaluation_method", self.holding(study))

    def result(
        self,
        returned: Payload,
        study: Study,
        number: int,
        aggregate: Payload | None = None,
        metrics: Mapping[str, float] | None = None,
        *,
        sparse: bool = True,
    ) -> Passed:
        """Return the result of a round as it may leave.

        Parameters
        ----------
        returned : Payload
            What the analyzer returned; taken as hostile.
        study : Study
            What the analysis declares.
        number : int
            The round, from 1.
        aggregate : Payload, optional
            What the node was sent; filters act on the change from there.
        metrics : mapping of str to float, optional
            What the analyzer reported beside its result.
        sparse : bool
            Whether arrays may leave as their changes, where a filter says so. Not where they are
            masked.

        Raises
        ------
        PayloadError, ConfigError, ModelError
            Nothing of it may leave.
        """
        if not (self.rules or study.rules or self.filters or study.filters):
            self._check_pickle(returned, study)  # nobody else needs to look: the server does
            people = study.evidence.people
            return Passed(returned, study.own_rules, study.acted, people=people)
        rules = self.holding(study)
        strict = is_strict(rules)
        if strict:
            study = study.of_strict_node()
        if metrics:
            check_numbers_of("flame.report_metrics", rules)
        chain = FilterChain.of(study.filters, self.filters, self.node, len(study.acted))
        names = (*study.own_rules, *(type(rule).__name__ for rule in rules))
        self._check_pickle(returned, study)
        value, opaque = look_into(returned)
        # Only the gate makes these, after rules and filters. One that arrives would be looked at
        # without the numbers that it leaves out.
        if holds_sparse_change(returned):
            value = made_dense(value, lambda: aggregate and look_into(aggregate).value)
        # Counted here: an analysis could say that there are none.
        evidence = replace(study.evidence, unseen=len(opaque))
        for rule in rules:
            rule.weigh(evidence)
        unseen, withheld = "", RuleTally()
        if opaque and rules:
            parts = "1 part" if len(opaque) == 1 else f"{len(opaque)} parts"
            unseen = f"{parts}; the analysis says of how many: {study.evidence.of_people()}"
        if rules:
            # The statistics have come without what is behind them; the rules ask for it.
            tell_columns(value, study.evidence)
            value = apply_rules(rules, value, self.account, withheld)
        # After the rules: whether their number may be said depends on what leaves beside it.
        people = _tellable(rules, study.evidence.people, value)
        acted = list(study.acted)
        if chain is not None:
            before = None if aggregate is None else look_into(aggregate).value
            value = chain.apply(value, before, number, sparse=sparse and number > 1)
            acted += [
                of_strict_node(said) if strict and said["by"] == "analysis" else said
                for said in chain.report()
            ]
        if rules:
            # What came as a pickle goes as the bytes that it came as: nothing is pickled here.
            returned = encode_allowed(value, allow_pickle=False)
        elif chain is not None:
            returned = encode(value)
        return Passed(returned, names, tuple(acted), unseen, withheld.to_json(), people)

    def arrives(self, aggregate: Payload) -> None:
        """See that what a server sent may be handed to the analysis.

        Raises
        ------
        PayloadError
            It holds a pickle, and the node loads none.
        """
        if not self.pickles and holds_pickle(aggregate):
            raise PayloadError(_NEVER)

    def _check_pickle(self, returned: Payload, study: Study) -> None:
        """Refuse a pickle unless the node and the study both allow it."""
        if (self.pickles and study.allow_pickle) or not holds_pickle(returned):
            return
        if not self.pickles:  # said first, whatever the study declares: only the node can mend it
            raise PayloadError(_NEVER)
        raise PayloadError(
            'the result holds a pickle, and the analysis does not declare payload="pickle"'
        )


def findings_that_leave(
    rules: Sequence[DisclosureRule],
    found: Iterable[Mismatch],
    withheld: RuleTally | None = None,
) -> list[Mismatch]:
    """Return what rules let a node say of its data; the log has the rest."""
    may_leave = []
    for each in found:
        against = [rule for rule in rules if each.rows is not None and not rule.may_say(each.rows)]
        if not against:
            may_leave.append(each)
        else:
            if withheld is not None:
                withheld.note_finding(against[0])
            logger.info("kept back at this node, as it tells of too few: %s", each.text)
    return may_leave


def _tellable(rules: Sequence[DisclosureRule], people: int | None, allowed: Any) -> int | None:
    """Return how many people the data is about, where every rule lets that be said."""
    if people is None:
        return None
    statistics = statistics_in(allowed)
    return people if all(rule.may_say(people, statistics) for rule in rules) else None


_NEVER = (
    'this node loads and sends no pickles (`pickle = "never"` in its config), and the analysis '
    'declares payload="pickle": return dicts of arrays and plain values instead, or teach the '
    "type with flame_flwr.payload.register_type"
)
