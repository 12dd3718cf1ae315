"""What secure sums cost a node: from the value to the masked answer, kept on disk or in memory.

5,000,000 64-bit words and 13,600, as 10 nodes have them, in a round after the first. Seconds are
the processor's, so without the wait for the fsync, and the best of several runs, as the machine's
load shows in all others. Memory is the most that is held beyond the value itself, in copies of the
words, as NumPy and Python have asked for it.
"""

from __future__ import annotations

import sys
import tempfile
import timeit
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from secure_federation import Federation

from flame_flwr.aggregation import WeightedMean
from flame_flwr.privacy.secure.session_stores import FolderStore

LARGE = 1_000_000
NAMES = tuple(f"node-{number}" for number in range(10))
CASES = {5_000_000: "2 s", 13_600: "5 ms"}


def main() -> None:
    """Print what a masked answer costs a node."""
    print("A masked answer of one of 10 nodes: processor seconds in memory, on disk; memory held")
    for words, most in CASES.items():
        value = {"model": np.random.default_rng(7).normal(size=words - 2), "n": 31}
        repeat = 3 if words > LARGE else 50
        memory = _seconds(_answer(value), repeat)
        with tempfile.TemporaryDirectory() as folder:
            disk = _seconds(_answer(value, Path(folder)), repeat)
        print(f"{words:>12,} words {memory:9.4f} s {disk:9.4f} s (under {most})")
        if words > LARGE:
            print(f"{_held(value, words):37.2f} copies of the words held (under 3)")


def _seconds(answer: Callable[[], bytes], repeat: int) -> float:
    return min(timeit.repeat(answer, timer=process_time, number=1, repeat=repeat))


def _answer(value: Any, folder: Path | None = None) -> Any:
    """Return what answers a new question each time it is called."""
    stores = None if folder is None else {NAMES[3]: FolderStore(folder)}
    federation = Federation({"model": WeightedMean("n")}, NAMES, stores=stores)
    numbers = iter(range(1, 100))

    def answer() -> bytes:
        number = next(numbers)
        return federation.answer(NAMES[3], value, federation.config(number, first=number == 1))

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
