"""How many functions a value passes between a node's code and the aggregator's."""

import subprocess
import sys
from pathlib import Path

import pytest
from hanging import HANGS

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "bench_frames.py"


@pytest.fixture(scope="module")
def ways():
    """Both ways, as a process finds them that has run nothing else: it looks through objects."""
    done = subprocess.run(
        [sys.executable, BENCHMARK], capture_output=True, text=True, timeout=HANGS, check=True
    )
    found = []
    for line in done.stdout.splitlines():
        if line.startswith("The way of one value"):
            found.append([])
        elif line.startswith("  "):
            found[-1].append(line.strip())
    return found


def test_a_value_passes_few_functions_in_process(ways):
    way, _ = ways
    assert way[0] == "star/nodes.py: StarAnalyzer.analyze"
    assert way[-1] == "star/nodes.py: StarAggregator.aggregate"
    assert len(way) <= 12


def test_a_value_passes_few_functions_over_messages(ways):
    _, way = ways
    assert "clients/client.py: StarClient.fit" in way
    assert "transport/read_reply.py: read_result" in way
    assert len(way) <= 16 + 5  # five of them are the gate


def test_a_value_is_encoded_and_decoded_once(ways):
    assert len(ways) == 2
    for way in ways:
        assert sum(name.endswith(": encode") for name in way) == 1
        assert sum(name.endswith(": decode") for name in way) == 1
