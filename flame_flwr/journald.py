"""Entries for systemd's journal, over its own socket."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["send_to_journal"]

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "flame-flwr-audit"

_LIMIT = 10.0
_NOTICE = 5


def send_to_journal(fields: Mapping[str, str]) -> None:
    """Send one entry, as https://systemd.io/JOURNAL_NATIVE_PROTOCOL describes.

    Parameters
    ----------
    fields : mapping of str to str
        ``MESSAGE`` and others; values have no line ends.

    Raises
    ------
    OSError
        There is no journal, or it does not take the entry.
    """
    every = {**fields, "PRIORITY": str(_NOTICE), "SYSLOG_IDENTIFIER": IDENTIFIER}
    entry = "".join(f"{key}={value}\n" for key, value in every.items()).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.settimeout(_LIMIT)
        journal.connect(SOCKET)
        try:
            journal.send(entry)
        except OSError as error:
            # Both mean that it is too large for a datagram; systemd's own client takes them so.
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            _send_as_file(journal, entry)


def _send_as_file(journal: socket.socket, entry: bytes) -> None:
    """Send what is too large for a datagram: a sealed file in memory."""
    handle = os.memfd_create("journal-entry", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        file.write(entry)
        file.flush()
        # journald takes a file in memory only if nobody can change it any more.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
        socket.send_fds(journal, [b""], [handle])
