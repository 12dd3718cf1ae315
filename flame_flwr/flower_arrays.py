"""Arrays that arrive, put together from their chunks without being held three times.

In place of Flower's own ``Array.inflate``, wherever a message is put together: on the server, and
on a node.
"""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from flwr.app import Array

from flame_flwr.installed.versions import moved

try:
    from flwr.supercore.inflatable.inflatable_object import (
        get_object_body,
        get_object_children_ids_from_object_content,
    )
    from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry
except ImportError as error:
    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MessageTooLargeError", "lean_arrays"]


class MessageTooLargeError(Exception):
    """A reply has more bytes than may be, or grows to more when it is put together."""


@contextmanager
def lean_arrays(most: int | None = None) -> Iterator[None]:
    """Put arrays that arrive within the block together in one buffer, chunk by chunk.

    Flower's own ``Array.inflate`` holds an array three times while it does so: its chunks, a
    buffer that grows, and a copy of it. Here a chunk is let go when it has been copied.

    Parameters
    ----------
    most : int, optional
        How many bytes the arrays may have together: an array may name a chunk many times.
    """
    # Flower looks classes up by name in this dict (1.41, 1.42), and has no other place to plug in.
    registry = cast(dict[str, Any], inflatable_class_registry)
    flowers = registry[Array.__name__]
    registry[Array.__name__] = _LeanArray(most)
    try:
        yield
    finally:
        registry[Array.__name__] = flowers


class _LeanArray:
    """Stands for Flower's ``Array`` where objects are put together."""

    def __init__(self, most: int | None) -> None:
        self._left = most

    def inflate(self, content: bytes, children: dict[str, Any] | None = None) -> Array:
        chunks = dict(children or {})
        about = json.loads(get_object_body(content, Array))
        ids = get_object_children_ids_from_object_content(content)
        # The sender's choice: an index may be anything, and one chunk be named a million times.
        places = [ids[number] for number in about["arraychunk_ids"]]
        if set(places) != set(chunks):
            raise ValueError("an array that arrived has not the chunks that it names")
        sizes = {place: len(chunk.data) for place, chunk in chunks.items()}
        self._spend(sum(sizes[place] for place in places))
        first: dict[str, int] = {}
        last = {place: number for number, place in enumerate(places)}
        buffer = io.BytesIO()  # gives its bytes away without a copy
        for number, place in enumerate(places):
            first.setdefault(place, buffer.tell())
            buffer.write(chunks[place].data)
            if last[place] == number:
                chunks[place].data = memoryview(b"")
        data = buffer.getvalue()
        # Another array may have an equal chunk, which is this very object: it finds the bytes here.
        for place, begin in first.items():
            chunks[place].data = memoryview(data)[begin : begin + sizes[place]]
        return Array(
            dtype=about["dtype"], shape=tuple(about["shape"]), stype=about["stype"], data=data
        )

    def _spend(self, size: int) -> None:
        if self._left is None:
            return
        self._left -= size
        if self._left < 0:
            raise MessageTooLargeError
