import json

import pytest

from flame_flwr.clients.reply_values import (
    NOT_AS_EXPECTED,
    limited,
    limited_findings,
    read_number,
    read_rounds,
)
from flame_flwr.data.expect import Mismatch
from flame_flwr.failure.failure import Failure


@pytest.mark.parametrize(
    ("said", "read"),
    [(1.23456789, 1.23), (0.00123456, 0.00123), (-1, 0.0), (float("nan"), 0.0), ("7", 0.0)],
)
def test_a_duration_carries_three_digits(said, read):
    assert read_number(said) == read


def test_a_duration_is_bounded():
    assert read_number(10**400) == read_number(float("inf")) == 1e8


@pytest.mark.parametrize(("share", "most"), [(False, 2000), (True, 15_000)])
def test_findings_say_together_what_a_failure_may(share, most):
    found = [Mismatch("x" * 300, number > 10) for number in range(50)]
    allowed = limited_findings(found, share=share, strict=False)
    texts = "".join(finding.text for finding in allowed)
    failed = limited(Failure("E", text="x" * 15_000), share=share, strict=False)
    assert most - 300 < texts.count("x") <= len(failed.text) == most
    assert [finding.stops for finding in allowed] == [finding.stops for finding in found]


def test_a_strict_nodes_findings_have_no_texts():
    allowed = limited_findings([Mismatch("x", True)] * 3, share=True, strict=True)
    assert allowed == (Mismatch(NOT_AS_EXPECTED, True),) * 3


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ([3], [3]),
        ([5, 4], [4, 5]),
        ([61, 47, 33, 61, 90, 12], [33, 47, 61, 90]),
        ([19610304, -1, 0, True, 2.0, "3", None, 10**400], []),
        (list(range(1, 5000)), [4996, 4997, 4998, 4999]),
        ({"1": 2}, []),
    ],
)
def test_hello_lists_a_few_rounds_in_order(said, read):
    assert read_rounds(json.dumps(said)) == read
