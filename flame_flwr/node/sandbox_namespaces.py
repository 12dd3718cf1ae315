"""The sandbox of one message: namespaces that bubblewrap makes, and a forked process joins.

Bubblewrap starts programs, and a new Python per message would cost a second. So it starts ``cat``,
which keeps the namespaces as long as its input is open; the message's process is forked as ever and
joins them. When ``cat`` ends, the kernel ends every process in there, whatever its session.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from flame_flwr.folder_trees import identity
from flame_flwr.node.linux import join_namespaces, leave_keyring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.folder_trees import Identity

__all__ = ["SandboxError", "SandboxNamespaces"]

_START_LIMIT = 20.0
_MOST_WORDS = 1 << 16


class SandboxError(Exception):
    """A sandbox could not be made."""


class SandboxNamespaces:
    """Namespaces for one message: bubblewrap is started here, and :meth:`is_ready` waits for it.

    Parameters
    ----------
    command : sequence of str
        Bubblewrap and its options.

    Raises
    ------
    SandboxError
        Bubblewrap cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._places = _identities(command)  # first: what is replaced in between is noticed then
        info, theirs = os.pipe()
        try:
            # Bubblewrap has its keyring from this process, and an app that traces it finds the keys
            # there: neither the node's may be among them, nor what another app has left.
            leave_keyring()
            self._bubblewrap = subprocess.Popen(  # noqa: S603  (as the node has found it)
                [*command, "--info-fd", str(theirs), "--", "cat"],
                pass_fds=[theirs],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Not the node's log: an app finds bubblewrap's processes in its own /proc, and may
                # open what these have open, to read and forge what the log says.
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin"},
                bufsize=0,
            )
            # By handle: the number of a process that has ended may by now be another's.
            self._handles = [os.pidfd_open(self._bubblewrap.pid)]
        except OSError as error:
            os.close(info)
            raise SandboxError(f"bubblewrap cannot be started: {error.strerror}") from error
        finally:
            os.close(theirs)
        self._info = info
        assert self._bubblewrap.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already: `is_ready` says so
            self._bubblewrap.stdin.write(b"\n")

    @property
    def pid(self) -> int:
        """The process that is to be waited for when these end."""
        return self._bubblewrap.pid

    def fits(self, command: Sequence[str]) -> bool:
        """Tell whether these are what bubblewrap would make of a command now.

        A mount stays what it was made of: of data that a hospital has replaced since, it shows what
        there was before, and a key that was replaced is not masked any more.
        """
        return self.command == list(command) and self._places == _identities(command)

    def is_ready(self) -> bool:
        """Wait until the namespaces are there; return whether bubblewrap could make them.

        Where it could not, its words go to standard error.
        """
        if self._can_be_joined():
            return True
        assert self._bubblewrap.stderr is not None
        os.set_blocking(self._bubblewrap.stderr.fileno(), False)  # it may be there still, and hang
        words = self._bubblewrap.stderr.read(_MOST_WORDS) or b""
        print(words.decode(errors="replace"), end="", file=sys.stderr, flush=True)
        return False

    def _can_be_joined(self) -> bool:
        deadline = time.monotonic() + _START_LIMIT
        assert self._bubblewrap.stdout is not None
        # What is written to `cat` comes back when all is mounted, and not before.
        if self._read(self._bubblewrap.stdout.fileno(), deadline) != b"\n":
            return False
        text = b""
        while not text.rstrip().endswith(b"}"):  # a pipe need not give all of it at once
            if not (more := self._read(self._info, deadline)):
                return False
            text += more
        try:
            self._handles.insert(0, os.pidfd_open(int(json.loads(text)["child-pid"])))
        except ProcessLookupError:
            return False
        return True

    def join(self) -> None:
        """Move this process into them; what it forks is all the way in.

        Raises
        ------
        OSError
            The kernel refuses.
        """
        join_namespaces(self._handles[0])

    def end(self) -> None:
        """End every process in there."""
        # The first process of a process namespace takes all others with it, daemons too; bubblewrap
        # outside only waits for it, and need not be waited for.
        while self._handles:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._handles[0], signal.SIGKILL)
            os.close(self._handles.pop(0))
        for stream in (self._bubblewrap.stdin, self._bubblewrap.stdout, self._bubblewrap.stderr):
            if stream is not None:
                stream.close()
        if self._info >= 0:
            os.close(self._info)
            self._info = -1
        self._bubblewrap.returncode = 0  # the fork server waits for all its children by itself

    def _read(self, descriptor: int, deadline: float) -> bytes:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            return b""
        return os.read(descriptor, 4096)


def _identities(command: Sequence[str]) -> list[Identity | None]:
    """Return which files and folders lie at the places that a command names."""
    return [_identity_of(part) for part in command if part.startswith("/")]


def _identity_of(path: str) -> Identity | None:
    with contextlib.suppress(OSError):
        return identity(os.stat(path))
    return None
