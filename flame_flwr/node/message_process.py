"""What runs in the process of one message: Flower's ClientApp, on the records the node hands over.

It is forked, runs foreign code, answers once over its socket, and ends. It holds no key and has no
way out but that socket and what the system lets it do.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

from flwr.app import Context, Metadata

from flame_flwr.flower_node import LoadClientAppError, identify, load_app, message_of
from flame_flwr.log import logger
from flame_flwr.node import wire

if TYPE_CHECKING:
    import socket

    from flwr.app import Message

__all__ = ["prepare", "run"]

_UNLOADED = "An exception was raised when attempting to load `ClientApp`"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def prepare() -> None:
    """Make a process of its own of a fork: before anything of an app runs in it."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_DUMPABLE, 1)  # as after exec; the fork server is not
    os.setsid()  # so that what it starts can be ended with it
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A fork has its parent's random state: without this, all messages would draw the same numbers.
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.seed()


def run(sock: socket.socket) -> None:
    """Answer the one message that comes over `sock`, also where the app raises."""
    frame = wire.receive(sock)
    if frame is None:  # the node has gone, or has given the message up
        return
    request, bulk = frame
    try:
        reply, context = _call(request, bulk)
    except Exception as error:
        logger.error("the app raised an exception", exc_info=error)
        loads = not isinstance(error, LoadClientAppError)
        # As Flower says it: the text of an app that cannot be loaded stays in the node's log.
        why = f"{type(error)}:<'{error}'>" if loads else _UNLOADED
        wire.send(sock, {"loads": loads, "error": why})
        return
    bulk = []
    answer: dict[str, Any] = {"state": wire.pack_records(context.state, bulk)}
    if reply.has_error():
        answer["code"], answer["error"] = reply.error.code, reply.error.reason
    else:
        answer["records"] = wire.pack_records(reply.content, bulk)
    wire.send(sock, answer, bulk)


def _call(request: dict[str, Any], bulk: list[bytes]) -> tuple[Message, Context]:
    identify(request["task"], request["metadata"]["run_id"], request["node"])
    try:
        app = load_app(bulk[request["fab"]], *request["app"])
    except Exception as error:
        raise LoadClientAppError(_UNLOADED) from error
    message = message_of(
        Metadata(**request["metadata"]), wire.unpack_records(request["records"], bulk)
    )
    context = Context(
        run_id=message.metadata.run_id,
        node_id=request["node"],
        node_config=request["node_config"],
        state=wire.unpack_records(request["state"], bulk),
        run_config=request["run_config"],
        series_id=request["series"],
    )
    return app(message=message, context=context), context
