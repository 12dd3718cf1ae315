"""Masks against the protocol in plain Python, and what they hide."""

import json
from pathlib import Path

import numpy as np
import pytest
import secure_sums_by_hand as by_hand
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from secure_federation import sum_of_parts

from flame_flwr.aggregation.grid import COUNTS, MODELS, STATISTICS, Grid
from flame_flwr.payload import Payload, encode
from flame_flwr.privacy.secure.context import aggregate_bytes, app_digest, context_of
from flame_flwr.privacy.secure.encoding import encode_fields
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.privacy.secure.masks import PairKey, mask_words
from flame_flwr.privacy.secure.roster import Entry, Roster
from flame_flwr.text.natural_order import natural_order

VECTORS = json.loads(Path(by_hand.__file__).with_name("secure_sums_vectors.json").read_text())
NAMES = tuple(VECTORS["answers"])


def scalar_of(name):
    return bytes.fromhex(VECTORS["scalars"][name])


def public_of(name):
    return X25519PrivateKey.from_private_bytes(scalar_of(name)).public_key().public_bytes_raw()


def roster():
    said = [VECTORS[key] for key in ("identities", "signatures")]
    entries = []
    for name in NAMES:
        identity, signature = (bytes.fromhex(each[name]) for each in said)
        entries.append(Entry(name, identity, public_of(name), signature))
    return Roster.of(VECTORS["session"], entries)


def key_of(own, other, context):
    secret = X25519PrivateKey.from_private_bytes(scalar_of(own)).exchange(
        X25519PublicKey.from_public_bytes(public_of(other))
    )
    return PairKey.derive(secret, VECTORS["session"], context, own, other)


def words_of(answer):
    one, count, *coef, squares = answer
    return [
        COUNTS.to_words([one], 3),
        COUNTS.to_words([count], 3),
        MODELS.to_words(np.array(coef) / 2**32, 3),
        STATISTICS.to_words([squares / 2**128], 3),
    ]


RFC_8032 = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b",
)


def test_vectors_are_what_plain_python_says():
    assert by_hand.vectors() == VECTORS


