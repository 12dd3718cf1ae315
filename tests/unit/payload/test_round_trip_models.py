"""The law, for scipy.sparse and for fitted scikit-learn estimators."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hanging import HANGS

DENSE = np.array([[0, 1.5, 0, 0], [0, 0, 0, 0], [2.5, 0, -1, 0], [0, 0, 0, 7]])
FORMATS = [
    f"{kind}_{family}"
    for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for family in ("array", "matrix")
]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "c16", "?"])
def test_every_sparse_format(name, dtype, same, travel):
    value = getattr(sp, name)(DENSE.astype(dtype))

    assert same(value, travel(value))
    assert (travel(value).toarray() == DENSE.astype(dtype)).all()


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_sparse_array(name, same, travel):
    value = getattr(sp, name)((3, 2), dtype="f4")

    assert same(value, travel(value))


def test_odd_sparse_arrays(same, travel):
    wide = sp.csr_array(DENSE)
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    unsorted = sp.csr_array(([1.0, 2.0], [3, 0], [0, 2]), shape=(1, 4))
    value = {
        "wide": wide,
        "unsorted": unsorted,
        "explicit zero": sp.csr_array(([0.0], [1], [0, 1]), shape=(1, 4)),
        "repeated": sp.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2)),
        "one axis": sp.coo_array(np.array([0.0, 1.0, 0.0])),
        "three axes": sp.coo_array(np.ones((2, 2, 2))),
        "csr of one axis": sp.csr_array(np.array([0.0, 1.0, 0.0])),
        "blocks": sp.bsr_array(DENSE, blocksize=(2, 2)),
        "large": sp.random_array((400, 400), density=0.1, format="csc", rng=1),
    }

    assert same(value, travel(value))


def test_an_estimator_travels_without_pytorch():
    """scikit-learn lists its estimators by importing all that it has."""
    pytest.importorskip("torch")
    code = """
import sys
from importlib.util import find_spec
from sklearn.linear_model import LogisticRegression
from flame_flwr.payload import encode
encode(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
print("torch" in sys.modules, find_spec("sklearn.externals.array_api_compat.torch") is None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS
    )
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr
