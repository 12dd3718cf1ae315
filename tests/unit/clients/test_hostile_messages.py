"""A hostile message is a failure in words, and no memory is taken for it."""

import tracemalloc

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord
from node_messages import ask, train, train_content

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import PayloadError
from flame_flwr.payload import encode, npy_bytes, to_arrays

from .leaking_plans import failure_in, plan


def forged(shape, dtype="<f8", body=b""):
    """Return .npy bytes whose header claims much and whose body has little."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


FIFTEEN_GB = forged((15 * 2**30 // 8,))

HOSTILE = {
    "a header of 15 GB": [FIFTEEN_GB],
    "15 GB behind a good header": [*map(npy_bytes, to_arrays(encode(1))), FIFTEEN_GB],
    "a product that overflows": [forged((2**62, 2**62))],
    "negative sizes": [forged((-1,))],
    "a pickle": [forged((1,), "|O", b"cos\nsystem\n(S'true'\ntR.")],
    "a long header": [b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b"{" * 1000],
    "nothing": [b""],
    "text": [b"not an array at all"],
    "no header array": [npy_bytes(np.zeros(3))],
    "no arrays": [],
    "a million brackets": [npy_bytes(np.frombuffer(b"\x91" * 10**6, np.uint8))],
}


@pytest.mark.parametrize("tensors", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_fail_and_allocate_nothing(tensors, deployed):
    arrays = {
        str(i): Array(dtype="float64", shape=(1,), stype="numpy.ndarray", data=data)
        for i, data in enumerate(tensors)
    }
    with LocalGrid(plan(lambda self, data, result: result), [None]) as grid:
        train(grid, 1)
        content = {**train_content(2), "fitins.parameters": ArrayRecord(arrays)}
        tracemalloc.start()
        try:
            reply = ask(grid, "train", content)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert failure_in(reply).type == PayloadError.__name__
        assert peak < 32 * 2**20
        assert train(grid, 2, 5) == 5


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"round": "two"},
        {"round": 1, "analyzers": "{"},
        {"round": 1, "analyzers": 3},
        {"round": 2},
    ],
)
def test_a_hostile_config_is_a_failure(config):
    with LocalGrid(plan(lambda self, data, result: 1), [None]) as grid:
        content = {**train_content(1), "fitins.config": ConfigRecord(config)}
        assert "failure" in ask(grid, "train", content).content["fitres.metrics"]
