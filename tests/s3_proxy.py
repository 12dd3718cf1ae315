"""A TCP proxy before a test server: counts what passes, cuts connections, keeps silent."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on to a server; in ``with``.

    Parameters
    ----------
    server : str
        The server's URL.
    cut_after : int, optional
        Bytes of the server's answers after which a connection is cut.
    cuts : int
        How many connections are cut.
    """

    def __init__(self, server, cut_after=None, cuts=0):
        parts = urlsplit(server)
        self._server = (parts.hostname, parts.port)
        self._cut_after = cut_after
        self._lock = threading.Lock()
        self._sockets = []
        self._threads = []
        self.cuts_left = cuts
        self.received = 0
        self.open = self.most_open = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *error):
        for end in (self._listener, *self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(timeout=20)

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            with self._lock:
                self.open += 1
                self.most_open = max(self.most_open, self.open)
            self._sockets += [client, server]
            self._start(self._pass, client, server, False)
            self._start(self._pass, server, client, True)

    def _pass(self, source, target, counted):
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if counted:
                    with self._lock:
                        self.received += len(data)
                        cut = self.cuts_left and self._cut_after and passed > self._cut_after
                        if cut:
                            self.cuts_left -= 1
                    if cut:
                        break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if counted:
            with self._lock:
                self.open -= 1
