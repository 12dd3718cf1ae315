"""Figures that turn on a comparison: against plain loops over patients, in whole numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_flwr.errors import ModelError
from flame_flwr.privacy import NoisyMinMax
from flame_flwr.statistics import AUC, KaplanMeier, LogRank, MinMax, Moments, Quantiles, Total
from flame_flwr.statistics.exact_sums import rounded_sum, sum_about

TIMES = range(1, 9)
TENTHS = [Fraction(i, 10) for i in range(11)]
PATIENTS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1), st.integers(0, 2)), max_size=25)


def survival_after(patients):
    """The product-limit estimate of Kaplan and Meier, patient by patient."""
    left, curve = Fraction(1), []
    for time in TIMES:
        risk = sum(followed >= time for followed, *_ in patients)
        ended = sum(followed == time and event for followed, event, *_ in patients)
        left *= Fraction(risk - ended, risk) if ended else 1
        curve.append(left)
    return curve


def first_time(curve, wanted):
    return next((float(t) for t, s in zip(TIMES, curve, strict=True) if s <= wanted), None)


def check_curve(patients):
    followed, events = [p[0] for p in patients], [p[1] for p in patients]
    half = len(patients) // 2
    found = KaplanMeier.from_data(followed[:half], events[:half], TIMES).merge(
        KaplanMeier.from_data(followed[half:], events[half:], TIMES)
    )
    result, curve = found.result(), survival_after(patients)
    if not patients:
        assert (result["median"], found.quantile(0.1)) == (None, None)
        return
    assert result["survival"] == [float(s) for s in curve]
    assert result["median"] == first_time(curve, Fraction(1, 2))
    for share in TENTHS:
        assert found.quantile(share) == first_time(curve, 1 - share)
        assert found.quantile(float(share)) == first_time(curve, 1 - share)


@settings(deadline=None)
@given(PATIENTS)
def test_survival_is_that_of_a_plain_loop(patients):
    check_curve(patients)


@pytest.mark.parametrize(
    "counts", [(3, 10), (6, 10), (7, 10), (5, 12), (10, 12), (7, 14), (9, 22), (11, 49)]
)
def test_a_survival_of_one_half_is_the_median(counts):
    """Lose some, then as many as leave a half: the two factors are rounded, their product not."""
    first, n = counts
    rest = n - first
    followed = [1] * first + [2] * max(0, rest - n // 2) + [9] * (n // 2)
    events = [1] * (len(followed) - n // 2) + [0] * (n // 2)
    curve = KaplanMeier.from_data(followed, events, TIMES)
    kept = survival_after(list(zip(followed, events, strict=True)))
    assert curve.result()["median"] == first_time(kept, Fraction(1, 2))


def test_quantiles_of_a_curve_take_probabilities_only():
    curve = KaplanMeier.from_data([1, 2], [1, 1], TIMES)
    assert (curve.quantile(0), curve.quantile(1)) == (1.0, 2.0)
    for bad in (-0.1, 1.5, math.nan, math.inf, None, "half"):
        with pytest.raises(ModelError, match="a probability is a number from 0 to 1"):
            curve.quantile(bad)


@settings(deadline=None)
@given(PATIENTS)
def test_the_log_rank_test_is_a_plain_loop(patients):
    observed, expected, variance = [0] * 3, [Fraction(0)] * 3, {}
    for time in TIMES:
        risk = [sum(f >= time and g == group for f, _, g in patients) for group in range(3)]
        died = [sum(f == time and g == group and e for f, e, g in patients) for group in range(3)]
        n, d = sum(risk), sum(died)
        for i in range(3):
            observed[i] += died[i]
            expected[i] += Fraction(d * risk[i], n) if d else 0
            for j in range(3):
                part = Fraction(risk[i], n) * ((i == j) - Fraction(risk[j], n)) if d else 0
                more = part * d * (n - d) / (n - 1) if n > 1 else 0
                variance[i, j] = variance.get((i, j), 0) + more
    columns = list(zip(*patients, strict=True)) or [[], [], []]
    found = LogRank.from_data(*columns, [0, 1, 2], TIMES).result()
    assert found["observed"] == observed
    assert found["expected"] == [float(e) for e in expected]
    used = [i for i in range(3) if variance[i, i] > 0][:-1]
    assert found["df"] == len(used)
    if len(used) == 1:
        (i,) = used
        true = (observed[i] - expected[i]) ** 2 / variance[i, i]
        assert found["statistic"] == pytest.approx(float(true), rel=1e-12, abs=0)
    elif used:
        a, b = used
        x, y = observed[a] - expected[a], observed[b] - expected[b]
        p, q, r = variance[a, a], variance[a, b], variance[b, b]
        true = (x * x * r - 2 * x * y * q + y * y * p) / (p * r - q * q)
        assert found["statistic"] == pytest.approx(float(true), rel=1e-9, abs=1e-12)


def test_groups_that_fare_alike_differ_in_nothing():
    followed, events = [1, 2, 2, 3, 5, 7, 7], [1, 1, 0, 1, 0, 1, 1]
    found = LogRank.from_data(
        followed * 3, events * 3, ["a"] * 7 + ["b"] * 7 + ["c"] * 7, ["a", "b", "c"], TIMES
    ).result()
    assert (found["statistic"], found["p"]) == (0.0, 1.0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40)), min_size=2, max_size=30),
    st.integers(1, 41),
)
def test_the_area_is_between_its_bounds(patients, bins):
    outcomes, scores = zip(*[(ill, score / 40) for ill, score in patients], strict=True)
    found = AUC.from_data(outcomes, scores, bins=bins).result()
    ill, well = ([s for o, s in zip(outcomes, scores, strict=True) if o == c] for c in (1, 0))
    if not ill or not well:
        assert found["auc"] is None
        return
    right = sum((a > b) + Fraction(a == b, 2) for a, b in product(ill, well))
    true = float(right / (len(ill) * len(well)))
    assert found["lower"] <= true <= found["upper"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=40),
    st.lists(st.integers(0, 1000).map(lambda i: i / 1000), min_size=1, max_size=5),
)
def test_quantiles_are_of_the_right_ranks(values, shares):
    """Of values far enough apart every sketched one is told from its neighbours."""
    found = Quantiles.from_data(values, 0.001).result(shares)["values"]
    for got, true in zip(found, np.quantile(values, shares), strict=True):
        assert got == pytest.approx(true, rel=0.0011, abs=0.06)


@pytest.mark.parametrize(
    "values",
    [[1e16, 1e16 + 2], [2**60, 2**60 + 256], [5.0, 5.0], [0.0], [-3e15, -3e15 + 1]],
)
def test_noise_moves_extremes_that_are_large_and_close(values):
    for _ in range(20):
        (sent,) = NoisyMinMax().protect([MinMax.from_data(values)])
        assert sent.low < min(values)
        assert sent.high > max(values)


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_beyond_floats_are_infinite(sign):
    """As of a node that lies: the others' figures are lost, and nothing is raised."""
    large, squares = Fraction(sign * 10**400), Fraction(10**900)
    for statistic in (Total(3, large), Moments(3, large, squares)):
        figures = statistic.merge(type(statistic).from_data([1.0, 2.0])).result()
        assert figures["sum"] == figures["mean"] == sign * math.inf


SIZES = st.floats(-1e150, 1e150) | st.floats(-2, 2) | st.sampled_from([5e-324, -1e-310, 1e100])


@given(st.lists(SIZES, max_size=40), st.integers(1, 900))
def test_an_arrays_sum_is_that_of_fractions(numbers, often):
    values = np.array(numbers * often)
    exact = sum(map(Fraction, numbers), Fraction(0)) * often
    assert rounded_sum(values) == float(exact)
    if numbers:
        _, total = sum_about(values)
        assert abs(total - exact) <= abs(exact) * Fraction(1, 2**100)
