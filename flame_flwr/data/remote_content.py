"""From the content of a remote source, as it came or was kept, to what an analysis gets of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flame_flwr.data.fhir_bundles import merge_pages
from flame_flwr.data.table_pieces import as_frame, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["value_of"]


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
