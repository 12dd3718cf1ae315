"""A server that tells every hospital something else, each of which could be true.

A node sees only what it is told itself. So either it refuses, or the masks do not cancel; and what
it has answered it answers to no other question.
"""

import itertools
import json

import pytest
from secure_federation import NAMES, SESSION, Federation

from flame_flwr.aggregation import Sum
from flame_flwr.errors import AnswerError, NodeFailedError
from flame_flwr.privacy.secure.grid_round import MasksNotCancelledError
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.privacy.secure.roster import Roster

VALUE = {"a": 1.5, "b": 7.0, "c": -2.0}


@pytest.fixture
def federation():
    return Federation({"a": Sum()})


def asked_for_other_places(federation, place):
    declared = Federation({"abc"[place]: Sum()}).declared.to_text()
    return federation.config(1, sums=json.dumps({"declared": declared, "forms": None}))


def asked_for_other_rounds(federation, place):
    return federation.config(place + 1)


def of_three_of_four(federation, place):
    """Every roster is of three hospitals, all of whom know each other; no two are told of one."""
    entries = [federation.entries[name] for name in federation.names]
    roster = Roster.of(SESSION, (entries + entries)[place : place + 3])
    names = [name for name in federation.names if name in roster.names]
    return federation.config(1, roster=roster.to_text(), analyzers=json.dumps(names))


def ones(answers):
    """Return the sum of the first words, which is the number of answers where masks cancel."""
    return sum(int(Answer.from_bytes(each).words[0]) for each in answers) % 2**64


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (NAMES, asked_for_other_places),
        (NAMES, asked_for_other_rounds),
        (("node-1", "node-2", "node-3", "node-4"), of_three_of_four),
    ],
)
def test_masks_told_different_things_never_cancel(names, asked):
    federation = Federation({"a": Sum()}, names)
    told = {name: asked(federation, place) for place, name in enumerate(names)}
    answers = {name: federation.answer(name, VALUE, config) for name, config in told.items()}
    for count in range(1, len(names) + 1):
        for some in itertools.combinations(answers.values(), count):
            assert ones(some) != count
    with pytest.raises((MasksNotCancelledError, AnswerError)):
        federation.summed(answers)
    for (name, config), other in itertools.product(told.items(), told.values()):
        if other is config:
            assert federation.answer(name, {"a": 9.0}, config) == answers[name]
        elif other["round"] <= config["round"]:  # a later round it may be asked for
            with pytest.raises(NodeFailedError, match=r"differently|is over|not stand|another ros"):
                federation.answer(name, VALUE, other)


def with_a_stranger(federation, place):
    """Return all hospitals but one, in whose place somebody else stands: at each node another."""
    other = NAMES[place - 1]
    stranger = Federation({"a": Sum()}).entries[other]
    roster = Roster.of(SESSION, (federation.entries | {other: stranger}).values())
    return {"roster": roster.to_text()}


def with_itself_first(federation, place):
    """Return all in a circle, from this node on, as an analysis would be told them."""
    turned = [*NAMES[place:], *NAMES[:place]]
    return {"analyzers": json.dumps(turned if place else turned[::-1])}


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (with_a_stranger, "is not known here with that identity"),
        (with_itself_first, "or in another order"),
    ],
)
def test_no_node_takes_its_own_roster(federation, lie, why):
    for place, name in enumerate(NAMES):
        with pytest.raises(NodeFailedError, match=why):
            federation.answer(name, VALUE, federation.config(1, **lie(federation, place)))
    assert federation.round([VALUE] * 3) == {"a": 4.5}  # and nothing of it was kept
