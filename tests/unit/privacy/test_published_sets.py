"""Differences of the people themselves: what can be had from all sets that have left."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flame_flwr.privacy.published_sets import PublishedSets


def of(*ranges):
    return np.concatenate([np.arange(a, b, dtype=np.uint64) for a, b in ranges])


def taken(*sets, k=5):
    """Which sets leave, one after another."""
    account = PublishedSets()
    return [account.takes(each, None, k) for each in sets]


@pytest.mark.parametrize(
    ("sets", "leave"),
    [
        ([of((0, 100)), of((0, 50)), of((50, 97))], [True, True, False]),
        ([of((0, 100)), of((0, 50)), of((50, 95))], [True, True, True]),
        ([of((0, 100)), of((0, 50)), of((50, 100))], [True, True, True]),
        ([of((0, 100)), of((0, 98))], [True, False]),
        ([of((0, 98)), of((0, 100))], [True, False]),
        ([of((0, 50)), of((3, 53))], [True, False]),
        ([of((0, 50)), of((45, 95))], [True, True]),  # five of each, and nobody has all of them
        ([of((0, 53)), of((0, 30)), of((27, 53))], [True, True, False]),  # three in both of two
        ([of((0, 30)), of((27, 53)), of((0, 53))], [True, True, False]),
        ([of((0, 50)), of((50, 97)), of((0, 100))], [True, True, False]),
        ([of((0, 50)), of((0, 50))], [True, True]),
        # 10 wards of 10, a clinic across two of them, and the hospital less three people
        (
            [*(of((10 * i, 10 * i + 10)) for i in range(10)), of((5, 15)), of((0, 103))],
            [True] * 11 + [False],
        ),
    ],
)
def test_a_set_is_compared_with_those_before(sets, leave):
    assert taken(*sets) == leave


def test_many_wards_of_one_hospital_leave():
    wards = [of((100 * i, 100 * i + 100)) for i in range(40)]
    assert all(taken(of((0, 4000)), *wards))
    assert taken(of((0, 4003)), *wards) == [True] * 40 + [False]


def test_unrelated_groups_leave():
    """Of sixteen such groups sizes alone let twelve leave: two sizes less a third come close."""
    rng, start, groups = np.random.default_rng(5), 0, []
    for size in rng.integers(50, 2000, 16):
        groups.append(of((start, start + int(size))))
        start += int(size)
    assert all(taken(*groups))


def few_by_definition(sets, k):
    """Tell whether some set less disjoint ones within it, or a pair, has few people: by trying all.

    Sets are Python's, and every choice of them is looked at.
    """
    for one, two in itertools.permutations(sets, 2):
        if 0 < len(one - two) < k or (one | two in sets and 0 < len(one & two) < k):
            return True
    for whole in sets:
        parts = [each for each in sets if each < whole]
        for number in range(1, len(parts) + 1):
            for some in itertools.combinations(parts, number):
                together = set().union(*some)
                if len(together) == sum(map(len, some)) and 0 < len(whole - together) < k:
                    return True
    return solved_by_definition(sets, k)


def solved_by_definition(sets, k):
    """Tell whether the sum of few in the same sets is one of the sums' combinations, by ranks."""
    people = sorted(set().union(*sets))
    columns = [tuple(float(person in each) for each in sets) for person in people]
    sums = np.array(columns).T
    rank = np.linalg.matrix_rank(sums)
    if 2 * rank > len(people):
        return True
    groups = [[column == each for column in columns] for each in set(columns)]
    return any(
        sum(group) < k and np.linalg.matrix_rank(np.vstack([sums, group])) == rank
        for group in groups
    )


def test_random_sets_leave_as_defined():
    rng, left_all, refused_some = np.random.default_rng(11), 0, 0
    for _ in range(150):
        account, published = PublishedSets(), []
        for _ in range(7):
            blocks = rng.random(6) < 0.5  # of blocks of people, as groups of one table are
            sizes = [3, 5, 6, 7, 9, 12]
            bounds = np.cumsum([0, *sizes])
            people = {p for i in range(6) if blocks[i] for p in range(bounds[i], bounds[i + 1])}
            if len(people) < 4:
                continue
            new = frozenset(people)
            expected = new in published or not few_by_definition([*published, new], 4)
            taken_now = account.takes(np.array(sorted(new), dtype=np.uint64), None, 4)
            assert taken_now == expected, (published, new)
            if taken_now and new not in published:
                published.append(new)
            left_all += taken_now
            refused_some += not taken_now
    assert min(left_all, refused_some) > 100


def test_four_sums_do_not_solve_one_value():
    """Half of the first two less the others: no two of these sets give it away."""
    x, a, b, c, d = (of((start, end)) for start, end in itertools.pairwise([0, 1, 11, 21, 31, 41]))
    sets = [np.concatenate(each) for each in ([x, a, b], [x, c, d], [a, c], [b, d])]
    assert taken(*sets) == [True, True, True, False]
    more = [np.concatenate(each) for each in ([a, b], [a, d], [b, c])]
    assert taken(*sets[2:], *more[1:]) == [True] * 4


def test_all_are_not_solved_from_random_halves():
    halves = [np.random.default_rng(i).permutation(60)[:30].astype(np.uint64) for i in range(60)]
    assert sum(taken(*map(np.sort, halves))) == 30
    crossed = [of((0, 30)), of((30, 60)), *(np.arange(i, 60, 4, dtype=np.uint64) for i in range(4))]
    assert all(taken(of((0, 60)), *crossed))


def test_columns_are_compared_with_rows_and_themselves():
    account, everyone = PublishedSets(), of((0, 100))
    assert account.takes(of((0, 90)), "age", 5)
    assert account.takes(of((2, 90)), "bmi", 5)  # the ages of two less no age at all
    assert not account.takes(of((1, 90)), "age", 5)
    assert not account.takes(of((0, 88)), None, 5)
    assert account.takes(everyone, None, 5)


def test_counts_are_kept_as_text():
    sets = PublishedSets()
    assert sets.takes_counts([of((0, 100))], [of((0, 60)), of((60, 100))], 5)
    again = PublishedSets.from_json(sets.to_json())
    assert not again.takes_counts([of((0, 59))], [], 5)
    assert again.takes_counts([of((0, 55)), of((0, 98))], [], 5)  # wholes go by their columns
    assert not again.takes_counts([], [of((2, 100))], 5)


def test_more_people_than_one_answers_are_reread():
    account = PublishedSets()
    for start in (0, 300_000):
        people = np.arange(start, start + 300_000, dtype=np.uint64)
        assert account.takes(people, f"column {start}", 5)
    assert not PublishedSets.from_json(account.to_json()).takes(people[1:], "column 300000", 5)
