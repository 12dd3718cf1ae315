"""Forks one process per message: ``python -m flame_flwr.node.fork_server FD [MODULE ...]``.

It is started before the node reads a key, imports what every message needs, runs nothing of an app
itself and has one thread. Its control socket keeps the bounds of what is sent: a request is one
message with a socket beside it, an event is one message of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

from flame_flwr.node import message_process

__all__ = ["PRELOADED", "main"]

PRELOADED = (
    "flame_flwr.star",
    "flame_flwr.analysis.model",
    "flame_flwr.clients.app",
    "flame_flwr.clients.client",
    "flame_flwr.strategies.server",
    "encodings.idna",
    "encodings.cp437",
)
"""What the process of a message would import otherwise, each time anew."""

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


def main(arguments: list[str]) -> None:
    """Fork until the node closes its end of the control socket."""
    control = socket.socket(fileno=int(arguments[0]))
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_DUMPABLE, 0)  # code of apps has the same user, and may not read this process
    prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what an app leaves behind comes here, to be ended
    missing = _preload([*PRELOADED, *arguments[1:]])
    gc.collect()
    gc.freeze()  # or each collection in a fork would copy every page
    _say(control, event="ready", missing=missing)
    _serve(control)


def _preload(names: list[str]) -> dict[str, str]:
    missing = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a preload saves time; without it the app imports by itself
            missing[name] = f"{type(error).__name__}: {error}"
    return missing


def _serve(control: socket.socket) -> None:
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the node's to handle
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            _reap(control, children)
        if control.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 1)
            if not data:
                _end_all()
                return
            if descriptors:
                message = socket.socket(fileno=descriptors[0])
                children.add(_fork(control, message, (woken, wake)))
                message.close()
            else:
                _kill(json.loads(data)["kill"], children)


def _fork(control: socket.socket, message: socket.socket, pipe: tuple[int, int]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        _say(control, event="started", pid=pid)
        return pid
    code = 1
    try:
        message_process.prepare()
        control.close()
        for end in pipe:
            os.close(end)
        message_process.run(message)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _reap(control: socket.socket, children: set[int]) -> None:
    """Tell the node which processes have ended, and end what they left behind."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            break
        if pid in children:
            children.discard(pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            _say(control, event="ended", pid=pid, code=os.waitstatus_to_exitcode(status))
    _end(_own_children() - children)


def _own_children() -> set[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {int(pid) for pid in listed.split()}


def _kill(pid: int, children: set[int]) -> None:
    if pid in children:
        _end({pid})


def _end(pids: set[int]) -> None:
    for pid in pids:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


def _end_all() -> None:
    """End every process; what one leaves behind in a session of its own comes here when it ends."""
    while own := _own_children():
        _end(own)
        os.waitpid(-1, 0)


def _say(control: socket.socket, **event: object) -> None:
    control.send(json.dumps(event).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
