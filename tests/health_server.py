"""A server that answers as a SuperLink's ``/health`` does."""

import ssl
import threading
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
    """Listens on a free port of 127.0.0.1, which the block gets, from start to stop."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self._context = context
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._server: HTTPServer | None = None

    def __enter__(self) -> int:
        self.start()
        return self.port

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._ready.wait(30)

    def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self._thread.join()

    def _serve(self) -> None:
        self._server = server = HTTPServer(("127.0.0.1", self.port), Handler)
        if self._context is not None:
            server.socket = self._context.wrap_socket(server.socket, server_side=True)
        self._ready.set()
        server.serve_forever(0.02)
