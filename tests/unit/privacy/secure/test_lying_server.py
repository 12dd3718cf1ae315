"""A server that lies to some of three nodes gets no sum, and nothing of any one of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from secure_federation import NAMES, SESSION, Federation

from flame_flwr.aggregation import Grid, MergeCounts, Sum, WeightedMean
from flame_flwr.errors import DataError, NodeFailedError, PayloadError
from flame_flwr.privacy.secure.grid_round import MasksNotCancelledError
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.privacy.secure.part import Rules
from flame_flwr.privacy.secure.roster import Roster
from flame_flwr.statistics import Moments

from .three_nodes import DECLARED, VALUES


def lie_about(federation, **entries):
    """Tell node-1 a roster in which others are changed."""
    said = [entries.get(e.name.replace("-", "_"), e) for e in federation.roster.entries]
    roster = Roster.of(SESSION, [entry for entry in said if entry is not None])
    return federation.config(1, roster=roster.to_text())


def swapped_key(federation):
    stranger = Federation(DECLARED).entries["node-2"]
    return lie_about(federation, node_2=replace(federation.entries["node-2"], key=stranger.key))


def no_signature(federation):
    return lie_about(federation, node_2=replace(federation.entries["node-2"], signature=b""))


def unpinned_name(federation):
    return lie_about(federation, node_2=Federation(DECLARED).entries["node-2"])


def two_nodes(federation):
    return lie_about(federation, node_2=None)


LIES = {
    swapped_key: "not signed by it",
    no_signature: "not signed by it",
    unpinned_name: "not known here with that identity",
    two_nodes: "2 nodes take part, and the fewest are 3",
    lambda f: f.config(1, analyzers='["node-1", "node-2"]'): "other nodes than the analysis",
    lambda f: f.config(1, analyzers='["node-1", "node-1", "node-2", "node-10"]'): "other nodes",
    lambda f: f.config(1, analyzers='["node-2", "node-1", "node-10"]'): "other nodes",
    lambda f: f.config(1, analyzers='{"node-1": 1, "node-2": 1, "node-10": 1}'): "who takes part",
    lambda f: f.config(1, first=False, analyzers='["node-1"]'): "roster cannot be read",
    lambda f: f.config(1, analyzers=0): "does not say who takes part",
    lambda f: f.config(1, roster="{"): "the roster cannot be read",
    lambda f: f.config(1, after=1): "to go on after round 1",
    lambda f: f.config(2, after=0): "to go on after round 0",
    lambda f: f.config(1, learning_rate=0.1): "the message says learning_rate",
    lambda f: f.config(1, session="cd" * 16): "asks for no round of the session",
    lambda f: f.config(1, sums="[]"): "what is summed cannot be read",
    lambda f: f.config(1, first=False): "taken no roster",
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_refused_before_anything_is_computed(federation, lie):
    part = federation.part("node-1")
    with pytest.raises(NodeFailedError, match=f"secure sums are refused: .*{LIES[lie]}"):
        part.question("train", lie(federation), None)


def test_two_rosters_are_refused(federation):
    federation.round(VALUES)
    other = Federation(DECLARED, secrets=federation.secrets)
    entries = [federation.entries["node-1"], other.entries["node-2"], other.entries["node-10"]]
    config = federation.config(2, roster=Roster.of(SESSION, entries).to_text())
    with pytest.raises(NodeFailedError, match="another roster in this session"):
        federation.answer("node-1", VALUES[0], config, aggregate=3)


def test_hospital_sums_with_those_it_names_only(federation):
    federation.rules = Rules(federation.peers, only_with=("node-1", "node-2", "node-3"))
    with pytest.raises(NodeFailedError, match="secure-with"):
        federation.answer("node-1", VALUES[0], federation.config(1))


def other_sums(federation, reductions):
    declared = Federation(reductions).declared.to_text()
    return {"config": federation.config(1, sums=json.dumps({"declared": declared, "forms": None}))}


def does_cancel(answers):
    """Tell whether the masks of answers cancel, as a server sees that looks at no form."""
    ones = [int(Answer.from_bytes(answer).words[0]) for answer in answers]
    return sum(ones) % 2**64 == len(ones)


@pytest.mark.parametrize(
    ("honest", "lie", "value"),
    [
        ({"x": WeightedMean(0)}, {"x": WeightedMean("0")}, {"x": 1.0, 0: 1, "0": 7}),
        ({"x by n": Sum()}, {"x": WeightedMean("n")}, {"x": [], "x by n": 1, "n": 7}),
    ],
)
def test_hospitals_are_not_asked_for_different_places(honest, lie, value):
    """Else one is asked for its numbers, and the others for some that everybody knows."""
    federation = Federation(honest)
    sums = json.dumps({"declared": Federation(lie).declared.to_text(), "forms": None})
    lied_to = federation.config(1, sums=sums)
    others = [federation.answer(name, value, federation.config(1)) for name in NAMES[1:]]
    assert not does_cancel([federation.answer("node-1", value, lied_to), *others])


@pytest.mark.parametrize(
    "value", [{"a.b": 0.0, "a": {"b": 7.0}}, {1: 0.0, "1": 7.0}, {"": {"a": 0.0}, "a": 7.0}]
)
@pytest.mark.parametrize("reduction", [Sum(), WeightedMean("n")])
def test_one_name_of_two_places_is_refused(value, reduction):
    federation = Federation({"x": reduction})
    with pytest.raises(PayloadError, match=r"is two places of what is summed.*Rename one"):
        federation.answer("node-1", {"x": value, "n": 2}, federation.config(1))


def test_one_place_is_summed_once(federation):
    leaf = json.loads(federation.declared.to_text())[0]
    sums = json.dumps({"declared": json.dumps([leaf, leaf]), "forms": None})
    with pytest.raises(PayloadError, match="is two places"):
        federation.answer("node-1", VALUES[0], federation.config(1, sums=sums))


@pytest.mark.parametrize(
    "changed",
    [
        lambda f: f.apps.update({"node-2": b"another app"}),
        lambda f: f.configs["node-2"].update({"tags": "x"}),
        lambda f: {"aggregate": {"coef": np.zeros(2)}},
        lambda f: other_sums(f, DECLARED | {"n": Sum(grid=Grid(64, 1))}),
        lambda f: other_sums(f, DECLARED | {"sex": MergeCounts(labels=["m", "f"])}),
    ],
)
def test_masks_of_different_words_do_not_cancel(federation, changed):
    told = changed(federation)
    with pytest.raises((MasksNotCancelledError, DataError)):
        federation.round(VALUES, told={"node-2": told} if told else None)


def test_wrong_sum_shows_in_its_first_word(federation):
    federation.apps["node-2"] = b"another app"
    with pytest.raises(MasksNotCancelledError, match="do not cancel, so there is no result"):
        federation.round(VALUES)


@pytest.mark.parametrize(
    ("declared", "value", "place"),
    [
        ({"m": Moments}, {"m": Moments.from_data([1.0])}, 1),
        ({"m": MergeCounts(labels=["f", "m"])}, {"m": {"f": 3}}, 2),
        ({"m": WeightedMean("n")}, {"m": 1.0, "n": 3}, 1),
    ],
)
def test_a_false_part_ends_the_run_named(declared, value, place):
    """Of a hospital that lies: who it is, masks hide."""
    federation = Federation(declared)
    answers = {name: federation.answer(name, value, federation.config(1)) for name in NAMES}
    forms, words = Answer.from_bytes(answers["node-2"])
    words = words.copy()
    words[place] ^= np.uint64(2**63)
    answers["node-2"] = Answer(forms, words).to_bytes()
    with pytest.raises(DataError, match=r"round 1, key `m`: .*sent something else"):
        federation.summed(answers)


@pytest.mark.parametrize(
    ("number", "kind", "why"),
    [
        (2, "train", "asked for before, and differently"),  # the round, with another aggregate
        (1, "train", "is over"),  # the round before
        (1, "evaluate", "is over"),
    ],
)
def test_what_was_asked_before_is_asked_in_vain(federation, number, kind, why):
    federation.round(VALUES)
    federation.round(VALUES, 2, aggregate=1)
    with pytest.raises(NodeFailedError, match=why):
        federation.round(VALUES, number, aggregate=2, kind=kind)


def test_two_runs_with_one_session_get_one_answer(federation):
    first = federation.answer("node-1", VALUES[0], federation.config(1))
    assert federation.answer("node-1", VALUES[1], federation.config(1)) == first
    federation.configs["node-1"]["tags"] = "of the second run"
    with pytest.raises(NodeFailedError, match="differently"):
        federation.answer("node-1", VALUES[1], federation.config(1))


def test_identity_signs_for_one_session_alone(federation):
    other = Federation(DECLARED, session="cd" * 16, secrets=federation.secrets)
    federation.roster = replace(other.roster, session=SESSION)
    with pytest.raises(NodeFailedError, match="as it has said"):
        federation.answer("node-1", VALUES[0], federation.config(1))
