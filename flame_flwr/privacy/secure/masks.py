"""The masks: a stream of random words for each pair of nodes, which one adds and one subtracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flame_flwr.aggregation.grid import add_words, negated_words
from flame_flwr.privacy.secure.encoding import MASK, encode_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flame_flwr.aggregation.grid import Words

__all__ = ["PairKey", "mask_in_place", "mask_words"]

_BLOCK: Final = 1 << 18
"""Bytes of a stream that are made at a time."""


@dataclass(frozen=True, slots=True)
class PairKey:
    """The key of one answer that a node shares with another one.

    Parameters
    ----------
    key : bytes
        32 bytes, which both derive.
    adds : bool
        Whether this node adds the mask: it has the lower name of the two.
    """

    key: bytes
    adds: bool

    @classmethod
    def derive(cls, secret: bytes, session: str, context: bytes, own: str, other: str) -> PairKey:
        """Derive the key of one answer, by HKDF-SHA256.

        Parameters
        ----------
        secret : bytes
            What X25519 gives of the one's private and the other's public session key.
        session : str
            The analysis's session; its text is the salt.
        context : bytes
            What the answer is an answer to.
        own, other : str
            The names of the two nodes.
        """
        # By bytes, as the roster: the two must agree which of them adds, whatever their locale.
        lower, higher = sorted((own, other), key=str.encode)
        info = encode_fields(MASK, context, lower, higher)
        key = HKDF(SHA256(), length=32, salt=session.encode(), info=info).derive(secret)
        return cls(key, adds=own == lower)


def mask_words(parts: Sequence[Words], keys: Sequence[PairKey]) -> list[Words]:
    """Return an answer's words masked: with every other node's stream added or subtracted.

    A stream runs over all words in their order and is never restarted, so equal arrays of one
    answer look unlike.

    Parameters
    ----------
    parts : sequence of ndarray of uint64
        Each of shape ``(numbers, words each)``; they stay as they are.
    keys : sequence of PairKey
        One for each other node.
    """
    masked = [part.copy() for part in parts]
    mask_in_place(masked, keys)
    return masked


def mask_in_place(parts: Sequence[Words], keys: Sequence[PairKey]) -> None:
    """Mask an answer's words where they are; parameters as of :func:`mask_words`."""
    for pair in keys:
        # Nonce and counter may be zeros: a key is that of one answer, so no stream runs twice.
        cipher = Cipher(ChaCha20(pair.key, bytes(16)), mode=None).encryptor()
        for block in _blocks(parts):
            # The cipher goes on where it was, so blocks of any size make one stream.
            stream = np.frombuffer(cipher.update(bytes(block.nbytes)), "<u8").astype(
                np.uint64, copy=False
            )
            mask = stream.reshape(block.shape)
            block[...] = add_words(block, mask if pair.adds else negated_words(mask))


def _blocks(parts: Sequence[Words]) -> Iterator[Words]:
    """Yield views of all words in their order, each of limited size."""
    for part in parts:
        rows = max(1, _BLOCK // (8 * part.shape[1]))
        for start in range(0, len(part), rows):
            yield part[start : start + rows]
