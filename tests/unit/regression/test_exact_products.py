"""Sums of products, and linear equations, against Python's fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from flame_flwr.regression import GLM
from flame_flwr.regression.exact_products import linear, products
from flame_flwr.regression.solving import SingularError, factorize


def exact_products(table):
    """Return the sums of products of any two columns, in fractions."""
    columns = [list(map(Fraction, column)) for column in np.asarray(table).T.tolist()]
    return [[sum(map(Fraction.__mul__, one, two)) for two in columns] for one in columns]


@pytest.mark.parametrize("n", [0, 1, 63, 64, 1024, 2100])
def test_products_are_those_of_fractions(n):
    rng = np.random.default_rng(n)
    table = rng.normal(size=(n, 2)) * [1e8, 1e-9]
    scales, last = rng.random((2, n))
    whole = np.column_stack([table * scales[:, None], last])
    found, wanted = products(table, scales, last), exact_products(whole)
    for i in range(3):
        for j in range(i, 3):
            size = np.abs(whole[:, i]).max(initial=0) * np.abs(whole[:, j]).max(initial=0) * n
            assert abs(found[i][j - i] - wanted[i][j]) <= size * 2.0**-70


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (200, 3), (300, 70), (40, 300)])
def test_few_rows_at_a_time_are_all_rows(n, columns):
    rng = np.random.default_rng(n)
    table, coefficients = rng.normal(size=(n, columns)), rng.normal(size=columns)
    np.testing.assert_allclose(linear(table, coefficients), table @ coefficients, atol=1e-13)
    upper = [float(value) for row in products(table) for value in row]
    places = np.triu_indices(columns)
    np.testing.assert_allclose(upper, (table.T @ table)[places], atol=1e-12)


def test_nearly_dependent_columns_keep_their_digits():
    rng = np.random.default_rng(4)
    x = rng.normal(size=90)
    table = pd.DataFrame({"x": x, "z": x + 2e-6 * rng.normal(size=90)})
    table["y"] = table["x"] + rng.normal(size=90)
    assert np.linalg.cond((table[["x", "z"]] / table[["x", "z"]].std()).to_numpy()) > 9e5
    found = GLM("y ~ x + z").test([table[:20], table[20:]], quiet=True).result
    sums = exact_products(np.column_stack([np.ones(90), table]))
    design = [row[:3] for row in sums[:3]]
    factors = factorize(design, found.columns)
    wanted = np.array(factors.solve([row[3] for row in sums[:3]]), dtype=np.float64)
    rest = sum((Fraction(b) * row[3] for b, row in zip(wanted, sums, strict=False)), Fraction(0))
    errors = [row[j] for j, row in enumerate(factors.inverse())]
    bse = np.sqrt(np.array(errors, dtype=np.float64) * float(sums[3][3] - rest) / 87)
    np.testing.assert_allclose(found.bse, bse, rtol=1e-9)
    assert np.all(np.abs(found.params - wanted) < 1e-9 * np.maximum(np.abs(wanted), bse))


def test_conditions_of_1e18_are_inverted():
    tiny = Fraction(1, 10**9)
    matrix = [[Fraction(1), Fraction(1)], [Fraction(1), 1 + tiny**2]]
    inverse = factorize(matrix, ["a", "b"]).inverse()
    assert float(inverse[1][1]) == pytest.approx(1e18, rel=1e-14)
    with pytest.raises(SingularError, match="'b' is, over all hospitals, a sum of 'a'"):
        factorize([[Fraction(1), Fraction(1)], [Fraction(1), Fraction(1)]], ["a", "b"])
