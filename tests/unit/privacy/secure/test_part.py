"""A round of three nodes, and a server that lies to one of them."""

import hashlib
import itertools
import json
from dataclasses import replace

import msgpack
import numpy as np
import pytest
import secure_sums_by_hand as by_hand
from scipy.stats import chi2
from secure_federation import NAMES, SESSION, Federation

from flame_flwr.aggregation import Grid, MergeCounts, Sum, WeightedMean
from flame_flwr.errors import DataError, NodeFailedError, PayloadError
from flame_flwr.payload import encode
from flame_flwr.privacy.secure.grid_round import MasksNotCancelledError
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.privacy.secure.layout import Answer, lay_out
from flame_flwr.privacy.secure.part import Rules
from flame_flwr.privacy.secure.roster import Roster
from flame_flwr.statistics import Moments

DECLARED = {"coef": WeightedMean("n"), "n": Sum(), "sex": MergeCounts(labels=["f", "m"])}
VALUES = [
    {"coef": np.array([0.5, -0.25]), "n": 10, "sex": {"f": 4}},
    {"coef": np.array([1.5, 0.0]), "n": 30, "sex": {"m": 3, "f": 1}},
    {"coef": np.array([-2.0, 7.0]), "n": 0, "sex": {}},
]


@pytest.fixture
def federation():
    return Federation(DECLARED)


def test_server_learns_the_sum(federation):
    result = federation.round(VALUES)
    assert result["coef"].tolist() == [(5 + 45) / 40, -2.5 / 40]
    assert (result["n"], result["sex"]) == (40, {"f": 5, "m": 3})


def test_later_rounds_and_the_evaluation_follow(federation):
    federation.round(VALUES)
    assert federation.round(VALUES, 2, aggregate={"coef": np.ones(2)})["n"] == 40
    assert federation.round(VALUES, 2, aggregate={"coef": np.ones(2)}, kind="evaluate")["n"] == 40
    assert federation.round(VALUES, 3, aggregate={"coef": np.zeros(2)})["n"] == 40


def test_no_word_of_an_answer_is_that_of_the_value(federation):
    config = federation.config(1)
    words = Answer.from_bytes(federation.answer("node-1", VALUES[0], config)).words
    assert all(min(int(word), 2**64 - int(word)) > 2**32 for word in words)


def test_what_leaves_is_uniform():
    """Chi-square over the bytes of many answers to equal inputs: one in 10**9 such tests fails."""
    counts = np.zeros(256)
    for number in range(40):
        federation = Federation({"x": Sum()}, session=f"{number:032x}")
        value = {"x": [np.zeros(50), np.zeros(50), np.ones(50)]}
        answer = federation.answer("node-2", value, federation.config(1))
        words = Answer.from_bytes(answer).words
        counts += np.bincount(words.view(np.uint8), minlength=256)
        # equal arrays within one answer do not show
        zeros = words[1:401].reshape(2, -1)
        assert not (zeros[0] == zeros[1]).any()
    expected = counts.sum() / 256
    assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-9, 255)


def test_answer_is_what_plain_python_says():
    """Of a round and an evaluation: all that is hashed, laid out and masked, from the page."""
    federation = Federation({"coef": WeightedMean("n"), "n": Sum(), "m": Moments})
    federation.configs = {name: {"max-rounds": 3, "é": 0.1, "b": True} for name in NAMES}
    federation.apps = dict.fromkeys(NAMES, b"A" * 32)
    value = {"coef": np.array([0.5, -0.25]), "n": 7, "m": Moments.from_data([1.5, 2.0])}
    aggregate = {"coef": np.asfortranarray(np.arange(6000.0).reshape(60, 100)), "s": "x"}
    kept = {name: each._store.load()[0] for name, each in federation.sessions.items()}
    scalars = {name: msgpack.unpackb(head)["key"] for name, head in kept.items()}
    public = {name: by_hand.public(scalar) for name, scalar in scalars.items()}
    ordered = [(n, federation.secrets[n].public, public[n]) for n in sorted(NAMES, key=str.encode)]
    roster = by_hand.fields("flame-flwr secure-sums 1 roster", 3, *sum(ordered, ()))
    clear = (
        '{"n": null, "squares": null, "statistic": "Moments", "suppressed": null, "total": null}'
    )
    declaration = by_hand.fields(
        *("", 0, "int", 64, 0, "coef by n", 0, "int", 64, 0, "coef", 1, 2, "float64 by n", 64, 32),
        *("n", 0, "int", 64, 0, "m[0]", 1, 2, clear, 64, 0, "m[1]", 1, 2, "", 256, 128),
    )
    payload = encode(aggregate)
    [array] = payload.arrays
    sent = (payload.header, "<f8", by_hand.fields(60, 100), "F", array.T.tobytes())
    sizes = [64] * 7 + [256] * 2
    # the 1, the weight, weight times values, n, suppressed, n, total, squares
    words = [1, 7, 7 << 31, -(7 << 30), 7, 0, 2, 7 << 127, 25 << 126]
    for kind in ("train", "evaluate"):
        context = by_hand.fields(
            *("flame-flwr secure-sums 1 context", SESSION, kind, 7, roster, b"A" * 32),
            *('{"b": true, "max-rounds": 3, "\\u00e9": 0.1}', declaration),
            by_hand.fields("payload", *sent),
        )
        config = federation.config(7, kind=kind)
        answer = federation.answer("node-10", value, config, aggregate=aggregate, kind=kind)
        left = Answer.from_bytes(answer).words.tobytes()
        places = np.cumsum([0, *sizes]) // 8
        found = [int.from_bytes(left[a:b], "little") for a, b in itertools.pairwise(places)]
        others = {name: key for name, key in public.items() if name != "node-10"}
        asked = hashlib.sha256(context).digest()
        modulo = [word % 2**bits for word, bits in zip(words, sizes, strict=True)]
        of = (modulo, sizes, "node-10", scalars["node-10"], others, SESSION, asked)
        assert found == by_hand.masked(*of)


