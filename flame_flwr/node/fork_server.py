"""Forks one process per message: ``python -m flame_flwr.node.fork_server FD [MODULE ...]``.

It is started before the node reads a key, imports what every message needs, runs nothing of an app
itself and has one thread. It ends a message's processes at the limits that the node has set, and
passes on what they print. Its control socket keeps the bounds of what is sent: a request is one
message with a socket beside it, an event is one message of JSON.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from flame_flwr.node import linux, message_process
from flame_flwr.node.limits import Limits
from flame_flwr.node.message_scratch import MessageScratch
from flame_flwr.node.message_usage import MessageUsage
from flame_flwr.node.output_limit import Allowance, MessageOutput
from flame_flwr.node.process_tree import children_of, tasks_of_user
from flame_flwr.node.sandbox_namespaces import SandboxError, SandboxNamespaces

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_REQUEST", "PRELOADED", "main", "preload"]

Fence = dict[str, list[str]]
"""What :func:`flame_flwr.node.linux.fence` takes."""

PRELOADED = (
    "flame_flwr.star",
    "flame_flwr.analysis.model",
    "flame_flwr.analysis.tester",
    "flame_flwr.clients.app",
    "flame_flwr.clients.client",
    "flame_flwr.strategies.server_app",
    "flwr.cli.install",
    "flwr.clientapp.utils",
    "encodings.idna",
    "encodings.cp437",
)
"""What the process of a message would import otherwise, each time anew."""

MOST_REQUEST = 1 << 17
"""Bytes of a request: the kernel takes no longer message by default."""

_LOOK_EVERY = 0.1
"""Seconds between looks at what a message's processes use."""

_LEFTOVERS_LOOK, _LEFTOVERS_END = 0.002, 5.0
"""Seconds between looks at killed processes; seconds until one that the kernel holds is left."""


def main(arguments: list[str]) -> None:
    """Fork until the node closes its end of the control socket."""
    control = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(control.fileno(), False)
    linux.allow_inspection(False)  # code of apps has the same user, and may not read this process
    linux.adopt_orphans()  # what an app leaves behind comes here, to be ended
    missing = preload([*PRELOADED, *arguments[1:]])
    gc.collect()
    gc.freeze()  # or each collection in a fork would copy every page
    server = _ForkServer(control)
    server.say(event="ready", missing=missing)
    server.serve()


def preload(names: Iterable[str]) -> dict[str, str]:
    """Import modules; return those that cannot be, and why.

    A package of ours imports late what it offers, and names in ``__preload__`` what its users need:
    who names such a package here wants all of that.
    """
    missing = {}
    for name in names:
        try:
            module = importlib.import_module(name)
            for needed in getattr(module, "__preload__", ()):
                importlib.import_module(needed)
        except Exception as error:  # a preload saves time; without it the app imports by itself
            missing[name] = f"{type(error).__name__}: {error}"
    return missing


