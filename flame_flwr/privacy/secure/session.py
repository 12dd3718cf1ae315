"""A node's part in the secure sums of one analysis: its key, whom it sums with, its last answer.

Two values under one mask would give away their difference. So a node never masks a second value
for the same question: what it has answered is kept before it leaves, and who asks again gets the
same bytes, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgpack
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from flame_flwr.aggregation.grid import OffGridError
from flame_flwr.errors import DataError, NodeFailedError
from flame_flwr.log import logger
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.privacy.secure.masks import PairKey
from flame_flwr.privacy.secure.roster import Entry, Roster
from flame_flwr.privacy.secure.session_stores import LOST, MemoryStore, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flame_flwr.privacy.secure.session_stores import SessionStore

    KeysFor = Callable[[bytes], Sequence[PairKey]]

__all__ = ["Kind", "SecureSession"]

Kind = Literal["train", "evaluate"]

_ORDER = {"train": 0, "evaluate": 1}
"""Within a round: what is evaluated is the aggregate that its training gave."""


class SecureSession:
    """What one node keeps of one session of secure sums.

    Parameters
    ----------
    session : str
        32 hexadecimal digits, chosen by the server, new for every analysis.
    name : str
        The node's.
    identity : SecretIdentity, optional
        With which it signs the session's key; without one it is made up for the session.
    store : SessionStore, optional
        Where it is kept; without one in this process.
    """

    def __init__(
        self,
        session: str,
        name: str,
        identity: SecretIdentity | None = None,
        store: SessionStore | None = None,
    ) -> None:
        self._session = session
        self._name = name
        self._identity = identity
        self._store = store or MemoryStore()

    def hello(self) -> Entry:
        """Return who this node is in this session: the same each time it is asked.

        Raises
        ------
        NodeFailedError
            The file is damaged, or cannot be written.
        """
        with self._store.locked():
            kept, _ = self._read()
            if not kept:
                # Once a session: under a second key what was answered would be masked anew.
                kept = {"key": X25519PrivateKey.generate().private_bytes_raw()}
                if self._identity is None:
                    # Kept too, as the next round may be another process of this node.
                    kept["identity"] = SecretIdentity.new_seed()
                self._write(kept)
            return self._entry(kept)

    def take(self, roster: Roster, check: Callable[[Entry], None]) -> None:
        """Take a roster, which stays the same for the session.

        Parameters
        ----------
        roster : Roster
            As the server says.
        check : callable
            Called with this node's entry; raises where the node may not take part.

        Raises
        ------
        NodeFailedError
            Another one was taken before; the file is lost, damaged, or cannot be written.
        """
        with self._store.locked():
            kept, answer = self._known()
            check(self._entry(kept))  # also of one it has taken: its config may have changed
            listed = [[e.name, e.identity, e.key, e.signature] for e in roster.entries]
            if kept.get("roster", listed) != listed:
                raise refused("this node has taken another roster in this session")
            if "roster" not in kept:
                self._write({**kept, "roster": listed}, answer)

    def roster(self) -> Roster:
        """Return the roster that was taken.

        Raises
        ------
        NodeFailedError
            None was, or the file is lost or damaged.
        """
        with self._store.locked():
            return self._roster(self._known()[0])

    def answered(self, number: int, kind: Kind, asked: bytes) -> bytes | None:
        """Return the answer that was given to a question; ``None`` where it is a new one.

        Parameters
        ----------
        number, kind, asked
            As for :meth:`answer`.

        Raises
        ------
        NodeFailedError
            It was asked for before, and differently, or for a later one; or as for :meth:`roster`.
        """
        with self._store.locked():
            return self._answered(number, kind, asked, *self._known())

    def answer(
        self, number: int, kind: Kind, asked: bytes, masked: Callable[[KeysFor], bytes]
    ) -> bytes:
        """Return the answer to a question: the one that was given before, or a new one.

        Parameters
        ----------
        number : int
            The round, from 1.
        kind : {'train', 'evaluate'}
            What is asked for.
        asked : bytes
            The hash of all that is asked.
        masked : callable
            Gets what gives the keys of a context, one for every other node, and returns the whole
            masked answer.

        Raises
        ------
        DataError
            The value has not the form of what is summed, which ends the session.
        NodeFailedError
            It was asked for before, and differently, or for a later one; a value has no place on
            its grid, which ends the session; the file is lost, damaged, or cannot be written.
        """
        # Locked until it is kept: of two processes that are asked at once one computes.
        with self._store.locked():
            kept, last = self._known()
            # Again: another process may have answered since `answered` was asked.
            before = self._answered(number, kind, asked, kept, last)
            if before is not None:
                return before
            try:
                answer = masked(lambda context: self._keys(kept, context))
            except (OffGridError, DataError) as error:
                # Whoever may ask again could compare a value with whatever it likes.
                self._write({**kept, "ended": True})
                logger.error("secure sums: %s: this node ends the session", error)
                if isinstance(error, DataError):
                    raise  # of the form alone, which is in clear
                # Only in the log: who hears why could ask whether a value is above a bound.
                raise NodeFailedError("a value cannot be summed") from None
            # Before it leaves. Flower sends a reply before it keeps the node's Context: a node
            # that died in between would mask a second value under the same keys.
            self._write({**kept, "last": [number, _ORDER[kind]], "asked": asked}, answer)
            return answer

    def _answered(
        self, number: int, kind: Kind, asked: bytes, kept: dict[str, Any], answer: bytes
    ) -> bytes | None:
        if kept.get("ended"):
            raise refused("this node has ended the session: its log says why")
        now, last = [number, _ORDER[kind]], kept.get("last", [0, 0])
        if now < last:  # its answer is no longer kept, so it would have to be masked again
            raise refused(f"round {number} is over at this node")
        if now > last:
            return None
        # The hash of the question, not the context of the masks: that has the value's form, too,
        # which is known only once the value has been computed.
        if kept["asked"] != asked:
            raise refused(f"round {number} was asked for before, and differently")
        return answer

    def _keys(self, kept: dict[str, Any], context: bytes) -> list[PairKey]:
        own = X25519PrivateKey.from_private_bytes(kept["key"])
        try:
            return [
                PairKey.derive(
                    own.exchange(X25519PublicKey.from_public_bytes(entry.key)),
                    self._session,
                    context,
                    self._name,
                    entry.name,
                )
                for entry in self._roster(kept).entries
                if entry.name != self._name
            ]
        except ValueError as error:  # a point of low order, whose secret everybody knows
            raise refused("a key in the roster is none") from error

    def _entry(self, kept: dict[str, Any]) -> Entry:
        identity = self._identity or SecretIdentity(kept["identity"])
        key = X25519PrivateKey.from_private_bytes(kept["key"]).public_key().public_bytes_raw()
        signature = identity.sign(self._session, self._name, key)
        return Entry(self._name, identity.public, key, signature)

    def _roster(self, kept: dict[str, Any]) -> Roster:
        if "roster" not in kept:
            raise refused("this node has taken no roster in this session")
        return Roster(self._session, tuple(Entry(*each) for each in kept["roster"]))

    def _known(self) -> tuple[dict[str, Any], bytes]:
        kept, answer = self._read()
        if not kept:
            raise refused(LOST)
        return kept, answer

    def _read(self) -> tuple[dict[str, Any], bytes]:
        found = self._store.load()
        if found is None:
            return {}, b""
        head, answer = found
        try:
            kept = msgpack.unpackb(head)
            return {**kept, "key": bytes(kept["key"])}, answer
        except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException) as error:
            raise refused("this node's file of the session is damaged, which ends it") from error

    def _write(self, kept: dict[str, Any], answer: bytes = b"") -> None:
        self._store.save(msgpack.packb(kept), answer)
