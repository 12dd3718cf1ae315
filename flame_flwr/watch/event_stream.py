"""Server-sent events: what has changed is sent to a page, as long as it is open.

A page's script says ``new EventSource("events")`` and listens to the parts by their names. What it
shows is looked for here, again and again, so nobody has to tell that something has changed.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

__all__ = ["as_json", "changes", "event_stream"]

_ALIVE = 10.0
"""Seconds after which a line is sent that says nothing, so that a page that is gone is noticed."""


def event_stream(look: Callable[[], Mapping[str, Any]], every: float = 0.5) -> StreamingResponse:
    """Return the answer to an ``EventSource``: parts of a page, each sent when it has changed.

    Parameters
    ----------
    look : callable
        Returns the parts by their names, as what JSON can hold. It is called in another thread, so
        it may read files.
    every : float
        Seconds between two looks.
    """
    return StreamingResponse(changes(look, every), media_type="text/event-stream")


async def changes(
    look: Callable[[], Mapping[str, Any]], every: float = 0.5
) -> AsyncIterator[bytes]:
    r"""Yield events for ever; see :func:`event_stream`.

    Examples
    --------
    >>> async def first():
    ...     return await anext(changes(lambda: {"node": {"state": "computing"}}))
    >>> asyncio.run(first())
    b'event: node\ndata: {"state":"computing"}\n\n'
    """
    sent: dict[str, str] = {}
    spoke = time.monotonic()
    while True:
        # In a thread: a look reads files or asks a store, and other pages are not to wait for it.
        for name, part in (await run_in_threadpool(look)).items():
            text = as_json(part)
            if sent.get(name) != text:
                sent[name], spoke = text, time.monotonic()
                yield f"event: {name}\ndata: {text}\n\n".encode()
        if time.monotonic() - spoke > _ALIVE:
            spoke = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(every)


def as_json(value: Any) -> str:
    """Return JSON in one line; a number that JSON does not have is ``null``.

    Examples
    --------
    >>> as_json({"loss": float("nan"), "rounds": (1, 2)})
    '{"loss":null,"rounds":[1,2]}'
    """
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