@dataclass
class _MessageProcess:
    """One message's process, and what is to be done when it ends."""

    usage: MessageUsage
    output: MessageOutput
    scratch: MessageScratch
    sandbox: SandboxNamespaces | None
    limit: str = ""

    def end_sandbox(self) -> None:
        """End what is in its sandbox."""
        if self.sandbox is not None:
            self.sandbox.end()

    def close(self) -> None:
        """Let go of what it had; its processes have ended."""
        self.output.close()
        self.usage.close()
        self.scratch.remove()


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._processes: dict[int, _MessageProcess] = {}
        self._allowance = Allowance()
        self._tasks = tasks_of_user()
        self._spare: SandboxNamespaces | None = None

    def serve(self) -> None:
        """Do what the node asks for, until it closes the control socket."""
        # A child that ends just before `select` would not wake it: Python starts a system call anew
        # after a signal. What the signal writes into a pipe waits there.
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is written
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        while True:
            pipes = {each.output.pipe: each.output for each in self._processes.values()}
            watched = [self._control.fileno(), woken, *pipes]
            wait = _LOOK_EVERY if self._processes else None  # an idle node uses no processor time
            ready, _, _ = select.select(watched, [], [], wait)
            for pipe in pipes.keys() & set(ready):
                pipes[pipe].read()
            self._hold_to_limits()
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                self._end_all()
                return

    def say(self, **event: object) -> None:
        """Send the node an event."""
        self._control.send(json.dumps(event).encode())

    def _obey(self) -> bool:
        """Do what one request says; return whether there was any."""
        data, descriptors, _, _ = socket.recv_fds(self._control, MOST_REQUEST, 1)
        if not data:
            return False
        request = json.loads(data)
        if not descriptors:
            if request["kill"] in self._processes:
                self._end(request["kill"])
            return True
        with socket.socket(fileno=descriptors[0]) as message:
            os.set_inheritable(message.fileno(), False)
            try:
                limits = Limits(**request["limits"])
                self._fork(message, limits, request["sandbox"], request["fence"])
            except (OSError, SandboxError) as error:
                self.say(event="failed", why=str(error))
        return True

    def _fork(
        self, message: socket.socket, limits: Limits, command: list[str], fence: Fence | None
    ) -> None:
        # What there is already goes where the next of it, or the process, cannot be had.
        with contextlib.ExitStack() as undo:
            sandbox = self._sandbox(command)
            if sandbox is not None:
                undo.callback(sandbox.end)
            scratch = MessageScratch()
            undo.callback(scratch.remove)
            # In a sandbox temporary files are in memory, and count there.
            usage = MessageUsage(limits, scratch.handle if sandbox is None else None)
            undo.callback(usage.close)
            read, write = os.pipe()
            undo.callback(os.close, read)
            undo.callback(os.close, write)
            os.set_blocking(read, False)
            sys.stdout.flush()  # or the fork would write it, too
            sys.stderr.flush()
            pid = os.fork()
            undo.pop_all()
        if not pid:
            path = scratch.path
            _become_message_process(message, write, limits, sandbox, path, fence, self._tasks)
        os.close(write)
        self._processes[pid] = _MessageProcess(
            usage, MessageOutput(read, self._allowance), scratch, sandbox
        )
        self.say(event="started", pid=pid)

    def _sandbox(self, command: list[str]) -> SandboxNamespaces | None:
        """Return namespaces that are ready: often those that were made meanwhile."""
        spare, self._spare = self._spare, None
        if spare is not None:
            if spare.fits(command) and spare.is_ready():
                return spare
            spare.end()
        if not command:
            return None
        sandbox = SandboxNamespaces(command)
        if not sandbox.is_ready():
            sandbox.end()
            raise SandboxError("bubblewrap could not make it: it says why in the node's log")
        return sandbox

    def _hold_to_limits(self) -> None:
        for pid, process in self._processes.items():
            if not process.limit and (limit := process.usage.exceeded()):
                process.limit = limit
                self._end(pid)

    def _end(self, pid: int) -> None:
        """End a message's process, and all that it has started."""
        process = self._processes[pid]
        if process.sandbox is not None:
            process.sandbox.end()
        _kill(process.usage.all_processes())

    def _reap(self) -> None:
        """Tell the node which processes have ended, and end what they left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                break
            if process := self._processes.pop(pid, None):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # it has made a group of its own, with its id
                process.end_sandbox()
                self._end_leftovers()  # before the node looks at what the message has left
                code = os.waitstatus_to_exitcode(status)
                limit = process.limit or ("" if process.scratch.is_in_place() else "folders")
                self.say(event="ended", pid=pid, code=code, limit=limit)
                process.close()
                # The next message is mostly of the same run. Nobody waits for bubblewrap then.
                if process.sandbox is not None and self._spare is None:
                    with contextlib.suppress(SandboxError):
                        self._spare = SandboxNamespaces(process.sandbox.command)
        self._end_leftovers()

    def _end_leftovers(self) -> None:
        """End processes that messages have left behind, and what these leave behind in turn."""
        until = time.monotonic() + _LEFTOVERS_END
        # Again and again: the children of one that is killed come here, and may fork meanwhile.
        while (left := set(children_of(os.getpid())) - self._kept()) and time.monotonic() < until:
            _kill(left)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(_LEFTOVERS_LOOK)

    def _kept(self) -> set[int]:
        """Return the children that go on: those of messages, and bubblewrap's first processes."""
        sandboxes = [process.sandbox for process in self._processes.values()] + [self._spare]
        return {*self._processes, *(each.pid for each in sandboxes if each is not None)}

    def _end_all(self) -> None:
        """End every process; what one leaves behind in a session of its own comes here then."""
        while own := children_of(os.getpid()):
            _kill(own)
            os.waitpid(-1, 0)  # only then are that one's own children seen to be this one's
        for process in self._processes.values():
            process.end_sandbox()
            process.close()


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


def _become_message_process(
    message: socket.socket,
    output: int,
    limits: Limits,
    sandbox: SandboxNamespaces | None,
    scratch: str,
    fence: Fence | None,
    tasks: int,
) -> NoReturn:
    """Answer the message in this fork, and end."""
    code = 1
    try:
        linux.end_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if sandbox is not None:
            sandbox.join()
            linux.end_with_parent()  # the kernel forgets it where a process gets other rights
            linux.allow_inspection(True)  # or all that it shares would count as its own memory
            if pid := os.fork():  # who joins a process namespace is in it with its children only
                _end_as(pid)
            linux.drop_capabilities()  # in there it would have all of them
            scratch = message_process.SCRATCH_IN_SANDBOX
        message_process.prepare(message.fileno(), limits, scratch, tasks)
        if fence is not None:
            linux.fence(**{**fence, "writable": [*fence["writable"], scratch]})
        message_process.run(message)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_as(pid: int) -> NoReturn:
    """Wait for the process inside the sandbox, and end as it does.

    This one is half in the sandbox: the fork server waits for it, and sees no process in there.
    """
    os.closerange(0, 256)  # the node is to see the end of the message's socket with that process
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
