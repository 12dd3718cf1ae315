"""Flower's command, what runs its apps, and nodes, as forks of a process that has imported them.

Each imports for 1.5 to 2.3 s of a core, and the tests start a hundred. What runs is Flower's, with
the arguments, the environment, the folder and the streams that it was started with
(``forked/sitecustomize.py``). ``flame-flwr node start`` is a fork where ``FORKED_NODES`` is set. In
``test_readme_commands.py`` all of them are started as a user starts them.
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


@contextmanager
def forked_flower():
    """Yield the environment in which Flower's programs are forks, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="forked-") as folder:
        yield from _served(f"{folder}/socket")


def _served(place):
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    quiet |= {"PYTHONIOENCODING": "utf-8:replace"}
    with socket.socket(socket.AF_UNIX) as listens:
        listens.bind(place)  # what comes before all is imported, waits
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
        path = [f"{HERE.parent / 'forked'}", *filter(None, [os.environ.get("PYTHONPATH")])]
        yield {"PYTHONPATH": os.pathsep.join(path), "FORKED_FLOWER": place}
    finally:
        sys.stderr.write(process.communicate(timeout=30)[0].decode())  # closes its input first


def serve(listens):
    from flwr.cli.app import app
    from flwr.simulation.app import flwr_simulation
    from flwr.superlink.cli import flwr_serverapp
    from flwr.supernode.cli import flwr_clientapp

    import flame_flwr.flower_node  # noqa: F401  (of a node)
    from flame_flwr.cli import main

    programs = {"flwr": app, "flwr-serverapp": flwr_serverapp, "flwr-clientapp": flwr_clientapp}
    programs |= {"flwr-simulation": flwr_simulation, "flame-flwr": main}
    gc.freeze()
    while sys.stdin not in select.select([listens, sys.stdin], [], [])[0]:
        connection, _ = listens.accept()
        if os.fork() == 0:
            listens.close()
            attend(connection, programs)
        connection.close()
        with suppress(ChildProcessError):  # none is left
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                pass


def attend(connection, programs):
    """Run a program in a fork; tell its id, and how it ended. It ends with who has asked for it."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    size, data = int.from_bytes(head, "big"), b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    told = json.loads(data)
    fork = os.fork()
    if fork == 0:
        connection.close()
        run(told, streams, programs)
    connection.sendall(f"{fork}".encode())
    ended = os.pidfd_open(fork)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(fork, signal.SIGKILL)
    _, status = os.waitpid(fork, 0)
    code = os.waitstatus_to_exitcode(status)
    if ended in ready:
        connection.sendall(f"{code if code >= 0 else 128 - code}".encode())
    os._exit(0)


def run(told, streams, programs):
    os.setsid()
    os.environ.clear()
    os.environ.update(told["env"])
    os.chdir(told["cwd"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream.isatty())
    sys.argv, sys.path[:] = told["argv"], told["path"]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    sys.modules["__main__"] = ModuleType("__main__")
    code = 0
    try:
        code = programs[Path(sys.argv[0]).name]()
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
