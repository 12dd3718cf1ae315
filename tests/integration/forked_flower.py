"""Flower's programs, and what a node starts, as forks of a process that has imported them.

Each imports for 1 to 2 s of a core, and the tests start hundreds. What runs is the program, with
the arguments, the environment, the folder and the streams that it was started with
(``forked/sitecustomize.py``), and it ends when the process that was started ends, with all that
is in its group. ``flame-flwr`` is a fork where ``FORKED_COMMANDS`` is set. Without ``PYTHONPATH``
all of them are started as a user starts them, as in ``test_readme_commands.py``.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

HERE = Path(__file__)
REAL = {"PYTHONPATH": ""}
"""The environment of what is started as a user starts it."""


@contextmanager
def forked_flower():
    """Yield the environment in which Flower's programs are forks, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="forked-") as folder:
        Path(folder, "sitecustomize.py").symlink_to(HERE.parent / "forked" / "sitecustomize.py")
        yield from _served(folder)


def _served(folder):
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    quiet |= {"PYTHONIOENCODING": "utf-8:replace"}
    with socket.socket(socket.AF_UNIX) as listens:
        listens.bind(f"{folder}/socket")  # what comes before all is imported, waits
        listens.listen(64)
        process = subprocess.Popen(
            [sys.executable, HERE, f"{listens.fileno()}"],
            env={**os.environ, **quiet},
            pass_fds=[listens.fileno()],
            stdin=subprocess.PIPE,  # it ends with this process
            stdout=subprocess.PIPE,  # as most are: Python's streams ask once what they write to
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        path = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        yield {"PYTHONPATH": os.pathsep.join(path)}
    finally:
        sys.stderr.write(process.communicate(timeout=30)[0].decode())  # closes its input first


def programs():
    """Import them, and return what runs each, by the name that it is started by."""
    import flwr.superlink.main
    import flwr.supernode.main  # noqa: F401  (both import theirs late)
    from flwr.cli.app import app
    from flwr.simulation.app import flwr_simulation
    from flwr.supercore.cli import flower_superexec
    from flwr.superlink.cli import flower_superlink, flwr_serverapp
    from flwr.supernode.cli import flower_supernode, flwr_clientapp

    import flame_flwr.flower_node  # noqa: F401  (of a node)
    from flame_flwr.cli import main
    from flame_flwr.deploy import ready
    from flame_flwr.node import fork_server

    fork_server.preload(fork_server.PRELOADED)
    return {
        "flame-flwr": main,
        "flame_flwr.deploy.ready": lambda: ready.main(sys.argv[1:]),
        "flame_flwr.node.fork_server": lambda: fork_server.main(sys.argv[1:]),
        "flower-superexec": flower_superexec,
        "flower-superlink": flower_superlink,
        "flower-supernode": flower_supernode,
        "flwr": app,
        "flwr-clientapp": flwr_clientapp,
        "flwr-serverapp": flwr_serverapp,
        "flwr-simulation": flwr_simulation,
    }


def serve(listens):
    from flame_flwr.node.fork_server import preload

    known = programs()
    gc.freeze()
    while sys.stdin not in select.select([listens, sys.stdin], [], [])[0]:
        connection, _ = listens.accept()
        told, streams = what_is_told(connection)
        if told["argv"][0] == "flame_flwr.node.fork_server":
            preload(told["argv"][2:])  # here, once for all nodes
        if os.fork() == 0:
            listens.close()
            attend(connection, told, streams, known)
        connection.close()
        for stream in streams:
            os.close(stream)
        with suppress(ChildProcessError):  # none is left
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                pass


def what_is_told(connection):
    """Return what a process hands over: what it is told, and its streams."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 4)
    size, data = int.from_bytes(head, "big"), b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return json.loads(data), streams


def attend(connection, told, streams, known):
    """Run a program in a fork; tell its id, and how it ended. It ends with who has asked for it."""
    fork = os.fork()
    if fork == 0:
        connection.close()
        run(told, streams, known)
    for stream in streams:
        os.close(stream)
    with suppress(BrokenPipeError):  # who has asked was killed meanwhile: seen below
        connection.sendall(f"{fork}".encode())
    ended = os.pidfd_open(fork)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        for kill in (os.killpg, os.kill):  # it has no group in its first moment
            with suppress(ProcessLookupError):
                kill(fork, signal.SIGKILL)
    _, status = os.waitpid(fork, 0)
    code = os.waitstatus_to_exitcode(status)
    if ended in ready:
        connection.sendall(f"{code if code >= 0 else 128 - code}".encode())
    os._exit(0)


def run(told, streams, known):
    os.setsid()
    os.environ.clear()
    os.environ.update(told["env"])
    os.chdir(told["cwd"])
    for number, stream in enumerate(streams[:3]):
        os.dup2(stream, number)
        os.close(stream)
    told["argv"][1:2] = [*map(str, streams[3:])] or told["argv"][1:2]  # a node's socket
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream.isatty())
    sys.argv, sys.path[:] = told["argv"], told["path"]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    sys.modules["__main__"] = ModuleType("__main__")
    code = 0
    try:
        code = known[Path(sys.argv[0]).name]()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
