"""What ends the command from outside is Ctrl-C to it."""

import os
import signal
import subprocess
import sys

import pytest

from flame_flwr.cli.signals import interrupt_on_signals


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_kill_and_closed_terminal_are_ctrl_c(name):
    number = getattr(signal, name)
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        interrupt_on_signals()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


FORKS = """
import os, signal, time
from flame_flwr.cli.signals import interrupt_on_signals

interrupt_on_signals()
interrupt_on_signals()  # as a process may that runs the command twice
for _ in range(300):
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(7)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM, status
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_can_be_killed():
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=25)
