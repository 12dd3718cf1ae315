"""Which counts are hidden, and what can still be had of them: attacked by linear programming."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.privacy import Disclosure, MinCount
from flame_flwr.statistics import ContingencyTable, RowCount, ValueCounts
from flame_flwr.statistics.cell_suppression import (
    cells_to_withhold,
    coarsen,
    table_cells_to_withhold,
)

from .attack import ranges

COUNTS = st.one_of(st.integers(0, 8), st.sampled_from([0, 1, 20, 50]))
SOME = settings(max_examples=10, deadline=None)


def possible(hidden_total, parts, low):
    """Every way to make a total of so many parts, each of at least `low`."""
    if parts == 1:
        yield (hidden_total,)
        return
    for first in range(low, hidden_total - low * (parts - 1) + 1):
        for rest in possible(hidden_total - first, parts - 1, low):
            yield (first, *rest)


@SOME
@given(st.lists(COUNTS, min_size=1, max_size=6), st.integers(2, 6))
def test_a_total_gives_no_small_part(counts, k):
    hidden = cells_to_withhold(counts, k)

    assert all(out for out, count in zip(hidden, counts, strict=True) if 0 < count < k)
    if not any(hidden) or sum(counts) < k:  # such a total is itself not told
        return
    inside = [count for count, out in zip(counts, hidden, strict=True) if out]
    assert len(inside) > 1
    assert sum(inside) >= k
    if sum(inside) <= 25:
        ways = list(possible(sum(inside), len(inside), 0 if all(hidden) else 1))
        for place in range(len(inside)):
            assert len({way[place] for way in ways}) >= k


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        *(([10, 20, 0], [0, 0, 0]), ([10, 20, 3], [1, 0, 1]), ([10, 20, 3, 4], [0, 0, 1, 1])),
        *(([10, 20, 1, 1, 1], [1, 0, 1, 1, 1]), ([1, 0, 1], [1, 1, 1]), ([], [])),
    ],
)
def test_what_is_hidden(counts, hidden):
    assert cells_to_withhold(counts, 5) == [bool(out) for out in hidden]


TABLES = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(COUNTS, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda flat: np.array(flat, dtype=np.int64).reshape(shape)
    )
)


@SOME
@given(TABLES, st.integers(2, 6))
def test_totals_give_no_small_cell_of_tables(table, k):
    hidden = table_cells_to_withhold(table, k)

    assert hidden[(table > 0) & (table < k)].all()
    if not hidden.any() or table.sum() < k:
        return
    sums = [table.sum(axis=1).tolist(), table.sum(axis=0).tolist()]
    rows, columns = (
        {
            i: n
            for i, (n, out) in enumerate(zip(line, cells_to_withhold(line, k), strict=True))
            if not out
        }
        for line in sums
    )
    cells = {(i, j): int(table[i, j]) for i, j in np.argwhere(~hidden)}
    low = 0 if hidden.all() else 1
    found = ranges(table.shape, cells, rows, columns, int(table.sum()), low)
    for place, (smallest, largest) in found.items():
        if 0 < table[place] < k:
            assert smallest - 1e-6 <= table[place] <= largest + 1e-6
            assert largest - smallest >= k - 1 - 1e-6


def test_a_table_without_small_cells_is_shown():
    assert not table_cells_to_withhold(np.array([[5, 0], [7, 90]]), 5).any()


def test_one_small_cell_costs_three_others():
    hidden = table_cells_to_withhold(np.array([[2, 30, 40], [50, 60, 70], [80, 90, 99]]), 5)

    assert hidden.tolist() == [[True, True, False], [True, True, False], [False, False, False]]


def test_a_large_table_takes_seconds_at_most():
    rng = np.random.default_rng(3)
    table = rng.poisson(rng.gamma(0.6, 9, (49, 49)))

    hidden = table_cells_to_withhold(table, 5)
    assert not hidden.all()
    assert hidden[(table > 0) & (table < 5)].all()


@SOME
@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 9)), unique_by=lambda p: p[0]),
    st.integers(2, 6),
)
def test_neighbours_move_together_until_no_count_is_small(places, k):
    places = sorted(places)
    total = sum(count for _, count in places)
    moved = coarsen(places, k)

    if 0 < total < k:
        assert moved is None
        return
    assert sum(count for _, count in moved) == total
    assert all(count >= k for _, count in moved)
    assert [place for place, _ in moved] == sorted({place for place, _ in moved})
    # nobody passes anybody: the cumulated counts agree wherever a group ends
    before = set(itertools.accumulate(count for _, count in places))
    assert set(itertools.accumulate(count for _, count in moved)) <= before | {0}


def test_a_group_goes_to_its_middle():
    assert coarsen([(1, 2), (2, 2), (9, 1), (10, 7), (11, 1)], 5) == [(2, 5), (10, 8)]


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=60)


@SOME
@given(ROWS, st.integers(2, 5), st.randoms(use_true_random=False))
def test_a_nodes_whole_answer_gives_no_small_cell(rows, k, rng):
    """The attacker has every total that leaves beside the table."""
    rows += [("a", "x")] * rng.randint(0, 20) + [("b", "y")] * rng.randint(0, 20)
    first, second = [row[0] for row in rows], [row[1] for row in rows]
    table = ContingencyTable.from_data(first, second, ["a", "b", "c"], ["x", "y", "z"])
    answer = {
        "rows": RowCount.from_data(rows),
        "first": ValueCounts.from_data(first, ["a", "b", "c"]),
        "second": ValueCounts.from_data(second, ["x", "y", "z"]),
        "table": table,
    }
    sent = Disclosure([MinCount(k)]).apply(answer)

    true = np.array(table.counts).reshape(4, 4)
    shown = np.array(sent["table"].withheld_at).reshape(4, 4) == 0
    cells = {(i, j): int(true[i, j]) for i, j in np.argwhere(shown)}
    known = []
    for name in ("first", "second"):
        found = sent[name].result()["counts"]
        known.append({i: n for i, n in enumerate(found) if n is not None})
    total = None if sent["rows"].suppressed else len(rows)
    low = 1 if shown.any() else 0
    if not shown.all():
        for place, (smallest, largest) in ranges((4, 4), cells, *known, total, low).items():
            if 0 < true[place] < k:
                assert largest - smallest > 0.5, (place, smallest, largest)
