"""Python programs of the tests as forks of a process that has imported what they need.

Its imports cost a second of a core, and more with pandas, in each of a hundred processes. A program
runs with the arguments, the environment, the folder and the streams it is given, as ``__main__``.
What is told of a process from outside, and what its own imports are, is told of the one that it is
a fork of: a test of such a thing starts Python as it is for a user.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from fcntl import F_DUPFD, fcntl
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

NODE = ("flame_flwr.node.fork_server", "PRELOADED")
"""What the processes of messages need."""

SCRIPTS = (
    "flame_flwr.aggregation",
    "flame_flwr.analysis.tester",
    "flame_flwr.cli",
    "flame_flwr.cli.commands",
    "flame_flwr.clients.app",
    "flame_flwr.privacy",
    "flame_flwr.regression",
    "flame_flwr.results.report",
    "flame_flwr.script.runner",
    "flame_flwr.star",
    "flame_flwr.statistics",
    "flame_flwr.strategies.server_app",
    "pandas",
)
"""What scripts of users import, by themselves or by what they ask for."""

WORDS = {
    "filters=": ["dp_accounting.rdp", "scipy.stats"],
    "regression": ["formulaic", "scipy.stats"],
    "matplotlib": ["matplotlib.pyplot"],
    "lifelines": ["lifelines"],
    "pytest": ["pytest"],
}
"""What a script with such a word, or beside it, will import: it is imported for all after it."""

_ONE_AT_A_TIME = threading.Lock()


def run_python(*command, cwd=None, env=None, stdin="", timeout=300, preload=SCRIPTS):
    """Do as ``subprocess.run([sys.executable, *command])`` with text, whose output is captured."""
    command = [str(each) for each in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            fork = Fork(command, [given, out, err], cwd, env, preload)
        code = fork.wait(timeout)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(command, code, *texts)


@contextmanager
def forked_servers():
    """Have the fork servers that nodes start be forks, within the block."""

    class Server(Fork):
        """For what a node starts: ``python -P -m flame_flwr.node.fork_server FD ...``."""

        def __init__(self, command, *, pass_fds, env, **_):
            with open(os.devnull) as nothing:
                super().__init__(command[1:], [nothing, 1, 2], None, env, NODE, pass_fds)

    there = SimpleNamespace(**{**vars(subprocess), "Popen": Server})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flame_flwr.node.forks.subprocess", there)
        yield


class Fork:
    """What is used of ``Popen``."""

    def __init__(self, command, streams, cwd, env, preload, pass_fds=()):
        self.returncode = None
        self._code, told = os.pipe()
        asked = {"command": command, "cwd": str(cwd or os.getcwd()), "pass_fds": list(pass_fds)}
        asked["env"] = dict(os.environ if env is None else env)
        asked["wanted"] = [] if preload is NODE else _wanted(Path(asked["cwd"]), command)
        descriptors = [
            told,
            *(each if isinstance(each, int) else each.fileno() for each in streams),
        ]
        with _ONE_AT_A_TIME:
            server = _server(preload)
            socket.send_fds(server, [json.dumps(asked).encode()], [*descriptors, *pass_fds])
            self.pid = int(server.recv(100))
        self._ended = os.pidfd_open(self.pid)
        os.close(told)

    def __del__(self):
        os.close(self._ended)
        os.close(self._code)

    def wait(self, timeout=None):
        """Return its exit code, also where it has ended before."""
        if not select.select([self._ended], [], [], timeout)[0]:
            self.kill()
            raise subprocess.TimeoutExpired("a fork", timeout)
        if self.returncode is None:
            said = select.select([self._code], [], [], 0)[0] and os.read(self._code, 100)
            self.returncode = int(said or -signal.SIGKILL)
        return self.returncode

    def kill(self):
        """End it."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._ended, signal.SIGKILL)


def _wanted(folder, command):
    """Return what a program will import that not all do."""
    text = " ".join(command)
    if command[0] not in ("-c", "-m"):
        beside = (folder / command[0]).parent.glob("*.py")
        text += "".join(each.read_text(encoding="utf-8") for each in beside)
    return [name for word, names in WORDS.items() if word in text for name in names]


@cache
def _server(preload):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    with theirs:
        number = theirs.fileno()
        command = [sys.executable, "-P", __file__, f"{number}", *preload]
        process = subprocess.Popen(
            command, pass_fds=[number], stdin=subprocess.DEVNULL, start_new_session=True
        )

    def end():
        ours.close()
        process.wait(timeout=30)

    atexit.register(end)
    return ours


# ---- in the process that is forked ----------------------------------------------------------


def serve(asked, preload):
    """Fork until the tests end."""
    if preload == list(NODE):
        module, name = NODE
        preload = [module, *getattr(importlib.import_module(module), name)]
    for name in preload:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, 1 << 18, 10)
        if not request:
            break
        told = json.loads(request)
        for name in told["wanted"]:
            importlib.import_module(name)
        fork = os.fork()
        if fork == 0:
            asked.close()
            become(told, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(f"{fork}".encode())
        reap(os.WNOHANG)
    reap(0)


def reap(options):
    """Forget those that have ended, and have their time counted."""
    with suppress(ChildProcessError):  # none is left
        while os.waitpid(-1, options)[0]:
            pass


def become(told, descriptors):
    """Be the program, in a fork."""
    os.setsid()
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    high = [fcntl(each, F_DUPFD, 500) for each in descriptors]
    status, places = high[0], [0, 1, 2, *told["pass_fds"]]
    for descriptor, place in zip(high[1:], places, strict=True):
        os.dup2(descriptor, place)
    kept = sorted({*places, status})
    for before, after in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(before + 1, after)
    code = 0
    try:
        execute(told["command"], told["env"].get("PYTHONPATH", ""))
    except SystemExit as error:
        code = error.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(status, f"{code or 0}".encode())
    os._exit(code or 0)


def execute(command, path):
    """Do as Python does with such a command line."""
    sys.path[:0] = [each for each in path.split(os.pathsep) if each]
    sys.orig_argv[:] = [sys.executable, *command]
    if command[:2] == ["-P", "-m"]:
        sys.argv = command[2:]
        importlib.import_module(command[2]).main(command[3:])
        return
    main = sys.modules["__main__"] = ModuleType("__main__")
    if command[0] == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        return
    if command[0] == "-c":
        sys.path.insert(0, "")
        code, sys.argv = compile(command[1], "<string>", "exec"), ["-c", *command[2:]]
    else:
        sys.path.insert(0, str(Path(command[0]).absolute().parent))
        main.__file__, sys.argv = command[0], command
        code = compile(Path(command[0]).read_bytes(), command[0], "exec")
    exec(code, vars(main))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
