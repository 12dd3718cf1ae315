"""Has a program of Flower's run as a fork of a process that has imported it: ``forked_flower``.

Python imports it by itself where its folder is in ``PYTHONPATH``. The process that was started
hands over its streams, arguments and environment, stays until the fork ends, and ends as it did.
Where that other process is not there, the program runs by itself.
"""

import os
import sys

FLOWER = ("flwr", "flwr-serverapp", "flwr-clientapp", "flwr-simulation")
FLOWER += ("flower-superlink", "flower-superexec", "flower-supernode")
FORK_SERVER = "flame_flwr.node.fork_server"
NAMES = (*FLOWER, FORK_SERVER, "flame_flwr.deploy.ready")


def asked_for():
    """Return what this Python was started with, from the program's or the module's name on."""
    argv = sys.orig_argv[1:]
    return argv[argv.index("-m") + 1 :] if "-m" in argv[:2] else argv


def hand_over(argv):
    import json
    import signal
    import socket

    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(os.path.join(os.path.dirname(__file__), "socket"))
        except OSError:
            return
        told = {"argv": argv, "env": dict(os.environ), "cwd": os.getcwd()}
        told["path"] = [os.path.dirname(argv[0]), *sys.path] if "/" in argv[0] else sys.path
        data, streams = json.dumps(told).encode(), [0, 1, 2]
        streams += [int(argv[1])] if argv[0] == FORK_SERVER else []
        socket.send_fds(other, [len(data).to_bytes(4, "big")], streams)
        other.sendall(data)
        for stream in streams[3:]:
            os.close(stream)  # or the node would not see the fork's end
        fork = int(other.recv(16))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(fork, number))
        status = other.recv(16)
    os._exit(int(status) if status else 1)


argv = asked_for()
name = os.path.basename("".join(argv[:1]))
if name in NAMES or (name == "flame-flwr" and os.environ.get("FORKED_COMMANDS")):
    hand_over(argv)
