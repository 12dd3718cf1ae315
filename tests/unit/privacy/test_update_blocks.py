"""Filters block by block: to the bit what whole arrays give, in no more memory than what leaves."""

import tracemalloc

import numpy as np
import pytest

from flame_flwr.payload import decode, encode, from_record, to_record
from flame_flwr.privacy import (
    Clip,
    GaussianNoise,
    MaxRows,
    MinCount,
    SparseVector,
    TopFraction,
    noise,
    sparse_vector,
    update_blocks,
)
from flame_flwr.privacy.filter_chain import apply_filters
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.study_declaration import Study

EVERY = [
    Clip(0.5),
    Clip(1e9),
    TopFraction(0.1),
    TopFraction(1.0),
    GaussianNoise(1.0, 0.5, seed=3),
    SparseVector(0.01, bound=1, threshold=0.5, epsilon_select=100, epsilon_values=1e5, seed=4),
    SparseVector(0.3, bound=1, threshold=0.001, epsilon_select=1e9, epsilon_values=1e9, seed=4),
]


@pytest.fixture
def tiny(monkeypatch):
    """Blocks of a few numbers, so that small arrays have many, and nothing is held as a whole."""
    monkeypatch.setattr(update_blocks, "_BLOCK", 7)
    monkeypatch.setattr(update_blocks, "_SMALL", 0)
    monkeypatch.setattr(noise, "_AT_ONCE", 16)


def whole(each, update, noise):
    """Change a whole update at once, as each filter's paper says it."""
    size = update.size
    if isinstance(each, Clip | GaussianNoise):
        drawn = None
        if isinstance(each, GaussianNoise):
            pairs = (size + 1) // 2
            radius = each.noise_multiplier * each.norm * np.sqrt(-2 * np.log(noise.uniform(pairs)))
            angle = 2 * np.pi * noise.uniform(pairs)
            drawn = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size]
        largest = np.abs(update).max()
        length = float(largest) * float(np.linalg.norm(update / largest))
        clipped = update if length <= each.norm else update * (each.norm / length)
        return clipped if drawn is None else drawn + clipped
    most = int(np.ceil(each.fraction * size - 1e-9))
    if isinstance(each, TopFraction):
        order = np.lexsort((np.arange(size), -np.abs(update)))[:most]
        kept = np.zeros(size, bool)
        kept[order] = True
        return np.where(kept, update, 0.0)
    share = 1 / (1 + (2 * most) ** (2 / 3))
    question = 2 * most * each.bound / (each.epsilon_select * (1 - share))
    threshold = noise.laplace(each.bound / (each.epsilon_select * share), 1)[0] + each.threshold
    bounded = np.clip(update, -each.bound, each.bound)
    asked = np.abs(bounded) + noise.laplace(question, size)
    order = np.argsort(noise.uniform(size))
    told = order[asked[order] >= threshold][:most]
    values = bounded[told] + noise.laplace(2 * most * each.bound / each.epsilon_values, told.size)
    released = np.zeros(size)
    released[told] = np.clip(values, -each.bound, each.bound)
    return released


def arrays(size, dtype, seed):
    """Return a model of three arrays, one by columns, one backwards; with many equal numbers."""
    rng = np.random.default_rng(seed)
    numbers = np.round(rng.standard_normal(size), seed).astype(dtype)
    first, last = size // 4 * 2, size - size // 4
    return {
        "a": np.asfortranarray(numbers[:first].reshape(2, -1)),
        "b": (numbers[first:last], numbers[last:][::-1]),
    }


def flat(model):
    return np.concatenate([model["a"].ravel(), *model["b"]])


def expected(filters, result, aggregate, number, node):
    """Filter a whole update of float64, and put the node's own numbers back where none acted."""
    exact = flat(result)
    before = np.zeros(exact.size) if aggregate is None else flat(aggregate).astype(np.float64)
    first = update = exact.astype(np.float64) - before
    noised = False
    for place, each in enumerate(filters):
        drawn = Noise(getattr(each, "seed", None), f"{node}|{number}|{place}")
        update = whole(each, update, drawn)
        noised |= drawn.drawn
    new = (before + update).astype(exact.dtype)
    return new if noised else np.where(update == first, exact, new)


@pytest.mark.parametrize("size", [8, 103, 10_007])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
@pytest.mark.parametrize("before", [None, "f4", "f8"])
def test_filters_change_no_bit_of_the_formulas(size, dtype, before):
    result = arrays(size, dtype, 1)
    aggregate = None if before is None else arrays(size, before, 8)
    for filters in [*([each] for each in EVERY), EVERY[::-1]]:
        filtered, _ = apply_filters(filters, result, aggregate, 2, "a")
        assert filtered["a"].dtype == dtype
        assert flat(filtered).tobytes() == expected(filters, result, aggregate, 2, "a").tobytes()


@pytest.mark.parametrize("size", [8, 103, 1003])
def test_small_blocks_change_no_bit_either(tiny, size):
    result, aggregate = arrays(size, "f4", 1), arrays(size, "f4", 8)
    of_norm = (Clip, GaussianNoise)  # squares are added up in another order there
    for each in (each for each in EVERY if not isinstance(each, of_norm)):
        filtered, _ = apply_filters([each], result, aggregate, 2, "a")
        assert flat(filtered).tobytes() == expected([each], result, aggregate, 2, "a").tobytes()
    for filters in ([EVERY[0]], [EVERY[4]], [EVERY[4], EVERY[0]]):
        filtered, _ = apply_filters(filters, result, aggregate, 2, "a")
        close = expected(filters, result, aggregate, 2, "a")
        np.testing.assert_allclose(flat(filtered), close, rtol=1e-6)


def test_noise_comes_in_parts_as_at_once(tiny):
    for drawn, at_once in [
        (Noise(5).uniforms(100), Noise(5).uniform(100)),
        (Noise(5).laplaces(2.0, 100), Noise(5).laplace(2.0, 100)),
        (Noise(5).gaussians(2.0, 101), Noise(5).gaussian(2.0, 101)),
    ]:
        for start, stop in [(95, 100), (0, 3), (3, 60), (15, 17), (49, 52), (50, 51), (7, 7)]:
            assert drawn.part(start, stop).tobytes() == at_once[start:stop].tobytes()


@pytest.mark.parametrize("dtype", ["f4", pytest.param("f8", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("place", [(), (0,), (2,), (4,), (5,), (2, 0, 4)])
def test_the_gate_holds_little_beyond_what_leaves(monkeypatch, dtype, place):
    filters = [EVERY[each] for each in place]
    monkeypatch.setattr(sparse_vector, "_HELD", 1 << 12)
    monkeypatch.setattr(update_blocks, "_SMALL", 1 << 13)
    monkeypatch.setattr(noise, "_AT_ONCE", 1 << 12)
    nbytes = 4_000_000
    count = nbytes // np.dtype(dtype).itemsize
    arrived, asked = (
        to_record(encode({"model": np.random.default_rng(seed).random(count, dtype)}))
        for seed in (1, 2)
    )
    gate = Gate("a", (MinCount(5), MaxRows(20)), filters)
    study = Study()
    gate.result(from_record(arrived), study, 2, from_record(asked))  # what is imported by now
    tracemalloc.start()
    try:
        passed = gate.result(from_record(arrived), study, 2, from_record(asked))
        leaving = to_record(passed.payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (1.3 if filters else 0.05) * nbytes
    assert decode(from_record(leaving))["model"].dtype == dtype
