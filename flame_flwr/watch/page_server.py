"""Serves a page on 127.0.0.1, at a free port and an address that has a secret."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import TYPE_CHECKING

import uvicorn
from starlette.responses import Response
from starlette.routing import Route

from flame_flwr.errors import ConfigError
from flame_flwr.processes.threads import call_beside
from flame_flwr.watch.guard import Guard, new_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

__all__ = ["PageServer", "static_routes"]

_HOST = "127.0.0.1"
_MOST_CONNECTIONS = 64
_GRACE = 1
"""Seconds that open pages have at the end: each has a connection on which events come."""

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}


class PageServer:
    """A page on this machine, ready to be served: its port is taken.

    Parameters
    ----------
    app : ASGI app
        The page, such as a ``Starlette``; it is put behind a :class:`Guard`.
    port : int
        Where; 0 for one that is free.

    Attributes
    ----------
    url : str
        The address to open, with its secret.

    Raises
    ------
    ConfigError
        The port is taken.

    Examples
    --------
    >>> import httpx
    >>> from starlette.applications import Starlette
    >>> from starlette.responses import PlainTextResponse
    >>> page = Starlette(routes=[Route("/", lambda request: PlainTextResponse("it runs"))])
    >>> with PageServer(page).in_background() as url:
    ...     httpx.get(url).text
    'it runs'
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        token = new_token()
        self._socket = _bound(port)
        config = uvicorn.Config(
            Guard(app, token),
            lifespan="off",
            ws="none",
            # A line per request would be drawn into the log of a run, with the secret in it.
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = uvicorn.Server(config)
        self.url = f"http://{_HOST}:{self._socket.getsockname()[1]}/{token}/"

    def serve(self) -> None:
        """Serve the page until Ctrl-C."""
        with suppress(KeyboardInterrupt):
            self._server.run([self._socket])

    @contextmanager
    def in_background(self) -> Iterator[str]:
        """Serve the page within the block, and give its address."""
        thread = call_beside(lambda: self._server.run([self._socket]), "page")
        try:
            yield self.url
        finally:
            self._server.should_exit = True  # uvicorn looks at it ten times a second
            thread.join(_GRACE + 5)


def static_routes(package: str, names: Mapping[str, str]) -> list[Route]:
    """Return routes to files that are installed with this package.

    Parameters
    ----------
    package : str
        The package whose folder they are in, such as ``"flame_flwr.watch"``.
    names : dict of str to str
        The files by the paths that they get, such as ``{"/": "static/runs.html"}``.
    """
    return [_static(path, package, name) for path, name in names.items()]


def _static(path: str, package: str, name: str) -> Route:
    content = files(package).joinpath(name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]

    async def show(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(path, show)


def _bound(port: int) -> socket.socket:
    """Return a socket of this machine alone."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Else the port of a page that has just ended could not be had again for a minute.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((_HOST, port))
        bound.listen()  # a browser that asks before the page is served waits, and is not refused
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"port {port} of this machine cannot be had ({error.strerror}): say another --port, or "
            "none, and a free one is taken"
        ) from error
    return bound
