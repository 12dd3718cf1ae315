"""Numbers of bytes as people read them: one to three digits before the point, whatever the size."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr.data.data_size import evidence_of
from flame_flwr.text.sizes import shown_size

POWERS = {"B": 0, "kB": 1, "MB": 2, "GB": 3, "TB": 4, "PB": 5}
near_borders = st.builds(
    lambda power, off: max(0, 1000**power + off), st.integers(1, 5), st.integers(-(10**6), 10**6)
)


@given(st.integers(0, 10**17) | near_borders)
def test_a_size_has_at_most_three_digits(size):
    number, unit = re.fullmatch(r"(\d{1,3}(?:\.\d)?) ([kMGTP]?B)", shown_size(size)).groups()
    off = abs(Fraction(number) * 1000 ** POWERS[unit] - size)
    assert off <= (Fraction(1001, 20000) * 1000 ** POWERS[unit] if unit != "B" else 0)
    assert Fraction(number) >= 1 or size == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (999_999_999, "1.0 GB"),
        (5_000_000_000, "5.0 GB"),
        (10**12 - 1, "1.0 TB"),
        (10**15 - 1, "1.0 PB"),
    ],
)
def test_sizes_at_the_borders(size, text):
    assert shown_size(size) == text


def test_a_nodes_amount_of_data_is_said_so():
    assert evidence_of([{"a.csv": bytes(999_999)}], "s3").words() == "1 file, 1.0 MB"
