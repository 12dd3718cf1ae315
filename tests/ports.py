"""Ports for the programs that the tests start, of which no two get the same one."""

import os
import random
import socket
from itertools import count, islice

WORKERS = 16
PORTS = range(10_000, 32_000)  # below those that the system gives to outgoing connections
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_ports = (
    PORTS.start + WORKERS * (number % (len(PORTS) // WORKERS)) + _worker
    for number in count(random.randrange(len(PORTS)))
)


def free_port():
    """Return a port of 127.0.0.1 that nobody listens on, and that no other test is given.

    A program takes seconds to listen on its port. Meanwhile one that the system chose may go to
    another program, and one SuperNode of a deployment was then missing for good.
    """
    for port in islice(_ports, len(PORTS) // WORKERS):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no port from {PORTS.start} to {PORTS.stop} is free")