# ---- a lying server --------------------------------------------------------------------------


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
def test_masks_of_nodes_told_different_things_do_not_cancel(federation, changed):
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
def test_part_that_is_none_ends_the_run_with_its_round_and_key(declared, value, place):
    """Of a hospital that lies: who it is, masks hide."""
    federation = Federation(declared)
    answers = {name: federation.answer(name, value, federation.config(1)) for name in NAMES}
    forms, words = Answer.from_bytes(answers["node-2"])
    words = words.copy()
    words[place] ^= np.uint64(2**63)
    answers["node-2"] = Answer(forms, words).to_bytes()
    with pytest.raises(DataError, match=r"round 1, key `m`: .*sent something else"):
        federation.summed(answers)


def test_missing_answer_gives_no_sum(federation):
    answers = {
        name: federation.answer(name, value, federation.config(1))
        for name, value in zip(NAMES[:2], VALUES, strict=False)
    }
    with pytest.raises(MasksNotCancelledError):
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


def test_evaluation_is_masked_otherwise_than_training(federation):
    federation.round(VALUES)
    trained = federation.answer("node-1", VALUES[0], federation.config(2), aggregate=1)
    config = federation.config(2, kind="evaluate")
    scored = federation.answer("node-1", VALUES[0], config, aggregate=1, kind="evaluate")
    assert not (Answer.from_bytes(trained).words == Answer.from_bytes(scored).words).any()


def test_two_runs_with_one_session_get_one_answer(federation):
    first = federation.answer("node-1", VALUES[0], federation.config(1))
    assert federation.answer("node-1", VALUES[1], federation.config(1)) == first
    federation.configs["node-1"]["tags"] = "of the second run"
    with pytest.raises(NodeFailedError, match="differently"):
        federation.answer("node-1", VALUES[1], federation.config(1))


def test_off_the_grid_is_heard_without_a_reason(federation, caplog):
    value = VALUES[0] | {"coef": np.array([1e300, 0.0])}
    with pytest.raises(NodeFailedError) as caught:
        federation.answer("node-1", value, federation.config(1))
    assert str(caught.value) == "a value cannot be summed"
    assert "key coef" in caplog.text
    with pytest.raises(NodeFailedError, match="has ended the session"):
        federation.answer("node-1", VALUES[0], federation.config(1))


def test_nobody_hears_whether_a_weight_is_zero(federation):
    """A server may say another form than that of the answers before, to see who believes it."""
    known = lay_out(federation.declared, {**VALUES[0], "coef": np.zeros(9)}, 3).forms
    config, said = federation.config(1, forms=known), set()
    for name, value in (("node-1", VALUES[0]), ("node-10", VALUES[2])):
        with pytest.raises(DataError, match="than in the answers before it") as caught:
            federation.answer(name, value, config)
        said.add(caught.value.message)
        with pytest.raises(NodeFailedError, match="has ended the session"):
            federation.answer(name, value, federation.config(1))
    assert len(said) == 1


@pytest.mark.parametrize("lacking", [{}, {"coef": None}])
def test_missing_value_is_said_alike_whatever_its_weight(lacking):
    said = set()
    for weight in (0, 30, 0.0, 1.5):
        federation = Federation({"coef": WeightedMean("n")})
        with pytest.raises(DataError) as caught:
            federation.answer("node-1", {"n": weight, **lacking}, federation.config(1))
        said.add(caught.value.message)
    assert len(said) == 1


def test_identity_signs_for_one_session_alone(federation):
    other = Federation(DECLARED, session="cd" * 16, secrets=federation.secrets)
    federation.roster = replace(other.roster, session=SESSION)
    with pytest.raises(NodeFailedError, match="as it has said"):
        federation.answer("node-1", VALUES[0], federation.config(1))


def test_names_are_ordered_by_their_bytes():
    names = ("node-2", "node-10", "Ä", "z")
    secrets = {name: SecretIdentity.new() for name in names}
    federation = Federation({"x": Sum()}, names, secrets=secrets)
    assert federation.roster.names == ("node-10", "node-2", "z", "Ä")
    assert federation.round([{"x": float(place)} for place in range(4)]) == {"x": 6.0}
