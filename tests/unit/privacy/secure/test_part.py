"""A round of three nodes: a server learns their sum, and nothing of any one of them."""

import hashlib
import itertools

import msgpack
import numpy as np
import pytest
import secure_sums_by_hand as by_hand
from scipy.stats import chi2
from secure_federation import NAMES, SESSION, Federation

from flame_flwr.aggregation import Sum, WeightedMean
from flame_flwr.errors import DataError, NodeFailedError
from flame_flwr.payload import encode
from flame_flwr.privacy.secure.grid_round import MasksNotCancelledError
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.privacy.secure.layout import Answer, lay_out
from flame_flwr.statistics import Moments

from .three_nodes import VALUES


def test_server_learns_the_sum(federation):
    result = federation.round(VALUES)
    assert result["coef"].tolist() == [(5 + 45) / 40, -2.5 / 40]
    assert (result["n"], result["sex"]) == (40, {"f": 5, "m": 3})


def test_later_rounds_and_the_evaluation_follow(federation):
    federation.round(VALUES)
    assert federation.round(VALUES, 2, aggregate={"coef": np.ones(2)})["n"] == 40
    assert federation.round(VALUES, 2, aggregate={"coef": np.ones(2)}, kind="evaluate")["n"] == 40
    assert federation.round(VALUES, 3, aggregate={"coef": np.zeros(2)})["n"] == 40


def test_no_word_equals_the_values(federation):
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


def test_missing_answer_gives_no_sum(federation):
    answers = {
        name: federation.answer(name, value, federation.config(1))
        for name, value in zip(NAMES[:2], VALUES, strict=False)
    }
    with pytest.raises(MasksNotCancelledError):
        federation.summed(answers)


def test_evaluation_is_masked_otherwise_than_training(federation):
    federation.round(VALUES)
    trained = federation.answer("node-1", VALUES[0], federation.config(2), aggregate=1)
    config = federation.config(2, kind="evaluate")
    scored = federation.answer("node-1", VALUES[0], config, aggregate=1, kind="evaluate")
    assert not (Answer.from_bytes(trained).words == Answer.from_bytes(scored).words).any()


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


def test_names_are_ordered_by_their_bytes():
    names = ("node-2", "node-10", "Ä", "z")
    secrets = {name: SecretIdentity.new() for name in names}
    federation = Federation({"x": Sum()}, names, secrets=secrets)
    assert federation.roster.names == ("node-10", "node-2", "z", "Ä")
    assert federation.round([{"x": float(place)} for place in range(4)]) == {"x": 6.0}
