"""The file of an audit log: lines of JSON, each of which holds the hash of the one before it.

``audit.jsonl`` has the lines, and ``audit.jsonl.chain`` beside it says where the chain has come to:
so it goes on after ``logrotate`` has moved the log away, and a log that was cut at its end is
found. The first line of a file says that the one before it was moved away, where it lay beside it
then. :mod:`flame_flwr.privacy.audit_verify` follows the chain. What is said of an answer is the
business of :mod:`flame_flwr.clients.audit`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError
from flame_flwr.files import reason_of
from flame_flwr.journald import send_to_journal
from flame_flwr.log import logger
from flame_flwr.privacy.audit_chain import Link, chain_path, last_link, was_moved
from flame_flwr.privacy.log_handles import locked, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["AuditLog"]


class AuditLog:
    """A file to which lines are added, each chained to the last.

    Several processes may add lines to one file, and the chain goes on over restarts and after the
    file has been moved away.

    Parameters
    ----------
    path : str
        An absolute path, `audit-log` in the node config.
    journal : bool
        Whether systemd's journal gets every line, too: `audit-journal` in the node config. Who
        changes the file cannot change the journal with it.

    Examples
    --------
    >>> import tempfile
    >>> log = AuditLog(tempfile.mkdtemp() + "/audit.jsonl")
    >>> log.append({"node": "hospital-a"}).number, log.append({"node": "hospital-a"}).number
    (1, 2)
    """

    def __init__(self, path: str, *, journal: bool = False) -> None:
        self.path = path
        self.journal = journal

    def check(self) -> None:
        """See that lines can be added.

        Raises
        ------
        ConfigError
            The file cannot be written, is a link, or others may write to it.
        """
        with self._written(), self._opened():
            pass

    def append(self, entry: Mapping[str, Any]) -> Link:
        """Add a line, and wait until it is on the disk.

        Parameters
        ----------
        entry : mapping of str to JSON values
            What the line says; its place in the chain is put before it.

        Raises
        ------
        ConfigError
            The line cannot be written, or systemd's journal does not take it.
        """
        with self._written():
            with self._opened() as (chain, log):
                last, unchained, is_first = last_link(chain, log)
                place: dict[str, Any] = {"number": last.number + 1, "previous": last.sha256}
                if is_first and was_moved(self.path, last):
                    place["begins"] = True
                if unchained:
                    place["unchained"] = unchained.sha256
                    logger.warning(
                        "the audit log has text that is not of its chain before line %d, such as "
                        "an older log's, or a line that was cut off by a crash: `flame-flwr node "
                        "log --verify` says more",
                        last.number + 1,
                    )
                # Its place stands first for people, and counts last: an entry cannot change it.
                line = json.dumps({**place, **entry, **place}).encode()
                # What was cut off gets its end, so that this line begins one of its own.
                broken = b"\n" if unchained and not unchained.ended else b""
                # The log before the chain: a crash in between leaves a line that is one ahead, and
                # the chain goes on from it. The other way round, one would be missing for ever.
                _write(log, broken + line + b"\n")
                added = Link(last.number + 1, hashlib.sha256(line).hexdigest())
                # Always the same length, in place: that needs no room on a full disk.
                os.pwrite(chain, f"{added.number:020d} {added.sha256}\n".encode(), 0)
                os.fsync(chain)
            if self.journal:
                self._send(line)
        return added

    def _send(self, line: bytes) -> None:
        try:
            send_to_journal({"MESSAGE": line.decode(), "FLAME_AUDIT_LOG": self.path})
        except OSError as error:
            raise ConfigError(
                f"{reason_of(error)}: systemd's journal does not take the line that "
                "`audit-journal` in this node's config asks for, and without it no answer leaves "
                "this node",
                detail=str(error),
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, int]]:
        """Give the files of the chain and of the log, locked against other processes."""
        os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
        chain = open_log(chain_path(self.path), os.O_RDWR)
        try:
            with locked(chain):
                # Opened only now: the log may have been moved away while another had the lock.
                log = open_log(self.path, os.O_RDWR | os.O_APPEND)
                try:
                    yield chain, log
                finally:
                    os.close(log)
        finally:
            os.close(chain)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"{reason_of(error)}: "
                f"`audit-log` in this node's config cannot be written ({type(error).__name__}), "
                "and without it no answer leaves this node",
                detail=str(error),
            ) from error


def _write(log: int, data: bytes) -> None:
    # In one call: a second one might not find the file's end where the first has left it.
    if os.write(log, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(log)
