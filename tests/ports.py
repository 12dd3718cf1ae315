"""Ports for the programs that the tests start, of which no two get the same one."""

import random
import socket
from itertools import count, islice

PORTS = range(10_000, 32_000)  # below those that the system gives to outgoing connections
_numbers = count(random.randrange(len(PORTS)))
_claims = []


def free_port():
    """Return a port of 127.0.0.1 that nobody listens on, and that no other test is given.

    A program takes seconds to listen on its port. Meanwhile one that the system chose may go to
    another program, and one SuperNode of a deployment was then missing for good.
    """
    for number in islice(_numbers, len(PORTS)):
        port = PORTS[number % len(PORTS)]
        try:
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("127.0.0.1", port))
            _claims.append(_claim(port))
        except OSError:
            continue
        return port
    raise OSError(f"no port from {PORTS.start} to {PORTS.stop} is free")


def _claim(port):
    """Take a name that one process of the system can have, as long as it lives."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0flame-flwr-test-port-{port}")
    except OSError:
        claim.close()
        raise
    return claim
