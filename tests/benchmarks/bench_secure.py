"""What secure sums cost a node: from the value to the masked answer, kept on disk or in memory.

5,000,000 64-bit words and 13,600, as 10 nodes have them. Seconds are the best of several runs, as
the machine's load shows in all others; those on disk are with the fsync. Memory is the most that is
held beyond the value itself, in copies of the words, as NumPy and Python have asked for it.
"""

from __future__ import annotations

import sys
import tempfile
import timeit
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from secure_federation import Federation

from flame_flwr.aggregation import WeightedMean
from flame_flwr.privacy.secure.stores import FolderStore

LARGE = 1_000_000
NAMES = tuple(f"node-{number}" for number in range(10))
CASES = {5_000_000: "2 s", 13_600: "5 ms"}


def main() -> None:
    """Print what a masked answer costs a node."""
    print("A masked answer of one of 10 nodes: seconds in memory, on disk with fsync; memory")
    for words, most in CASES.items():
        value = {"model": np.random.default_rng(7).normal(size=words - 2), "n": 31}
        memory = min(timeit.repeat(_answer(value), setup=_forget, number=1, repeat=3))
        with tempfile.TemporaryDirectory() as folder:
            disk = min(timeit.repeat(_answer(value, Path(folder)), number=1, repeat=3))
        print(f"{words:>12,} words {memory:9.4f} s {disk:9.4f} s (under {most} beyond the fsync)")
        if words > LARGE:
            print(f"{_held(value, words):37.2f} copies of the words held (under 3)")


def _forget() -> None:
    """Do nothing between two runs: each has a federation of its own."""


def _answer(value: Any, folder: Path | None = None) -> Any:
    """Return what answers a new question each time it is called."""
    stores = None if folder is None else {NAMES[3]: FolderStore(folder)}
    federation = Federation({"model": WeightedMean("n")}, NAMES, stores=stores)
    numbers = iter(range(1, 100))

    def answer() -> bytes:
        return federation.answer(NAMES[3], value, federation.config(next(numbers)))

    return answer


def _held(value: Any, words: int) -> float:
    answer = _answer(value)
    answer()  # what is imported and made once
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    answer()
    most = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return most / (8 * words)


if __name__ == "__main__":
    main()
