"""The protocol once more, in plain Python: what another implementation would be written from.

Nothing here is fast, nothing is constant in time, and nothing of the package is used. The curve is
RFC 7748's, the signature RFC 8032's, the stream RFC 8439's with a counter of 64 bits, the key
derivation RFC 5869's. ``secure_sums_vectors.json``, beside it, is what it prints.
"""

import hashlib
import hmac
import json
import struct

PRIME = 2**255 - 19
HELLO = "flame-flwr secure-sums 1 hello"
MASK = "flame-flwr secure-sums 1 mask"

ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME
BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    4 * pow(5, -1, PRIME) % PRIME,
)
"""Of the points with which identities sign, as x and y."""


def fields(*values):
    """Return the encoding that is called E."""
    coded = b""
    for value in values:
        if isinstance(value, str):
            value = value.encode("utf-8")
        if isinstance(value, int):
            value = value.to_bytes(8, "big")
        coded += len(value).to_bytes(8, "big") + value
    return coded


def x25519(scalar, point):
    """Return a multiple of a point, by Montgomery's ladder."""
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = (k[31] & 127) | 64
    k = int.from_bytes(k, "little")
    u = int.from_bytes(point, "little") % 2**255
    x1, x2, z2, x3, z3, swap = u, 1, 0, u, 1, 0
    for bit in reversed(range(255)):
        kt = (k >> bit) & 1
        if swap ^ kt:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = kt
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % PRIME, c * b % PRIME, a * a % PRIME, b * b % PRIME
        x3, z3 = (da + cb) ** 2 % PRIME, x1 * (da - cb) ** 2 % PRIME
        x2, e = aa * bb % PRIME, aa - bb
        z2 = e * (aa + 121665 * e) % PRIME
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def public(scalar):
    """Return the public half of a session's key."""
    return x25519(scalar, (9).to_bytes(32, "little"))


def added(one, other):
    """Return the sum of two points."""
    (x1, y1), (x2, y2) = one, other
    mixed = CURVE * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + mixed, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - mixed, -1, PRIME)
    return x % PRIME, y % PRIME


def base_times(number):
    """Return a multiple of the base point, as its 32 bytes."""
    found, power = (0, 1), BASE
    while number:
        found = added(found, power) if number & 1 else found
        number, power = number >> 1, added(power, power)
    return (found[1] | (found[0] & 1) << 255).to_bytes(32, "little")


def signed(seed, *values):
    """Return an identity's public half, and its signature of the encoding of values."""

    def number(*parts):
        return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER

    message, secret = fields(*values), hashlib.sha512(seed).digest()
    scalar = int.from_bytes(secret[:32], "little") & (2**254 - 8) | 2**254
    own, once = base_times(scalar), number(secret[32:], message)
    first = base_times(once)
    second = (once + number(first, own, message) * scalar) % ORDER
    return own, first + second.to_bytes(32, "little")


