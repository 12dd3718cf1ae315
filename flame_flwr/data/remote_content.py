"""From the content of a remote source, as it came or was kept, to what an analysis gets of it."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flame_flwr.data.fhir_bundles import merge_pages
from flame_flwr.data.table_pieces import as_frame, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed import ReadableBuffer

__all__ = ["joined", "value_of"]


def value_of(kind: str, contents: Sequence[bytes]) -> Any:
    """Return a bundle of the pages of a search, a table of its pieces, or a file's bytes.

    Parameters
    ----------
    kind : str
        What they are of: ``fhir``, ``sql`` or ``s3``.
    contents : sequence of bytes
        As :meth:`~flame_flwr.data.source.RemoteSource.fetch` hands them on for one key.
    """
    if kind == "fhir":
        return merge_pages([json.loads(page) for page in contents])
    if kind == "sql":
        return as_frame([unpack(piece) for piece in contents])
    [content] = contents
    return content


def joined(pieces: Iterable[ReadableBuffer], size: int) -> bytes:
    r"""Return pieces as one, without ever holding the content in memory twice.

    Parameters
    ----------
    pieces : iterable of bytes
        As they come.
    size : int
        How many bytes they should have together, 1 or more. The result has those that came.

    Examples
    --------
    >>> joined([b"age\n", b"54\n"], 7)
    b'age\n54\n'
    """
    buffer = BytesIO()
    buffer.seek(size - 1)
    buffer.write(b"\0")  # the whole size at once: a buffer that grows is copied again and again
    buffer.seek(0)
    for piece in pieces:
        buffer.write(piece)
    buffer.truncate()
    return buffer.getvalue()
