"""What measures the fuzzing's memory sees what is taken, and given back again."""

import pytest

from .peak_memory import peak_memory

LARGE, LITTLE = 64 * 2**20, 8 * 2**20


@pytest.mark.parametrize("exact", [False, True])
def test_what_was_taken_for_a_moment_is_seen(exact):
    memory = peak_memory(exact)
    with memory.running():
        memory.begin()
        bytearray(b"x") * LARGE
        assert abs(memory.grown() - LARGE) < LITTLE
        memory.begin()
        assert memory.grown() < LITTLE
