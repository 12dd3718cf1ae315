"""Which rows a column's sums are of, also where few or most have a value: counted by a dict."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from flame_flwr.regression.row_cells import number_cells


def rare(column):
    """Return the rows of the rarest of up to three values, and those without one of most rows."""
    counts = Counter(column.tolist())
    ordered = sorted(counts, key=lambda value: (counts[value], value))
    nobody = np.zeros(len(column), dtype=bool)
    if len(counts) < 2:
        return nobody, nobody
    rarest = column == ordered[0] if len(counts) <= 3 else nobody
    most = [value for value in counts if 2 * counts[value] > len(column)]
    return rarest, column != most[0] if most else nobody


def columns(n):
    rng = np.random.default_rng(n)
    yield rng.normal(size=n)
    yield rng.integers(0, 2, n).astype(float)
    yield rng.integers(1, 4, n).astype(float)
    yield np.full(n, 7.0)
    yield np.sort(rng.integers(0, 2, n)).astype(float)  # a second value after the first rows
    for share in (0.4, 0.5, 0.6, 0.99):
        others = rng.normal(size=n).round(1)
        common = np.arange(n) < share * n
        yield np.where(common, 1.0, others)
        yield np.where(common[::-1], 1.0, others)
        yield np.where(rng.permutation(common), others.max() + 1, others)
    yield np.where(np.arange(n) % 2 == 0, 1.0, rng.normal(size=n))  # half of them, no neighbours


@pytest.mark.parametrize("n", [1, 2, 3, 4, 99, 100, 101, 400])
def test_rare_values_are_the_counted_ones(n):
    for column in columns(n):
        found = number_cells(["x"], column[:, None], ["x"])
        rarest, uncommon = rare(column)
        assert (found["x of its rarest value"] == rarest).all()
        assert (found["x of another than its commonest value"] == uncommon).all()
