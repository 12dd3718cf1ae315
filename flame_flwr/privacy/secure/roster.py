"""Who takes part in a session's sums, and why a node may refuse it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_flwr.privacy.secure.encoding import ROSTER, encode_fields
from flame_flwr.privacy.secure.identities import is_signed
from flame_flwr.privacy.secure.session_stores import refused
from flame_flwr.text.natural_order import natural_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flame_flwr.privacy.secure.identities import Identities

__all__ = ["FEWEST", "Entry", "Roster"]

FEWEST = 3
"""With two, each has the other's part: the sum without its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One node of a roster.

    Parameters
    ----------
    name : str
        The node's.
    identity, key : bytes
        The public halves of its identity and of its session key, 32 bytes each.
    signature : bytes
        Of the session key, by the identity.
    """

    name: str
    identity: bytes
    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Roster:
    """All nodes of a session; :meth:`of` brings them into their order.

    Parameters
    ----------
    session : str
        32 hexadecimal digits.
    entries : tuple of Entry
        In the order of their names' bytes.
    """

    session: str
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, session: str, entries: Iterable[Entry]) -> Roster:
        """Return the roster of nodes in any order."""
        return cls(session, tuple(sorted(entries, key=lambda entry: entry.name.encode())))

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, in order."""
        return tuple(entry.name for entry in self.entries)

    def to_text(self) -> str:
        """Return it as it travels."""
        return json.dumps(
            [[e.name, e.identity.hex(), e.key.hex(), e.signature.hex()] for e in self.entries]
        )

    @classmethod
    def from_text(cls, session: str, text: object) -> Roster:
        """Read what a server has sent.

        Raises
        ------
        NodeFailedError
            It is no roster.
        """
        try:
            entries = [
                Entry(str(name), *map(bytes.fromhex, keys))
                for name, *keys in json.loads(text)  # type: ignore[arg-type]
            ]
            # In the order of bytes, whatever order came: it decides who adds a mask. Half a
            # surrogate, which JSON can name, has no bytes.
            return cls.of(session, entries)
        except (TypeError, ValueError, RecursionError) as error:
            raise refused("the roster cannot be read") from error

    def to_bytes(self) -> bytes:
        """Return what is hashed: names and keys; the signatures are of these."""
        fields: list[bytes | str | int] = [ROSTER, len(self.entries)]
        for entry in self.entries:
            fields += [entry.name, entry.identity, entry.key]
        return encode_fields(*fields)

    def check(
        self,
        own: Entry,
        peers: Identities | None,
        analyzers: Sequence[str],
        *,
        fewest: int = FEWEST,
        only_with: Sequence[str] = (),
    ) -> None:
        """See that a node may take part, before anything of the analysis is computed.

        Parameters
        ----------
        own : Entry
            This node's entry, as it has sent it at hello.
        peers : Identities or None
            The hospitals that it has pinned; ``None`` where identities are made up for the session.
        analyzers : sequence of str
            Who takes part in the analysis, as the server says, in the order of all such lists.
        fewest : int
            The fewest nodes; never less than 3.
        only_with : sequence of str
            The names of all nodes, this one too, with which alone it takes part; empty for any.

        Raises
        ------
        NodeFailedError
            It may not; the message says why.
        """
        names = self.names
        identities, keys = (
            [getattr(e, what) for e in self.entries] for what in ("identity", "key")
        )
        least = max(fewest, FEWEST)  # no config can ask for fewer
        if len(names) < least:
            raise refused(f"{len(names)} nodes take part, and the fewest are {least}")
        # One hospital under two names would make three of two.
        if any(len(set(each)) < len(names) for each in (names, identities, keys)):
            raise refused("a name or a key stands in the roster twice")
        if own not in self.entries:
            raise refused("this node does not stand in the roster as it has said who it is")
        if only_with and set(only_with) != set(names):
            raise refused("others take part than `secure-with` in this node's config allows")
        for entry in self.entries:
            # The server relays all keys: a pinned identity, and its signature of this session's
            # key, are what it cannot make up. A node needs no pin of its own.
            pinned = peers is None or peers.keys.get(entry.name) == entry.identity
            if entry != own and not pinned:
                raise refused(f"{entry.name} is not known here with that identity")
            if not is_signed(entry.identity, entry.signature, self.session, entry.name, entry.key):
                raise refused(f"the key of {entry.name} is not signed by it")
        # An analysis sees this list: a server could tell each hospital that it is the first.
        if list(analyzers) != sorted(names, key=natural_order):
            raise refused("the roster names other nodes than the analysis, or in another order")
