"""What a start script checks before it starts Flower, which would answer with a traceback.

``python -m flame_flwr.deploy.ready HOST PORT [NODE_TOML]`` ends with 3 after one line that says
what is in the way.
"""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path

from flame_flwr.errors import ConfigError
from flame_flwr.text.textfiles import read_settings

__all__ = ["main", "obstacle"]

_MENDS = {
    errno.EADDRINUSE: "another program listens there, such as one that was started before "
    "(`ss -ltnp` names it): stop that one, or set FLAME_PORT to a free port",
    errno.EADDRNOTAVAIL: "this host has no such address",
    errno.EACCES: "ports below 1024 are for root: set FLAME_PORT to another one",
}

_EVERYWHERE = ", and FLAME_SERVER to HOST:PORT with it for all that connect to this server"


def obstacle(host: str, port: int, config: Path | None = None) -> str:
    """Return what would keep Flower from starting; empty where there is nothing.

    Parameters
    ----------
    host, port : str, int
        What the program is to listen on.
    config : Path, optional
        The node's ``node.toml``; the server has none.
    """
    if config is not None:
        try:
            read_settings(config, by_flower=True)
        except ConfigError as error:
            return error.message
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        # As Flower's own does: else a port that was closed a moment ago would seem to be taken.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
        except (OSError, OverflowError) as error:
            number = error.errno if isinstance(error, OSError) else None
            said = error.strerror if isinstance(error, OSError) else error
            mend = _MENDS.get(number or 0, "name another address or port")
            if config is None and "FLAME_PORT" in mend:
                mend += _EVERYWHERE
            return f"port {port} of {host} cannot be listened on: {said}; {mend}"
    return ""


def main(arguments: list[str]) -> None:
    """Say what is in the way, and end with 3 then.

    Parameters
    ----------
    arguments : list of str
        Those of the program.
    """
    said = obstacle(arguments[0], int(arguments[1]), *map(Path, arguments[2:]))
    if said:
        sys.stderr.write(f"{said}\n")
        raise SystemExit(3)


if __name__ == "__main__":
    main(sys.argv[1:])
