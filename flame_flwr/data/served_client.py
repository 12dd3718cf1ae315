"""``get_data_client`` in the process of a message: its requests are made by the node.

GET only, and only below the base of the FHIR server: the node adds credentials, and has the last
word on both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from flame_flwr.data.fhir_http import HEADERS, TIMEOUT
from flame_flwr.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.data.served_data import Served

__all__ = ["served_client"]


def served_client(ask: Callable[..., Served], base: str) -> httpx.AsyncClient:
    """Return a client for a FHIR server, which the caller closes.

    Parameters
    ----------
    ask : callable
        Asks the node about this server.
    base : str
        The server's base, which addresses are relative to.
    """
    return httpx.AsyncClient(
        base_url=base, headers=HEADERS, timeout=TIMEOUT, transport=_NodeTransport(ask)
    )


class _NodeTransport(httpx.AsyncBaseTransport):
    """Sends requests through the node, one after another."""

    def __init__(self, ask: Callable[..., Served]) -> None:
        self._ask = ask

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET" or await request.aread():
            raise UnavailableError(
                "get_data_client: the node passes on GET requests without a body only; a search "
                "goes into the address, behind a `?`"
            )
        headers = [[name, text] for name, text in request.headers.multi_items()]
        with self._ask("get", url=str(request.url), headers=headers) as served:
            answer = served.answer
            if "no-answer" in answer:
                kind, text = answer["no-answer"]
                raise getattr(httpx, kind)(text, request=request)
            [body] = served.contents([(0, answer["size"])])
        told = [(name, text) for name, text in answer["headers"]]
        return httpx.Response(answer["status"], headers=told, content=body, request=request)
