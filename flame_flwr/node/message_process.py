"""What runs in the process of one message: Flower's ClientApp, on the records the node hands over.

It is forked, runs foreign code, answers once over its socket, and ends. It holds no key and has no
way out but that socket and what the system lets it do.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flwr.app import Context, Metadata

from flame_flwr.clients.app import NodeClientApp, leave_gate_to_node
from flame_flwr.data import served_data
from flame_flwr.flower import identify, load_app, message_of
from flame_flwr.log import logger
from flame_flwr.node import linux, wire
from flame_flwr.node.service_link import ServiceLink

if TYPE_CHECKING:
    import socket

    from flwr.app import Message

    from flame_flwr.node.limits import Limits

__all__ = ["SCRATCH_IN_SANDBOX", "ForeignAppError", "prepare", "run"]

SCRATCH_IN_SANDBOX = "/tmp"  # noqa: S108  (a file system of this message's own)


class _UnloadedError(Exception):
    """The app cannot be loaded, so it has not run."""


class ForeignAppError(Exception):
    """The app's ClientApp is not one of flame-flwr's."""


def prepare(message: int, limits: Limits, scratch: str, tasks: int) -> None:
    """Make a process of its own of a fork: before anything of an app runs in it.

    Parameters
    ----------
    message : int
        Descriptor of the message's socket: beside the standard streams the only one that stays.
    limits : Limits
        What it may use.
    scratch : str
        The folder for the app's files and all that is temporary.
    tasks : int
        Processes and threads that this user had before.
    """
    os.setsid()  # so that what it starts can be ended with it
    # Among them are the fork server's control socket, with which one asks it for processes, and the
    # input of the sandbox's `cat`, which ends only when nobody has that open.
    _close_all_but({0, 1, 2, message})
    linux.leave_keyring()  # one app finds neither the node's tickets nor what another has left
    linux.forbid_new_privileges()  # without it the kernel takes no Landlock from who is not root
    linux.allow_inspection(True)  # as after exec; the fork server is not
    linux.end_with_parent()
    with contextlib.suppress(OSError):  # where memory runs out, it is this process that ends
        Path("/proc/self/oom_score_adj").write_text("1000")
    limits.apply(tasks)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Flower takes what it has unpacked once as it lies there, and an app could have changed it.
    os.environ |= {"FLWR_HOME": f"{scratch}/flower", "TMPDIR": scratch}
    tempfile.tempdir = None
    _draw_new_numbers()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe now: what is printed is to be seen soon
            stream.reconfigure(line_buffering=True)


def _close_all_but(kept: set[int]) -> None:
    for descriptor in {int(name) for name in os.listdir("/proc/self/fd")} - kept:
        with contextlib.suppress(OSError):  # the listing's own
            os.close(descriptor)


def _draw_new_numbers() -> None:
    """Leave the parent's random state, with which all messages would draw the same numbers."""
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
    link = ServiceLink(sock)
    served_data.connect(link.ask)
    try:
        reply, context = _call(request, bulk)
    except ForeignAppError:
        wire.send(sock, {"foreign": True})
        return
    except BaseException as error:  # also what would end this process without an answer
        link.close()
        logger.error("the app raised an exception", exc_info=error)
        loads = not isinstance(error, _UnloadedError)  # else its text stays in the node's log
        why = f"{type(error)}:<'{error}'>" if loads else ""
        wire.send(sock, {"loads": loads, "error": why})
        return
    link.close()  # a thread of the app's that goes on must not write into the answer
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
    except BaseException as error:
        raise _UnloadedError from error
    if not isinstance(app, NodeClientApp):  # which answers nothing that the gate could look into
        raise ForeignAppError
    leave_gate_to_node()
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
