"""Attacks on figures that rules let leave: each gave people away before there was a rule for it."""

from __future__ import annotations

import pytest

from flame_flwr.privacy import MaxBins, MinCount, Strict
from flame_flwr.statistics import MetaAnalysis

from .studies import through

RULES = (MinCount(5), MaxBins(50), Strict())


# ---- estimates -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 4])
def test_an_estimate_of_few_or_nobody_does_not_leave(n):
    assert through(MetaAnalysis.from_data(3.25, 0.5, n), *RULES).studies == ()


def test_an_estimate_of_few_does_not_leave_within_others():
    few = MetaAnalysis.from_data(3.25, 0.5, 3)
    assert through(MetaAnalysis.from_data(0.5, 0.1, 120).merge(few), *RULES).studies == ()
    two = MetaAnalysis.from_data(0.5, 0.1, 120).merge(MetaAnalysis.from_data(0.6, 0.1, 90))
    assert through(two, *RULES) == two
