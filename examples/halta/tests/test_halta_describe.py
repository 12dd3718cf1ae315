"""Descriptive statistics: nobody is lost, and the sums are those of the pooled files."""

import numpy as np
import pandas as pd
import pytest
from halta_reference import read

from halta.cohort import Cohort, load_cohort
from halta.describe import AGE_GROUPS, column_group, describe, merge


def cohort(**columns):
    table = pd.DataFrame(columns)
    return Cohort(table, np.zeros(len(table)))


@pytest.fixture(scope="module")
def merged(splits):
    return merge({f"node-{k}": describe(load_cohort(data)) for k, data in enumerate(splits)})


@pytest.fixture(scope="module")
def pooled(contents):
    return pd.concat([read(content) for content in contents], ignore_index=True)


def test_every_patient_is_in_every_table_once(merged):
    for counts in (merged.age, merged.sex, merged.label):
        np.testing.assert_array_equal(counts.sum(axis=0), [1240, 610, 270])


def test_ages_at_the_edges():
    ages = [0, 4.9, 5, 99.5, 100, 104, 120, 120.5, -3, np.nan]
    counts = dict(zip(AGE_GROUPS, describe(cohort(age=ages))["age"], strict=True))
    assert {group: count for group, count in counts.items() if count} == {
        "0-4": 2,
        "5-9": 1,
        "95-99": 1,
        "100 or older": 3,
        "below 0 or over 120": 2,
        "not recorded": 1,
    }


def test_a_hospital_without_age_and_sex():
    answer = describe(cohort(cough=[0, 1, 1]))
    assert answer["age"].tolist() == [0] * 22 + [3]
    assert answer["sex"].tolist() == [0, 0, 0, 3]


def test_ages_are_those_of_the_pooled_files(merged, pooled):
    histogram = pd.cut(pooled["age"], [*range(0, 105, 5), 121], right=False).value_counts(
        sort=False
    )
    np.testing.assert_array_equal(merged.age.sum(axis=1)[:21], histogram)
    assert merged.age.sum(axis=1)[22] == pooled["age"].isna().sum()


def test_sexes_and_labels_are_the_pooled_files(merged, pooled):
    sex = pooled["sex"].value_counts(dropna=False)
    assert merged.sex.sum(axis=1).tolist() == [
        *(sex["female"], sex["male"], 0),
        pooled["sex"].isna().sum(),
    ]
    label = pooled["pasc"]
    assert merged.label.sum(axis=1).tolist() == [
        *((label == 1).sum(), (label == 0).sum()),
        label.isna().sum(),
    ]


def test_missing_cells_are_those_of_the_files(merged, contents):
    tables = [read(content) for content in contents]
    assert list(merged.missing) == sorted(set().union(*(table.columns for table in tables)))
    for name, counts in merged.missing.items():
        assert counts.tolist() == [
            int(table[name].isna().sum()) if name in table else -1 for table in tables
        ]
    assert merged.columns.tolist() == [table.shape[1] for table in tables]


def test_columns_have_groups():
    assert column_group("visit1_date") == "dates"
    assert column_group("acute_fever") == "acute symptoms"
    assert column_group("bmi") == "other columns"
