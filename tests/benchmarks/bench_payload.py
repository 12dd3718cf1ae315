"""How fast the payload codec is, beside pickle and beside Flower's own conversion.

Run it as a script: ``python tests/benchmarks/bench_payload.py``. It says nothing about
the network. Every figure is the best of several runs, all in one process, because the
machine's load shows in every other measure.
"""

from __future__ import annotations

import pickle
import timeit
from collections.abc import Callable

import numpy as np
from flwr.app import Array

from flame_flwr.payload import (
    decode,
    describe,
    encode,
    from_arrays,
    from_record,
    to_arrays,
    to_record,
)

REPEATS = 7
SMALL = {
    "float": 0.25,
    "dict of 3 numbers": {"loss": 0.25, "n": 42, "accuracy": 0.9},
    "numpy float64": np.float64(0.25),
    "coefficients (1, 30)": {"coef": np.zeros((1, 30)), "n": 42},
    "tuple of 3": (1, 2.5, "x"),
}


def main() -> None:
    """Print both tables."""
    array = np.random.default_rng(1).normal(size=10_000_000)
    print_large(array)
    print()
    print_small()


def print_large(array: np.ndarray) -> None:
    """Print how long one large array takes, there and back."""
    ways: dict[str, Callable[[], object]] = {
        "pickle protocol 5, dumps + loads": lambda: pickle.loads(pickle.dumps(array, protocol=5)),
        "Flower, Array(...) + .numpy()": lambda: Array(array).numpy(),
        "payload, encode + decode": lambda: decode(encode(array)),
        "payload, by way of an ArrayRecord": lambda: decode(from_record(to_record(encode(array)))),
    }
    seconds = {way: min(timeit.repeat(run, number=1, repeat=REPEATS)) for way, run in ways.items()}
    (reference, *_) = seconds.values()
    print(f"{array.nbytes / 1e6:.0f} MB {array.dtype}, there and back{'ms':>16}{'/ pickle':>10}")
    for way, taken in seconds.items():
        print(f"  {way:<38}{taken * 1e3:>8.1f}{taken / reference:>10.2f}")


def print_small() -> None:
    """Print how long small values take, there and back, in microseconds."""
    print(f"{'small values, microseconds':<28}{'in process':>12}{'foreign':>10}{'pickle':>10}")
    for name, value in SMALL.items():
        foreign = from_arrays(to_arrays(encode(value)))
        taken = [
            microseconds(lambda value=value: decode(encode(value))),
            microseconds(lambda value=value: encode(value))
            + microseconds(lambda foreign=foreign: decode(foreign)),
            microseconds(lambda value=value: pickle.loads(pickle.dumps(value, protocol=5))),
        ]
        print(f"  {name:<26}{taken[0]:>12.1f}{taken[1]:>10.1f}{taken[2]:>10.1f}")
    array = np.zeros((1, 30))
    print(f"  {'describe of an array':<26}{microseconds(lambda: describe(array)):>12.1f}")


def microseconds(run: Callable[[], object], number: int = 5000) -> float:
    """Return how long one call takes, the best of several runs."""
    return min(timeit.repeat(run, number=number, repeat=REPEATS)) / number * 1e6


if __name__ == "__main__":
    main()
