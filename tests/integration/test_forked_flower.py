"""What tests start as a fork (``forked_flower.py``) says, and ends, as what a user starts."""

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_flower import REAL, attend

FLWR = Path(sys.executable).with_name("flwr")


@pytest.mark.simulation
@pytest.mark.usefixtures("flower")
def test_a_fork_says_and_ends_as_the_program(tmp_path):
    def run(command, **more):
        environment = {**os.environ, "FLWR_HOME": str(tmp_path), "NO_COLOR": "1", **more}
        done = subprocess.run(
            [FLWR, *command], env=environment, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    (tmp_path / "config.toml").write_text('[superlink.here]\naddress = "127.0.0.1:1"\n')
    wrong, list_elsewhere = ["list", "--no-such-option"], ["list", "elsewhere", "--format", "json"]
    for command, code in ((wrong, 2), (list_elsewhere, 0)):
        forked = run(command)
        assert forked[0] == code
        assert forked == run(command, **REAL)


def test_a_fork_ends_with_its_asker():
    """Also where that was killed before it was told of the fork: a node stayed behind."""
    asks, other = socket.socketpair()
    asks.close()
    done, held = os.pipe()
    told = {"argv": ["sleep"], "env": dict(os.environ), "cwd": "/", "path": sys.path}
    if (fork := os.fork()) == 0:
        streams = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
        attend(other, told, streams, {"sleep": lambda: time.sleep(60)})
    for each in (other.fileno(), held):
        os.close(each)
    other.detach()
    assert os.waitpid(fork, 0)[1] == 0
    assert select.select([done], [], [], 30)[0]  # nobody has its other end any more
    os.close(done)
