"""How the process of a message asks its node, over the message's socket."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from flame_flwr import errors
from flame_flwr.data.served_data import Served
from flame_flwr.node import wire

if TYPE_CHECKING:
    from flame_flwr.node.data_service import DataReply

__all__ = ["ServiceLink", "send_reply"]


class ServiceLink:
    """Asks questions, one after another, until it is closed: then the socket is the answer's.

    Parameters
    ----------
    sock : socket
        The message's.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, question: dict[str, Any]) -> Served:
        """Ask the node, and wait for what it says: its own waits have limits.

        Raises
        ------
        ConfigError, DataError, UnavailableError
            As the node met it.
        """
        if os.getpid() != self._process:  # two would read each other's answers from one socket
            raise errors.UnavailableError(
                "what the node reads can be had in the process that analysis_method runs in, and "
                "in none that it starts: read the data before"
            )
        with self._lock:  # threads of the app's ask one after the other
            if self._closed:
                raise errors.UnavailableError("the round is over: nothing can be read any more")
            wire.send(self._socket, question)
            frame = wire.receive(self._socket)
            if frame is None:
                raise errors.DataError("the node has gone while it was asked for data")
            answer = frame[0]
            file = _file(self._socket) if answer.pop("file", False) else None
        if "error" in answer:
            kind, message, detail = answer["error"]
            raise getattr(errors, kind)(message, detail=detail)
        return Served(answer, file)

    def close(self) -> None:
        """Ask nothing any more, also not from threads that go on."""
        with self._lock:
            self._closed = True


def send_reply(sock: socket.socket, reply: DataReply) -> None:
    """Send what a question is answered with, from the node's side; its file is closed.

    Raises
    ------
    OSError
        The process has gone.
    """
    try:
        wire.send(sock, {**reply.header, "file": reply.file is not None})
        if reply.file is not None:
            # a byte of its own, behind the frame: who reads a frame does not look for files
            socket.send_fds(sock, [b"f"], [reply.file])
    finally:
        if reply.file is not None:
            os.close(reply.file)


def _file(sock: socket.socket) -> int:
    _, files, _, _ = socket.recv_fds(sock, 1, 1, socket.MSG_CMSG_CLOEXEC)
    return files[0]
