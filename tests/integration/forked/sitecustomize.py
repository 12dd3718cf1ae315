"""Has a program of Flower's run as a fork of a process that has imported it: ``forked_flower``.

Python imports it by itself where its folder is in ``PYTHONPATH``. The process that was started
hands over its streams, arguments and environment, stays until the fork ends, and ends as it did.
Where that other process is not there, the program runs by itself.
"""

import os
import sys

NAMES = ("flwr", "flwr-serverapp", "flwr-clientapp", "flwr-simulation")
NODE = ("flame-flwr", "node", "start")


def hand_over(place):
    import json
    import signal
    import socket

    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(place)
        except OSError:
            return
        told = {"argv": sys.orig_argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}
        told["path"] = [os.path.dirname(sys.orig_argv[1]), *sys.path]
        data = json.dumps(told).encode()
        socket.send_fds(other, [len(data).to_bytes(4, "big")], [0, 1, 2])
        other.sendall(data)
        fork = int(other.recv(16))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(fork, number))
        status = other.recv(16)
    os._exit(int(status) if status else 1)


place = os.environ.get("FORKED_FLOWER")
name, *more = [os.path.basename("".join(sys.orig_argv[1:2])), *sys.orig_argv[2:4]]
if place and (name in NAMES or ((name, *more) == NODE and os.environ.get("FORKED_NODES"))):
    hand_over(place)
