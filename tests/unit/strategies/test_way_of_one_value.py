"""How many functions a value passes between a node's code and the aggregator's."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        return importlib.import_module("bench_frames")


def test_a_value_passes_few_functions_in_process(bench):
    way = bench.in_process()
    assert way[0] == "star/nodes.py: StarAnalyzer.analyze"
    assert way[-1] == "star/nodes.py: StarAggregator.aggregate"
    assert len(way) <= 12


def test_a_value_passes_few_functions_over_messages(bench):
    way = bench.over_messages()
    assert "clients/client.py: StarClient.fit" in way
    assert "transport/replies.py: read_result" in way
    assert len(way) <= 16


def test_a_value_is_encoded_and_decoded_once(bench):
    for way in (bench.in_process(), bench.over_messages()):
        assert sum(name.endswith(": encode") for name in way) == 1
        assert sum(name.endswith(": decode") for name in way) == 1
