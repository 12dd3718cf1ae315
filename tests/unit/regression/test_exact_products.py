"""Sums of products, and linear equations, against Python's fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from flame_flwr.regression.exact_products import products
from flame_flwr.regression.solving import SingularError, factorize


def test_products_are_those_of_fractions():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(4100, 3)) * [1.0, 1e8, 1e-9]
    found = products(table)
    for i in range(3):
        for j in range(i, 3):
            one, two = (map(Fraction, table[:, k].tolist()) for k in (i, j))
            exact = sum((a * b for a, b in zip(one, two, strict=True)), Fraction(0))
            size = np.abs(table[:, i]).max() * np.abs(table[:, j]).max() * len(table)
            assert abs(found[i][j - i] - exact) < size * 2.0**-58


def test_products_do_not_depend_on_the_order_of_rows():
    table = np.random.default_rng(2).normal(size=(500, 4))
    assert products(table) == products(table[::-1])
    parts = zip(products(table[:200]), products(table[200:]), strict=True)
    whole = products(table)
    near = [[a + b for a, b in zip(one, two, strict=True)] for one, two in parts]
    assert float(max(abs(near[i][0] - whole[i][0]) for i in range(4))) < 1e-14


def test_an_information_of_a_condition_of_1e18_is_inverted():
    tiny = Fraction(1, 10**9)
    matrix = [[Fraction(1), Fraction(1)], [Fraction(1), 1 + tiny**2]]
    inverse = factorize(matrix, ["a", "b"]).inverse()
    assert float(inverse[1][1]) == pytest.approx(1e18, rel=1e-14)
    with pytest.raises(SingularError, match="'b' is, over all hospitals, a sum of 'a'"):
        factorize([[Fraction(1), Fraction(1)], [Fraction(1), Fraction(1)]], ["a", "b"])
