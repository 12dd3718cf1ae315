"""What a masked answer is an answer to, as one hash: who was told something else has another."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from flame_flwr.payload import encode
from flame_flwr.privacy.secure.encoding import CONTEXT, encode_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.aggregation.grid import Grid
    from flame_flwr.payload import Payload
    from flame_flwr.privacy.secure.roster import Roster
    from flame_flwr.privacy.secure.session import Kind

__all__ = ["IN_PROCESS", "aggregate_bytes", "app_digest", "context_of", "declaration_bytes"]

IN_PROCESS = encode_fields("app", "none")
"""In place of the hash of an app, where all nodes run in one process."""

_NONE = encode_fields("none")


def context_of(
    roster: Roster,
    kind: Kind,
    number: int,
    app: bytes,
    run_config: Mapping[str, Any],
    declaration: bytes,
    aggregate: bytes,
) -> bytes:
    """Return the hash of all that an answer depends on beside the node's own data.

    Parameters
    ----------
    roster : Roster
        The session, and who takes part.
    kind : {'train', 'evaluate'}
        What is asked for.
    number : int
        The round, from 1.
    app : bytes
        As :func:`app_digest` gives it, or :data:`IN_PROCESS`.
    run_config : mapping
        The keys that are not the server's alone.
    declaration, aggregate : bytes
        As :func:`declaration_bytes` and :func:`aggregate_bytes` give them.
    """
    # All that a server could tell one node and not the others. Whatever is left out here it could
    # change at one of them, to have that one's numbers answer another question.
    config = json.dumps(dict(run_config), sort_keys=True)
    fields = encode_fields(
        CONTEXT,
        roster.session,
        kind,
        number,
        roster.to_bytes(),
        app,
        config,
        declaration,
        aggregate,
    )
    return hashlib.sha256(fields).digest()


def app_digest(files: Mapping[str, bytes]) -> bytes:
    """Return the hash of an app: of its sorted paths and contents, without byte code.

    Parameters
    ----------
    files : mapping of str to bytes
        Contents by path, with slashes.
    """
    fields: list[bytes | str | int] = []
    for path in sorted(files, key=str.encode):
        if not path.endswith(".pyc"):  # which each hospital's Python makes when it imports the app
            fields += [path, files[path]]
    return hashlib.sha256(encode_fields(*fields)).digest()


def declaration_bytes(fields: Sequence[tuple[str, Sequence[int], str, Grid]]) -> bytes:
    """Return what the words of an answer are, as it is hashed.

    Parameters
    ----------
    fields : sequence of tuple
        Key, shape, type and grid of each sum, in their order.
    """
    listed: list[bytes | str | int] = []
    for key, shape, kind, grid in fields:
        listed += [key, len(shape), *shape, kind, grid.bits, grid.exponent]
    return encode_fields(*listed)


def aggregate_bytes(payload: Payload | None) -> bytes:
    """Return the aggregate that a node was sent, as it is hashed; the analysis gets the same."""
    # To an analysis the two are one, so they must not have two hashes.
    if payload is None or payload.header == encode(None).header:
        return _NONE
    fields: list[bytes | str | int] = ["payload", payload.header]
    for array in payload.arrays:
        # As memory has it: who swapped two arrays, or the order of one, would show each analysis
        # other numbers under masks that cancel.
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        order: Literal["F", "C"] = "F" if is_fortran else "C"
        fields += [array.dtype.str, encode_fields(*array.shape), order, array.tobytes(order)]
    return encode_fields(*fields)
