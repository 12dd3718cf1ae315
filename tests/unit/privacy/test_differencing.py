"""What of an answer could be had from the rest of it: sums of groups, and cells of one form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.privacy import Disclosure, MinCount
from flame_flwr.statistics import (
    AUC,
    ContingencyTable,
    Covariance,
    Histogram,
    KaplanMeier,
    LogRank,
    Missingness,
    Moments,
    RowCount,
    ValueCounts,
    describe,
)

from .attack import range_of

RNG = np.random.default_rng(4)
F, M, X = RNG.normal(size=31), RNG.normal(size=13), RNG.normal(size=3)


def sent(answer, k=5):
    return Disclosure([MinCount(k)]).apply(answer)


def sizes(statistics):
    return [statistic.size for statistic in statistics]


def curve(events, censored):
    return KaplanMeier((1.0, 2.0), (events, 0), (0, censored, 0))


def bins(*counts):
    return Histogram((0.0, 1.0, 2.0, 3.0), (*counts, 0, 0, 0), (0,) * 6)


def test_a_group_does_not_give_a_withheld_count():
    sex = ["f"] * 31 + ["m"] * 13 + ["x"] * 3
    ages = pd.DataFrame({"sex": sex, "age": np.r_[F, M, X]})
    men = Moments.from_data(M)
    for counts in (ValueCounts.from_data(sex, ["f", "m", "x"]), bins(31, 13, 3)):
        found = sent({"all": RowCount(47), "sex": counts, "m": men})
        assert found["m"].suppressed == 1
        assert found["all"].size == 47
    assert sent({"all": describe(ages), "m": men})["m"].suppressed == 1
    known = {"sex": ValueCounts.from_data(["f"] * 31 + ["m"] * 13), "m": men}
    assert sent(known)["m"].n == 13


# ---- sums of groups -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Moments, RowCount, "curve"])
def test_everyone_less_the_others_gives_no_withheld_group(kind):
    make = (lambda v: curve(0, len(v))) if kind == "curve" else kind.from_data
    answer = {"all": make(np.r_[F, M, X]), "by": {"f": make(F), "m": make(M), "x": make(X)}}
    found = sent(answer)

    assert (found["all"].size, sizes(found["by"].values())) == (47, [31, 0, 0])
    assert found["by"]["m"].suppressed == 1


def test_nor_a_group_outside_the_answer():
    assert sizes(sent([RowCount(97), RowCount(100)])) == [0, 100]
    assert sizes(sent([RowCount(47), RowCount(31), RowCount(13)])) == [47, 31, 0]
    assert sizes(sent([RowCount(23), RowCount(10), RowCount(10)])) == [23, 0, 0]  # of one size


def test_nor_where_parts_are_said_or_two_withheld():
    young_and_old = [RowCount(7), RowCount(6)]
    assert sizes(sent([RowCount(47), RowCount(31), *young_and_old, RowCount(3)])).count(0) == 2
    # 47 - 42 are two groups; with less than k + 1 both would be narrowed, see cell_suppression.hide
    assert sizes(sent([RowCount(47), RowCount(42)])) == [47, 42]
    assert sizes(sent([RowCount(47), RowCount(42), RowCount(3), RowCount(2)])) == [47, 0, 0, 0]


def test_two_groups_do_not_give_their_intersection():
    assert sizes(sent([RowCount(47), RowCount(30), RowCount(20)])) == [47, 30, 0]


def test_two_divisions_do_not_give_a_withheld_group():
    by_sex, by_ward = [RowCount(300), RowCount(200)], [RowCount(391), RowCount(106), RowCount(3)]

    assert sizes(sent([*by_sex, *by_ward])) == [300, 200, 391, 0, 0]
    assert sizes(sent([RowCount(n) for n in (95, 45, 20, 108, 50, 2)])).count(0) > 1  # 160 - 158
    assert sizes(sent([*by_sex, *by_ward[:2]])) == [300, 200, 391, 106]  # as the page says


SIZES = st.lists(st.sampled_from([0, 1, 3, 6, 9, 14, 30]), min_size=9, max_size=9)


@settings(max_examples=25, deadline=None)
@given(SIZES, st.lists(st.booleans(), min_size=7, max_size=7), st.integers(2, 6))
def test_linear_programming_finds_no_withheld_group(atoms, asked, k):
    """Rows, columns and all of a table of people; any of them in the answer."""
    groups = [set(range(9))]
    groups += [{3 * i + j for j in range(3)} for i in range(3)]
    groups += [{3 * j + i for j in range(3)} for i in range(3)]
    groups = [group for group, ask in zip(groups, asked, strict=True) if ask]
    true = [sum(atoms[i] for i in group) for group in groups]
    found = sent([RowCount(n) for n in true], k)

    known = [(g, n.rows) for g, n in zip(groups, found, strict=True) if not n.suppressed]
    for group, n in zip(groups, true, strict=True):
        if 0 < n < k:
            low, high = range_of(group, known, 9)
            assert high - low > 0.5, (true, sizes(found))


def test_of_many_groups_the_doubtful_are_withheld():
    wards = [int(n) for n in RNG.integers(1000, 90_000, 60)]
    found = sizes(sent([RowCount(n) for n in [sum(wards), *wards]]))

    assert found[0] == sum(wards)
    assert found.count(0) > 1


# ---- counts within statistics ---------------------------------------------------------------


def test_two_histograms_do_not_give_a_bins_rest():
    assert sizes(sent([bins(15, 20, 12), bins(8, 17, 6)])) == [47, 0]
    assert sizes(sent([bins(15, 20, 12), bins(8, 11, 6)])) == [47, 25]
    assert sizes(sent([bins(15, 20, 12), bins(8, 30, 6)])) == [47, 0]  # 47 - 44
    assert sizes(sent([bins(15, 20, 12), bins(8, 22, 6)])) == [47, 36]  # no part of the first


def test_nor_can_a_bin_of_a_third_group():
    women, men, others = bins(18, 17, 16), bins(8, 17, 9), bins(3, 4, 4)
    everyone = women.merge(men).merge(others)

    assert sizes(sent([everyone, women, men, others])) == [everyone.size, women.size, 0, 0]


def test_nor_the_rest_of_what_both_hide():
    everyone, most = bins(3, 12, 60), bins(2, 11, 30)  # both hide the first two bins: 15 and 13

    assert sizes(sent([everyone, most])) == [60, 0]


def test_labels_are_compared_by_name():
    everyone = ValueCounts.from_data(["f"] * 31 + ["m"] * 33)
    some = ValueCounts.from_data(["m"] * 20 + ["f"] * 29, ["f", "m"])
    assert sizes(sent([everyone, some])) == [64, 0]

    table = ContingencyTable.from_data(
        ["f"] * 29 + ["m"] * 20, [0, 1] * 24 + [0], ["f", "m"], [0, 1]
    )
    assert sizes(sent([everyone, table])) == [64, 0]

    test = LogRank.from_data(
        [1] * 49, [0, 1] * 24 + [0], ["f"] * 29 + ["m"] * 20, ["f", "m"], [1, 2]
    )
    assert sizes(sent([everyone, test])) == [64, 0]


def test_events_and_classes_are_compared():
    assert sizes(sent([curve(20, 40), curve(17, 20)])) == [60, 0]
    assert sizes(sent([curve(20, 40), curve(14, 20)])) == [60, 34]
    few = curve(2, 8)  # withheld for its two events
    assert sizes(sent([curve(32, 48), curve(20, 20), curve(10, 20), few])) == [80, 40, 0, 0]

    one, two = AUC(0.0, 1.0, (20, 0), (0, 30)), AUC(0.0, 1.0, (17, 0), (0, 12))
    assert sizes(sent([one, two])) == [50, 0]

    columns = ("age",)
    one, two = (Missingness(columns, (n,), (gone,), (0,)) for n, gone in ((60, 20), (30, 17)))
    assert sizes(sent([one, two])) == [60, 0]


def test_counts_are_compared_with_groups_of_others():
    sex = ValueCounts.from_data(["f"] * 31 + ["m"] * 13)
    assert sizes(sent([sex, Moments.from_data(range(29))])) == [44, 0]
    assert sizes(sent([sex, Moments.from_data(range(26))])) == [44, 26]

    members = ["a"] * 20 + ["b"] * 30
    test = LogRank.from_data([1] * 50, [0, 1] * 25, members, ["a", "b"], [1, 2])
    assert sizes(sent([test, RowCount(17)])) == [50, 0]


def test_two_covariances_do_not_give_a_solvable_one():
    table = {name: RNG.normal(size=30) for name in "abcdef"}
    some = {name: values[:23] for name, values in table.items()}
    fewer = {name: values[:24] for name, values in table.items()}

    assert sizes(sent([Covariance.from_data(table), Covariance.from_data(some)])) == [30, 23]
    assert sizes(sent([Covariance.from_data(table), Covariance.from_data(fewer)])) == [30, 0]


# ---- what stays -----------------------------------------------------------------------------


def frame_of(n, columns):
    table = {}
    for i in range(columns):
        values = RNG.normal(50, 9, n)
        values[RNG.permutation(n)[: 7 * i]] = np.nan
        table[f"lab {i}"] = values
    sex = RNG.choice(["f", "m"], n)
    return pd.DataFrame({**table, "sex": sex, "smokes": RNG.choice(["no", "yes"], n)})


def test_an_ordinary_description_loses_nothing_to_sums():
    found = sent(describe(frame_of(600, 25))).result()

    assert found["rows"] == 600
    for i in range(25):
        assert found["columns"][f"lab {i}"]["count"] == 600 - 7 * i
        assert found["columns"][f"lab {i}"]["mean"] is not None
    assert found["columns"]["sex"]["count"] == 600


def test_columns_of_descriptions_are_compared_by_name():
    table = frame_of(600, 4)
    table["sex"] = ["f"] * 350 + ["m"] * 247 + ["x"] * 3
    by_sex = {sex: describe(table[table["sex"] == sex]) for sex in "fmx"}
    found = sent({"all": describe(table), **by_sex})

    assert found["all"].result()["columns"]["lab 0"]["count"] == 600
    assert found["f"].result()["columns"]["lab 0"]["count"] == 350
    assert found["m"].rows.rows == 0
    assert found["m"].result()["columns"]["lab 0"]["count"] == 0
    assert found["x"].size == 0


def test_who_allows_differences_gets_all_that_is_large():
    rule = MinCount(5, differences=False)
    answer = [RowCount(47), RowCount(31), RowCount(13), bins(15, 20, 12), bins(8, 17, 6)]

    assert sizes(Disclosure([rule]).apply(answer)) == [47, 31, 13, 47, 31]


def test_of_many_sizes_the_largest_leave():
    """Each is compared with all that are kept; those of one size count once."""
    sizes = [10**6 + 50 * number for number in range(1500)]
    allowed = Disclosure([MinCount(5)]).apply([RowCount(size) for size in sizes])
    assert {each.size for each in allowed} == {0, *sorted(sizes)[-1000:]}
    alike = Disclosure([MinCount(5)]).apply([RowCount(700)] * 3000)
    assert [each.size for each in alike] == [700] * 3000