def hkdf(secret, salt, info):
    """Return 32 bytes: one block of HKDF-SHA256."""
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def chacha20(key, size):
    """Return the first bytes of a stream whose nonce and counter begin at zero."""
    constants = [int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in (0, 4, 8, 12)]
    words = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    stream = b""
    for counter in range(-(-size // 64)):
        start = [*constants, *words, counter % 2**32, counter >> 32, 0, 0]
        state = list(start)
        for _ in range(10):
            for quarter in (
                (0, 4, 8, 12),
                (1, 5, 9, 13),
                (2, 6, 10, 14),
                (3, 7, 11, 15),
                (0, 5, 10, 15),
                (1, 6, 11, 12),
                (2, 7, 8, 13),
                (3, 4, 9, 14),
            ):
                quarter_round(state, *quarter)
        for one, other in zip(state, start, strict=True):
            stream += ((one + other) % 2**32).to_bytes(4, "little")
    return stream[:size]


def quarter_round(state, a, b, c, d):
    for one, other, moved, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[one] = (state[one] + state[other]) % 2**32
        mixed = state[moved] ^ state[one]
        state[moved] = (mixed << by | mixed >> (32 - by)) % 2**32


def pair_key(own_scalar, other_public, session, context, own, other):
    """Return the key that two nodes have for one answer."""
    lower, higher = sorted((own, other), key=lambda name: name.encode())
    info = fields(MASK, context, lower, higher)
    return hkdf(x25519(own_scalar, other_public), session.encode(), info)


def masked(words, sizes, own, scalar, others, session, context):
    """Return a node's words (whole numbers, each of so many bits) as they leave it.

    ``others`` is public keys by name.
    """
    result = list(words)
    for name, key in others.items():
        derived = pair_key(scalar, key, session, context, own, name)
        stream = chacha20(derived, sum(sizes) // 8)
        sign, place = (1 if own.encode() < name.encode() else -1), 0
        for index, bits in enumerate(sizes):
            word = int.from_bytes(stream[place : place + bits // 8], "little")
            result[index] = (result[index] + sign * word) % 2**bits
            place += bits // 8
    return result


def travelling(forms, sizes, words):
    """Return an answer's bytes: how long the forms are, the forms, words."""
    text = json.dumps(forms).encode()
    text += b" " * (-len(text) % 8)
    data = (w.to_bytes(bits // 8, "little") for w, bits in zip(words, sizes, strict=True))
    return len(text).to_bytes(8, "big") + text + b"".join(data)


def vectors():
    """Return one round of three nodes, with all that it is made of, in hexadecimal digits."""
    session = "00112233445566778899aabbccddeeff"
    names = ("klinik-ä", "node-10", "node-2")
    scalars = {name: hashlib.sha256(fields("scalar", name)).digest() for name in names}
    seeds = {name: hashlib.sha256(fields("identity", name)).digest() for name in names}
    said = {
        name: signed(seeds[name], HELLO, session, name, public(scalars[name])) for name in names
    }
    identities = {name: own for name, (own, _) in said.items()}
    ordered = sorted(names, key=lambda name: name.encode())
    entries = [part for n in ordered for part in (n, identities[n], public(scalars[n]))]
    roster = fields("flame-flwr secure-sums 1 roster", 3, *entries)
    app, config = hashlib.sha256(fields("app.py", "pass\n")).digest(), '{"max-rounds": 3}'
    declaration = fields("n", 0, "int", 64, 0, "coef", 1, 2, "float", 64, 32, "ss", 0, "", 256, 128)
    forms = [["number", "int"], ["array", "float64", [2]], ["number", "float"]]
    numbers = struct.pack("<6d", *range(6))
    context = hashlib.sha256(
        fields(
            "flame-flwr secure-sums 1 context",
            session,
            "train",
            1,
            roster,
            app,
            config,
            declaration,
            fields("none"),
        )
    ).digest()
    sizes = [64, 64, 64, 64, 256]
    answers = {
        name: [1, 7 + place, -(2**31), 3 * 2**31 + place, -(2**127) - place * 2**80]
        for place, name in enumerate(names)
    }
    round_of = {
        name: masked(
            [word % 2**bits for word, bits in zip(answers[name], sizes, strict=True)],
            sizes,
            name,
            scalars[name],
            {other: public(scalars[other]) for other in names if other != name},
            session,
            context,
        )
        for name in names
    }
    return {
        "session": session,
        "scalars": {name: scalars[name].hex() for name in names},
        "identity seeds": {name: seeds[name].hex() for name in names},
        "identities": {name: identities[name].hex() for name in names},
        "signatures": {name: signature.hex() for name, (_, signature) in said.items()},
        "encoded": fields("ä", 258, b"\x00").hex(),
        "roster": roster.hex(),
        "app": app.hex(),
        "config": config,
        "declaration": declaration.hex(),
        "context": context.hex(),
        "keys": {
            f"{one} {other}": pair_key(
                scalars[one], public(scalars[other]), session, context, one, other
            ).hex()
            for one in names
            for other in names
            if one != other
        },
        "sizes": sizes,
        "answers": answers,
        "masked": {
            name: [f"{word:0{bits // 4}x}" for word, bits in zip(words, sizes, strict=True)]
            for name, words in round_of.items()
        },
        "forms": forms,
        "travelling": {
            name: travelling(forms, sizes, words).hex() for name, words in round_of.items()
        },
        # of three columns and two rows, column by column
        "aggregate": fields("payload", b"header", "<f8", fields(2, 3), "F", numbers).hex(),
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=False))
