"""Runs a command that reaches the SuperLink through a proxy, with the analyst's certificate.

Flower's own client sends no certificate. So the command gets an address on this host for as long
as it runs, and what it sends there goes on to the server over TLS, with the certificate.

``python -m flame_flwr.deploy.forwarder NAME HOST:PORT FOLDER COMMAND...``; the folder has
``ca.pem``, ``analyst.pem`` and ``analyst.key``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Forwarder", "run"]

_LIMIT = 15.0
"""Seconds within which the server has to take a connection."""


class Forwarder:
    """Takes connections on 127.0.0.1, and makes each of them one to the server.

    Parameters
    ----------
    server : str
        The server, ``HOST:PORT``.
    folder : Path
        Where the CA's certificate is, and the analyst's with its key.
    """

    def __init__(self, server: str, folder: Path) -> None:
        host, _, port = server.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._tls = ssl.create_default_context(cafile=f"{folder / 'ca.pem'}")
        self._tls.load_cert_chain(folder / "analyst.pem", folder / "analyst.key")
        self._said = ""

    async def start(self) -> int:
        """Begin to take connections; return the port."""
        listening = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return int(listening.sockets[0].getsockname()[1])

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Somebody else on this host has no certificate, and gets no use of this one.
            if _is_own(writer.get_extra_info("peername")[1]):
                there = asyncio.open_connection(self._host, self._port, ssl=self._tls)
                server_reader, server_writer = await asyncio.wait_for(there, _LIMIT)
                ways = (_copy(reader, server_writer), _copy(server_reader, writer))
                await asyncio.gather(*ways)
        except OSError as error:  # of TLS and of the limit, too
            self._say(f"{error}" or f"no answer within {_LIMIT:g} s")
        finally:
            writer.close()

    def _say(self, why: str) -> None:
        """Say once why the server cannot be reached; the command tries again and again."""
        if why != self._said:
            self._said = why
            sys.stderr.write(f"connect.sh: {self._host}:{self._port} cannot be reached: {why}\n")


async def run(name: str, server: str, folder: Path, command: Sequence[str]) -> int:
    """Run a command with a connection of its own; return how it ended.

    Parameters
    ----------
    name : str
        The connection's name, as the command says it.
    server : str
        The server, ``HOST:PORT``.
    folder : Path
        As for :class:`Forwarder`.
    command : sequence of str
        The command.
    """
    port = await Forwarder(server, folder).start()
    with tempfile.TemporaryDirectory(prefix="flame-flwr-") as home:
        Path(home, "config.toml").write_text(
            f'[superlink]\ndefault = "{name}"\n\n[superlink.{name}]\n'
            f'address = "127.0.0.1:{port}"\ninsecure = true\n'
        )
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "FLWR_HOME": home}
        )
        loop = asyncio.get_running_loop()
        # Ctrl-C reaches the command by itself, which then needs this process for its last words.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, process.terminate)
        code = await process.wait()
    return code if code >= 0 else 128 - code


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until there is no more; an end of one way ends both."""
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()  # or an app of gigabytes would be held here for a slow server
    writer.close()


def _is_own(port: int) -> bool:
    """Tell whether a connection from a port of this host is this user's.

    Only Linux can say; elsewhere everybody on this host is taken to be.
    """
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return True
    for line in lines:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}":  # 127.0.0.1, as proc(5) has the command's end
            return int(fields[7]) == os.getuid()
    return False


if __name__ == "__main__":
    raise SystemExit(asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])))
