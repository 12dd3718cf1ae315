"""A server that answers as a SuperLink's ``/health`` does, from some moment on."""

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from ports import free_port


class Handler(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class HealthServer:
    """Listens on a free port of 127.0.0.1, which the block gets, until :meth:`stop`."""

    def __init__(self, context: ssl.SSLContext | None = None, delay: float = 0.0) -> None:
        self.port = free_port()
        self._context = context
        self._delay = delay
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._server: HTTPServer | None = None

    def __enter__(self) -> int:
        self._thread.start()
        if not self._delay:
            self._ready.wait(10)
        return self.port

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port."""
        self._ready.wait(10)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self._thread.join()

    def _serve(self) -> None:
        time.sleep(self._delay)
        self._server = server = HTTPServer(("127.0.0.1", self.port), Handler)
        if self._context is not None:
            server.socket = self._context.wrap_socket(server.socket, server_side=True)
        self._ready.set()
        server.serve_forever(0.02)
