"""What a node holds after many messages, and after messages that used a lot."""

import gc
import os
from pathlib import Path

import pytest

LEAK = "import os; os.leaked = bytearray(100 * 2**20); told['done'] = len(os.leaked)"


def held(host):
    """Bytes of the node and of its fork server that no other process has, and their descriptors."""
    gc.collect()
    bytes_held, descriptors = 0, 0
    for pid in (os.getpid(), host._forks._server.pid):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        numbers = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:]}
        bytes_held += 1024 * sum(int(numbers[name]) for name in ("Private_Dirty:", "Swap:"))
        descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return bytes_held, descriptors


def grows(host, ask, times):
    """Ask so many times; return by how much the node has grown."""
    for _ in range(20):  # what is imported or set up with the first messages is no growth
        ask()
    before = held(host)
    for _ in range(times):
        ask()
    return [after - was for after, was in zip(held(host), before, strict=True)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("times", [1000])
def test_a_node_does_not_grow(obeying_host, obey, sandbox, times):
    bytes_more, descriptors_more = grows(
        obeying_host, lambda: obey("told['x'] = 1", sandbox=sandbox), times
    )
    assert descriptors_more <= 0
    assert bytes_more < 4 * 2**20


def test_what_an_app_leaks_ends_with_its_process(obeying_host, obey):
    obey("told['x'] = 1")
    before, _ = held(obeying_host)
    for _ in range(3):
        assert obey(LEAK)["done"] == 100 * 2**20
    assert held(obeying_host)[0] - before < 20 * 2**20
