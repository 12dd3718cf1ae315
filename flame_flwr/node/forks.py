"""The fork server seen from the node: starting it, a process per message, ending them.

The other side is :mod:`flame_flwr.node.fork_server`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.log import logger
from flame_flwr.node.fork_server import MOST_REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.node.limits import Limits

__all__ = ["End", "ForkError", "Forks", "allowed_environment", "cause_of_end"]

_START_LIMIT = 120.0
_END_LIMIT = 5.0

_NAMES = (
    "CURL_CA_BUNDLE|FLAME_FLWR_SCRATCH|FLWR_DISABLE_UPDATE_CHECK|FLWR_TELEMETRY_ENABLED|HOME|LANG"
    "|LANGUAGE|LD_LIBRARY_PATH|LOGNAME|MPLBACKEND|NO_COLOR|PATH|POLARS_MAX_THREADS|SSL_CERT_DIR"
    "|SSL_CERT_FILE|TERM|TMPDIR|TZ|USER|VIRTUAL_ENV"
)
_PREFIXES = "BLIS|CUDA|GOMP|KMP|LC|MALLOC|MKL|NUMEXPR|NVIDIA|OMP|OPENBLAS|TORCH|VECLIB"
_ALLOWED = re.compile(f"{_NAMES}|({_PREFIXES})_[A-Z0-9_]+|PYTHON[A-Z]*")
"""Variables of the node's environment that the processes of messages have."""


class ForkError(Exception):
    """There is no process for a message."""


class End(NamedTuple):
    """How a process ended.

    Attributes
    ----------
    code : int or None
        Its exit code, negative for a signal; ``None`` where nobody knows.
    limit : str
        The limit at which it was ended; empty for none.
    """

    code: int | None
    limit: str = ""


class Forks:
    """A fork server, started anew where it has ended.

    Parameters
    ----------
    preload : sequence of str
        Modules that apps need, imported once and not in every message.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = tuple(preload)
        self._start()

    def close(self) -> None:
        """End the fork server, and with it every process of a message."""
        self._control.close()
        try:
            self._server.wait(timeout=_END_LIMIT)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def fork(
        self,
        theirs: socket.socket,
        limits: Limits,
        sandbox: Sequence[str] = (),
        fence: Mapping[str, Sequence[str]] | None = None,
    ) -> int:
        """Return the id of a new process that has the other end of a message's socket.

        Parameters
        ----------
        theirs : socket
            One end of a socket pair; closed here.
        limits : Limits
            At which the process is ended.
        sandbox : sequence of str
            Bubblewrap's command, as :mod:`flame_flwr.node.sandbox` gives it; empty for none.
        fence : mapping, optional
            What :func:`flame_flwr.node.linux.fence` takes; its folder for temporary files, which
            may be written, is not in there.

        Raises
        ------
        ForkError
            There is none, also of a new fork server; the sandbox cannot be made.
        """
        asked = {"limits": limits.to_json(), "sandbox": list(sandbox), "fence": fence}
        request = json.dumps(asked).encode()
        if len(request) > MOST_REQUEST:
            raise ForkError("the sandbox would have too many folders")
        with theirs:
            for attempt in (1, 2):  # it may have ended since, as where memory ran out
                try:
                    socket.send_fds(self._control, [request], [theirs.fileno()])
                    event = self._event({"started", "failed"}, _START_LIMIT)
                    break
                except (OSError, EOFError) as error:
                    if attempt == 2:
                        raise ForkError(str(error)) from error
                    logger.warning("the fork server has ended: starting another")
                    self.close()
                    self._start()
        if event["event"] == "failed":
            raise ForkError(event["why"])
        return int(event["pid"])

    def end(self, pid: int) -> End:
        """Wait for a process that has answered; end it where it goes on. Return how it ended."""
        with contextlib.suppress(EOFError, OSError):  # which is also what a wait's limit raises
            try:
                event = self._event({"ended"}, _END_LIMIT, pid)
            except TimeoutError:
                self._control.send(json.dumps({"kill": pid}).encode())
                event = self._event({"ended"}, _END_LIMIT, pid)
            return End(int(event["code"]), event["limit"])
        # Without the fork server the kernel ends this process, but not what it has started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        return End(None)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            # -P: what lies in the folder that the node was started in is no module of it.
            command = [sys.executable, "-P", "-m", "flame_flwr.node.fork_server", str(number)]
            self._server = subprocess.Popen(  # noqa: S603  (this Python)
                [*command, *self._preload],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                env=allowed_environment(os.environ),
                process_group=0,  # Ctrl-C at a terminal is the node's, which then ends this one
            )
        ready = self._event({"ready"}, _START_LIMIT)
        for module, why in ready["missing"].items():
            logger.warning("%s is not preloaded: %s", module, why)

    def _event(self, names: set[str], limit: float, pid: int | None = None) -> dict[str, Any]:
        """Return the next event of some kinds, of one process where `pid` names it.

        Raises
        ------
        TimeoutError
            There is none within `limit` seconds.
        EOFError
            The fork server has ended.
        """
        deadline = time.monotonic() + limit
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._control], [], [], left)[0]:
                expected = " or ".join(sorted(names))
                raise TimeoutError(f"no {expected} from the fork server within {limit:.0f} s")
            data = self._control.recv(1 << 16)
            if not data:
                raise EOFError("the fork server has ended")
            event: dict[str, Any] = json.loads(data)
            # Others are passed over: a process that was given up on says later that it has ended.
            if event["event"] in names and pid in (None, event.get("pid")):
                return event


def cause_of_end(code: int | None) -> str:
    """Say how a process ended that gave no answer."""
    if code is None:
        return "the process of the message ended without an answer, and with it the fork server"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"the process of the message was ended by {name}"
    return f"the process of the message ended with exit code {code}, without an answer"


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment a message's process may have: nobody keeps a secret there.

    That is where programs and libraries are, language and time zone, and how many threads
    numerical libraries start.

    Examples
    --------
    >>> allowed_environment({"PATH": "/bin", "OMP_NUM_THREADS": "2", "STUDY_PASSWORD": "x"})
    {'PATH': '/bin', 'OMP_NUM_THREADS': '2'}
    """
    return {name: text for name, text in environment.items() if _ALLOWED.fullmatch(name)}
