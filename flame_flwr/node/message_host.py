"""Has messages answered by forked processes: the node's side of :mod:`flame_flwr.node.fork_server`.

One message at a time, as Flower's SuperNode hands them over.
"""

from __future__ import annotations

import inspect
import json
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from flwr.app import Error, Message, Metadata

from flame_flwr.flower_node import CRASHED, RAISED, UNLOADED, Answer
from flame_flwr.log import logger
from flame_flwr.node import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.flower_node import NodeMessage

__all__ = ["MessageHost"]

_METADATA = tuple(inspect.signature(Metadata).parameters)
_START_LIMIT = 120.0
_END_LIMIT = 5.0


class MessageHost:
    """Answers messages, each in a process of its own.

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

    def answer(self, asked: NodeMessage) -> Answer:
        """Have one message answered.

        Returns
        -------
        Answer
            The reply, and the state that the analysis has at this node afterwards; ``None`` where
            it stays as it was, as the app has raised or its process has died.
        """
        ours, theirs = socket.socketpair()
        with ours:
            try:
                pid = self._fork(theirs)
            except (OSError, EOFError) as error:
                return _crashed(asked, f"no process for the message could be started: {error}")
            try:
                wire.send(ours, *_request(asked))
                frame = wire.receive(ours)
            except (wire.WireError, OSError) as error:
                logger.error("the process of a message broke off: %s", error)
                frame = None
        code = self._ended(pid)
        if frame is None:
            return _crashed(asked, _cause(code))
        return _answer(asked, *frame)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", "flame_flwr.node.fork_server", str(number)]
            self._server = subprocess.Popen(  # noqa: S603  (this Python)
                [*command, *self._preload], pass_fds=[number], stdin=subprocess.DEVNULL
            )
        ready = self._event("ready", _START_LIMIT)
        for module, why in ready["missing"].items():
            logger.warning("%s is not preloaded: %s", module, why)

    def _fork(self, theirs: socket.socket) -> int:
        """Return the id of a new process that has the other end of the message's socket."""
        with theirs:
            for attempt in (1, 2):
                try:
                    socket.send_fds(self._control, [b"{}"], [theirs.fileno()])
                    return int(self._event("started", _START_LIMIT)["pid"])
                except (OSError, EOFError):
                    if attempt == 2:
                        raise
                    logger.warning("the fork server has ended: starting another")
                    self.close()
                    self._start()
        raise AssertionError("unreachable")

    def _ended(self, pid: int) -> int | None:
        """Wait for a process that has answered; end it where it goes on. Return its exit code."""
        try:
            return int(self._event("ended", _END_LIMIT, pid)["code"])
        except TimeoutError:
            try:
                self._control.send(json.dumps({"kill": pid}).encode())
                return int(self._event("ended", _END_LIMIT, pid)["code"])
            except (TimeoutError, EOFError, OSError):
                return None
        except (EOFError, OSError):
            return None

    def _event(self, name: str, limit: float, pid: int | None = None) -> dict[str, Any]:
        """Return the next event of a kind, of one process where `pid` names it.

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
                raise TimeoutError(f"no {name!r} of the fork server within {limit:.0f} s")
            data = self._control.recv(1 << 16)
            if not data:
                raise EOFError("the fork server has ended")
            event: dict[str, Any] = json.loads(data)
            if event["event"] == name and pid in (None, event.get("pid")):
                return event


def _request(asked: NodeMessage) -> wire.Frame:
    message, context, bulk = asked.message, asked.context, [asked.fab.content]
    metadata = {key: getattr(message.metadata, key) for key in _METADATA}
    header = {
        "task": asked.task_id,
        "node": context.node_id,
        "series": context.series_id,
        "fab": 0,
        "app": [asked.run.fab_id, asked.run.fab_version, asked.fab.hash_str],
        "metadata": metadata,
        "node_config": dict(context.node_config),
        "run_config": dict(context.run_config),
        "records": wire.pack_records(message.content, bulk),
        "state": wire.pack_records(context.state, bulk),
    }
    return header, bulk


def _answer(asked: NodeMessage, header: dict[str, Any], bulk: list[bytes]) -> Answer:
    """Make a reply of what the process said; it has run foreign code."""
    try:
        state = wire.unpack_records(header["state"], bulk) if "state" in header else None
        if "error" in header:
            code = header.get("code", RAISED if header.get("loads", True) else UNLOADED)
            return Answer(
                Message(Error(int(code), str(header["error"])), reply_to=asked.message), state
            )
        content = wire.unpack_records(header["records"], bulk)
    except (wire.WireError, KeyError, TypeError, ValueError, OverflowError) as error:
        logger.error("what is wrong with the answer: %s", error)  # its text may hold values
        return _crashed(asked, "the process of the message gave no answer that can be read")
    return Answer(Message(content, reply_to=asked.message), state)


def _crashed(asked: NodeMessage, why: str) -> Answer:
    logger.error("%s", why)
    return Answer(Message(Error(CRASHED, why), reply_to=asked.message), None)


def _cause(code: int | None) -> str:
    """Say how a process ended that gave no answer."""
    if code is None:
        return "the process of the message gave no answer and did not end"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"the process of the message was ended by {name}"
    return f"the process of the message ended with exit code {code}, without an answer"
