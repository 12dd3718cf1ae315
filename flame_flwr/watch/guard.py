"""What stands before a page on this machine: who may ask, what may be asked, what a browser may do.

A page on 127.0.0.1 can be asked by every user of the machine, and by every web page that its user
has open. So its address has a secret, a page of another origin is refused, a name that was bound to
127.0.0.1 to get around that is refused too, and nothing but reading is there at all.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["FILE_POLICY", "Guard", "new_token"]

_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""With any port: a page that comes through ``ssh -L`` has the port of the other end."""

_METHODS = frozenset({"GET", "HEAD"})

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

FILE_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a file that the page did not make: shown, without any right."""

_HEADERS = {
    "content-security-policy": _PAGE_POLICY,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def new_token() -> str:
    """Return a secret for a page's address: 192 bits, as text that an address takes as it is."""
    return secrets.token_urlsafe(24)


class Guard:
    """An ASGI app in front of another one: it lets through what its own page asks, and no more.

    The secret is the first part of the path, ``/SECRET/``, so that whatever a page names relative
    to itself has it, and no cookie is needed, which another server on this machine would get.

    Parameters
    ----------
    app : ASGI app
        What is guarded. It sees paths without the secret.
    token : str
        The secret.

    Examples
    --------
    >>> from starlette.applications import Starlette
    >>> from starlette.responses import PlainTextResponse
    >>> from starlette.routing import Route
    >>> page = Starlette(routes=[Route("/", lambda request: PlainTextResponse("it runs"))])
    >>> guarded = Guard(page, "secret")  # for uvicorn: served at http://127.0.0.1:PORT/secret/
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no page here opens a web socket
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        inner = dict(scope)
        inner["root_path"] = f"/{self._token.decode()}"
        await self._app(inner, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        """Return what a request that may not be answered gets."""
        headers = Headers(scope=scope)
        # A foreign name that was made to lead to 127.0.0.1 (DNS rebinding) is in this header.
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in _HOSTS and host not in _HOSTS:
            return PlainTextResponse("this page answers to 127.0.0.1 and localhost only\n", 421)
        if "origin" in headers and headers["origin"] != f"http://{host}":
            return PlainTextResponse("this page answers to itself only\n", 403)
        # As bytes: of texts, compare_digest takes ASCII alone. It takes as long for a good guess as
        # for a bad one.
        given = scope["path"].removeprefix("/").partition("/")[0].encode("utf-8", "replace")
        if not secrets.compare_digest(given, self._token):
            return PlainTextResponse(
                "the address has no valid token: open the one that the command has printed\n", 403
            )
        if scope["method"] not in _METHODS:
            return PlainTextResponse(
                "this page can be read, and nothing else\n", 405, {"allow": "GET, HEAD"}
            )
        return None


def _with_headers(send: Send) -> Send:
    """Return a `send` that adds the headers which every answer has; the app's own stay."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