def test_plain_python_agrees_with_the_standards():
    # those of RFC 8439 and RFC 5869 (test case 3), and another implementation of RFC 7748
    scalar = scalar_of("node-2")
    assert by_hand.public(scalar) == public_of("node-2")
    zeros = by_hand.chacha20(bytes(32), 64).hex()
    assert zeros.startswith("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    # and RFC 8032's first, of an empty message
    own, signature = by_hand.signed(bytes.fromhex(RFC_8032[0]))
    assert (own.hex(), signature.hex()) == RFC_8032[1:]
    derived = by_hand.hkdf(bytes([0x0B]) * 22, bytes(32), b"").hex()
    assert derived == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


def test_session_keys_are_signed_as_specified():
    assert len(roster().entries) == len(NAMES)
    for entry in roster().entries:
        identity = SecretIdentity(bytes.fromhex(VECTORS["identity seeds"][entry.name]))
        assert identity.public == entry.identity
        assert identity.sign(VECTORS["session"], entry.name, entry.key) == entry.signature
        roster().check(entry, None, sorted(NAMES, key=natural_order))


def test_fields_are_encoded_as_specified():
    assert encode_fields("ä", 258, b"\x00").hex() == VECTORS["encoded"]


def test_roster_is_hashed_in_order_of_bytes():
    assert roster().names == ("klinik-ä", "node-10", "node-2")
    assert roster().to_bytes().hex() == VECTORS["roster"]


def test_context_is_the_hash_of_all():
    config, app = json.loads(VECTORS["config"]), bytes.fromhex(VECTORS["app"])
    declared = bytes.fromhex(VECTORS["declaration"])
    found = context_of(roster(), "train", 1, app, config, declared, encode_fields("none"))
    assert found.hex() == VECTORS["context"]


def test_two_nodes_derive_one_key():
    context = bytes.fromhex(VECTORS["context"])
    for own in NAMES:
        for other in set(NAMES) - {own}:
            pair = key_of(own, other, context)
            assert pair.key.hex() == VECTORS["keys"][f"{own} {other}"]
            assert pair.key == key_of(other, own, context).key
            assert pair.adds == (own.encode() < other.encode())


def test_a_round_is_masked_as_specified():
    context = bytes.fromhex(VECTORS["context"])
    total = None
    for name, answer in VECTORS["answers"].items():
        keys = [key_of(name, other, context) for other in NAMES if other != name]
        masked = mask_words(words_of(answer), keys)
        flat = [
            sum(int(word) << (64 * place) for place, word in enumerate(row))
            for part in masked
            for row in part
        ]
        digits = [
            f"{each:0{bits // 4}x}" for each, bits in zip(flat, VECTORS["sizes"], strict=True)
        ]
        assert digits == VECTORS["masked"][name]
        answer = Answer(VECTORS["forms"], np.concatenate([part.ravel() for part in masked]))
        assert answer.to_bytes().hex() == VECTORS["travelling"][name]
        total = masked if total is None else sum_of_parts(total, masked)
    assert COUNTS.from_words(total[0]).tolist() == [3]
    assert COUNTS.from_words(total[1]).tolist() == [24]
    assert MODELS.from_words(total[2]).tolist() == [-1.5, 4.5 + 3 / 2**32]
    assert STATISTICS.from_words(total[3]).tolist() == [(-3 * 2**127 - 3 * 2**80) / 2**128]


@pytest.mark.parametrize("parties", [3, 7, 20])
def test_masks_cancel_in_any_order(parties):
    rng = np.random.default_rng(parties)
    names = [f"node-{place}" for place in range(parties)]
    shared = {
        frozenset((one, other)): rng.bytes(32) for one in names for other in names if one < other
    }
    grids = (Grid(64, 0), Grid(128, 64), Grid(64, 32), Grid(256, 128))
    values = {
        name: [rng.integers(-9, 9, 5) * (0.5 if grid.exponent else 1) for grid in grids]
        for name in names
    }
    answers = []
    for name in names:
        keys = [
            PairKey.derive(shared[frozenset((name, other))], "ab" * 16, b"c" * 32, name, other)
            for other in names
            if other != name
        ]
        parts = [g.to_words(v, parties) for g, v in zip(grids, values[name], strict=True)]
        answers.append(mask_words(parts, keys))
    for order in (range(parties), reversed(range(parties)), rng.permutation(parties)):
        total = None
        for place in order:
            total = answers[place] if total is None else sum_of_parts(total, answers[place])
        for place, grid in enumerate(grids):
            expected = sum(values[name][place] for name in names)
            assert grid.from_words(total[place]).tolist() == expected.tolist()


def test_a_stream_is_equal_in_any_blocks(monkeypatch):
    parts = [MODELS.to_words(np.ones(1000), 3), STATISTICS.to_words(np.ones(77), 3)]
    keys = [PairKey(b"k" * 32, True), PairKey(b"l" * 32, False)]
    whole = mask_words(parts, keys)
    monkeypatch.setattr("flame_flwr.privacy.secure.masks._BLOCK", 64)
    for one, other in zip(whole, mask_words(parts, keys), strict=True):
        assert (one == other).all()


def test_equal_values_do_not_change_what_was_given():
    parts = [MODELS.to_words(np.ones(50), 3)]
    mask_words(parts, [PairKey(b"k" * 32, True)])
    assert MODELS.from_words(parts[0]).tolist() == [1.0] * 50


def test_aggregate_is_hashed_as_specified():
    array = np.arange(6.0).reshape(3, 2).T
    assert aggregate_bytes(Payload(b"header", (array,))).hex() == VECTORS["aggregate"]
    in_rows = aggregate_bytes(Payload(b"header", (np.ascontiguousarray(array),)))
    assert in_rows.hex() != VECTORS["aggregate"]


def test_app_is_hashed_as_specified():
    files = {"app.py": b"pass\n", "__pycache__/app.pyc": b"code"}
    assert app_digest(files).hex() == VECTORS["app"]


def test_aggregate_none_is_none_however_it_is_said():
    assert aggregate_bytes(None) == aggregate_bytes(encode(None)) == encode_fields("none")
    assert aggregate_bytes(encode(0)) != encode_fields("none")
