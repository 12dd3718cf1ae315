"""What two figures of an answer give away, by sizes: groups, and cells of one form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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
from flame_flwr.statistics.people import counting_people

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


# ---- sizes of groups ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Moments, RowCount, "curve"])
def test_everyone_less_most_gives_no_withheld_group(kind):
    make = (lambda v: curve(0, len(v))) if kind == "curve" else kind.from_data
    found = sent({"all": make(np.r_[F, X]), "by": {"f": make(F), "x": make(X)}})
    assert (found["all"].size, sizes(found["by"].values())) == (34, [0, 0])
    assert found["by"]["f"].suppressed == 1


def test_nor_a_group_outside_the_answer():
    assert sizes(sent([RowCount(97), RowCount(100)])) == [0, 100]
    assert sizes(sent([RowCount(103), RowCount(97), RowCount(100)])) == [103, 97, 0]
    assert sizes(sent([RowCount(23), RowCount(10), RowCount(10)])) == [23, 10, 10]  # of one size


def test_three_groups_tell_of_people_alone():
    """The page says so; ``test_published_sets.py`` has the same with people."""
    sizes_of_all = [RowCount(47), RowCount(31), RowCount(13), RowCount(3)]
    assert sizes(sent(sizes_of_all)) == [47, 31, 13, 0]
    groups = {"all": range(47), "f": range(31), "m": range(31, 44), "x": range(44, 47)}
    answer = {}
    with counting_people("person", None):
        for name, people in groups.items():
            frame = pd.DataFrame({"person": people})
            answer[name] = RowCount.from_data(frame)
    assert [each.rows for each in sent(answer).values()] == [47, 31, 0, 0]


def test_unrelated_groups_of_plain_arrays_leave():
    """Of sixteen such groups twelve left while sums of several were looked at."""
    groups = np.random.default_rng(5).integers(50, 2000, 16)
    assert sizes(sent([RowCount(int(n)) for n in groups])).count(0) == 0


# ---- counts within statistics ---------------------------------------------------------------


def test_two_histograms_do_not_give_a_bins_rest():
    assert sizes(sent([bins(15, 20, 12), bins(8, 17, 6)])) == [47, 0]
    assert sizes(sent([bins(15, 20, 12), bins(8, 11, 6)])) == [47, 25]
    assert sizes(sent([bins(15, 20, 12), bins(8, 30, 6)])) == [47, 0]  # 47 - 44
    assert sizes(sent([bins(15, 20, 12), bins(8, 22, 6)])) == [47, 36]  # no part of the first


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
    # all say how many women there are; with the men's number the three others would be told
    assert found["m"].rows.rows == 0
    assert found["m"].result()["columns"]["lab 0"]["count"] == 0
    assert found["x"].size == 0


def test_who_allows_differences_gets_all_that_is_large():
    rule = MinCount(5, differences=False)
    answer = [RowCount(47), RowCount(31), RowCount(13), bins(15, 20, 12), bins(8, 17, 6)]

    assert sizes(Disclosure([rule]).apply(answer)) == [47, 31, 13, 47, 31]


def test_many_sizes_leave():
    sizes = [10**6 + 50 * number for number in range(1500)]
    allowed = Disclosure([MinCount(5)]).apply([RowCount(size) for size in sizes])
    assert [each.size for each in allowed] == sizes
    alike = Disclosure([MinCount(5)]).apply([RowCount(700)] * 3000)
    assert [each.size for each in alike] == [700] * 3000


def test_of_many_tables_the_largest_leave():
    tables = [bins(40 + 10 * n, 7000 - 5 * n, 50 + 10 * n) for n in range(1100)]
    allowed = [each for each in sent(tables) if each.size]
    assert len(allowed) == 1000
    assert min(sizes(allowed)) == sorted(sizes(tables))[100]
