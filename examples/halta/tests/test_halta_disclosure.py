"""The rule for small groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from halta.disclosure import count_text, percent_text, protect, share_texts

tables = arrays(
    np.int64,
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.one_of(st.integers(0, 9), st.integers(0, 300)),
)


def test_a_table_without_small_groups_stays_whole():
    protected = protect(np.array([[50, 0], [7, 5]]))
    assert protected.text == [["50", "0", "50"], ["7", "5", "12"]]
    assert not protected.hidden.any()
    assert not protected.rounded.any()
    np.testing.assert_array_equal(protected.heights, [[50, 0], [7, 5]])


def test_a_small_group_cannot_be_had_by_subtraction():
    protected = protect(np.array([[577, 296, 156], [648, 302, 111], [15, 12, 3]]))
    assert protected.text[2] == ["15", "~10", "<5", "30"]
    assert protected.text[1] == ["648", "302", "111", "1061"]
    assert protected.text[0] == ["577", "~300", "~160", "1029"]
    assert protected.heights[2, 2] == 2.5


@given(tables)
@settings(max_examples=300, deadline=None)
def test_only_small_groups_are_hidden(counts):
    protected = protect(counts)
    full = np.column_stack([counts, counts.sum(axis=1)])
    for row, texts in zip(full, protected.text, strict=True):
        for count, text in zip(row, texts, strict=True):
            if 0 < count < 5:
                assert text == "<5"
            elif text.startswith("~"):
                assert abs(int(text[1:]) - count) <= 5
                assert int(text[1:]) >= 5
            else:
                assert int(text) == count


@given(tables)
@settings(max_examples=300, deadline=None)
def test_no_line_gives_a_single_number_away(counts):
    protected = protect(counts)
    full = np.column_stack([counts, counts.sum(axis=1)])
    unsure = protected.hidden | protected.rounded
    for table, open_ in ((full, unsure), (full.T, unsure.T)):
        for row, marks in zip(table, open_, strict=True):
            if marks.sum() == 1:
                assert not (row[~marks] >= 5).any()


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1, "<5"), (4, "<5"), (5, "5")])
def test_single_counts(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 80, "0 %"),
        (3, 80, "<5"),
        (20, 80, "25 %"),
        (76, 80, "all but <5"),
        (80, 80, "100 %"),
        (2, 4, "-"),
        (0, 0, "-"),
    ],
)
def test_shares(part, whole, text):
    assert percent_text(part, whole) == text


def test_a_blurred_numbers_share_is_not_shown():
    assert share_texts(np.array([[40, 3], [60, 97]])) == ["-", "-", "22 %"]
    assert share_texts(np.array([[40, 30], [60, 70]])) == ["40 %", "30 %", "35 %"]
