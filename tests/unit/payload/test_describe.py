"""What a value is said to be, and what importing the payload costs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from flame_flwr.payload import describe


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, flame_flwr.payload as p; p.decode(p.encode({'a': [1, (2.5, 'x')]}));"
        "print(sorted({'pandas', 'scipy', 'sklearn', 'skops', 'flwr'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((None, "NoneType"), (0.5, "float"), (True, "bool"), ("Mrs Jones", "str")),
        *((b"abc", "bytes of 3"), ({"Mrs Jones": 1, "b": 2}, "dict of 2")),
        *(([1, 2, 3], "list of 3"), ((), "tuple of 0"), ({1}, "set of 1")),
        *((np.float32(1), "float32"), (np.zeros((1, 30)), "ndarray float64 (1, 30)")),
        (np.zeros(2, "M8[D]"), "ndarray datetime64[D] (2,)"),
        (np.zeros(2, [("secret", "f8")]), "ndarray void64 (2,)"),
        (np.ma.array([1]), "MaskedArray int64 (1,)"),
        *((pd.DataFrame({"a": [1, 2]}), "DataFrame (2, 1)"), (pd.Series([1, 2]), "Series (2,)")),
        *((pd.Timestamp("2020"), "Timestamp"), (sp.csr_array((3, 4)), "csr_array (3, 4)")),
        *((object(), "object"), (range(5, 11, 2), "range of 3"), (range(3, 0), "range of 0")),
        (range(-(10**6000), 10**6000), f"range of {10**100} or more"),
    ],
)
def test_describe(value, text):
    assert describe(value) == text
