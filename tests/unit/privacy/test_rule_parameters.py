"""What the parameters of rules and filters may be, and what a wrong one is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flame_flwr.errors import ModelError
from flame_flwr.privacy import (
    Clip,
    GaussianNoise,
    MaxBins,
    MaxRows,
    MinCount,
    NoisyMinMax,
    SparseVector,
    TopFraction,
)

ABOVE_ZERO = "must be a number above 0"
FRACTION = "must be above 0 and at most 1"
SPARSE = {"fraction": 1, "bound": 1, "threshold": 1, "epsilon_select": 1, "epsilon_values": 1}
NOISE = {"norm": 1.0, "noise_multiplier": 1.0}


@pytest.mark.parametrize(
    ("kind", "given", "name", "wrong", "message"),
    [
        (MinCount, {}, "k", (1, True, 5.0, "5"), "must be an integer of at least 2"),
        (MinCount, {}, "differences", ("no", 1), "must be True or False"),
        (MaxBins, {}, "most", (0, 1.0), "must be an integer of at least 1"),
        (MaxRows, {}, "most", (0, "200"), "must be an integer of at least 1"),
        (NoisyMinMax, {}, "low", (0, -1), FRACTION),
        (NoisyMinMax, {}, "low", (0.2,), "must not be above high"),
        (NoisyMinMax, {}, "high", (2, math.nan), FRACTION),
        (NoisyMinMax, {}, "secret", (3,), "must be a text"),
        (Clip, {}, "norm", (0, math.nan, math.inf, True, "1"), ABOVE_ZERO),
        (TopFraction, {}, "fraction", (0, 25), FRACTION),
        (
            TopFraction,
            {"fraction": 0.5},
            "keys",
            ([], "", [1], 5, ["a", ""]),
            "are names of arrays",
        ),
        (TopFraction, {"fraction": 0.5}, "missing", ("no", None), "is 'error' or 'skip'"),
        (GaussianNoise, NOISE, "noise_multiplier", (0,), ABOVE_ZERO),
        (GaussianNoise, NOISE, "delta", (1,), "must be below 1"),
        (GaussianNoise, NOISE, "seed", (1.5, True), "must be an integer or None"),
        *((SparseVector, SPARSE, name, (0,), "must be") for name in SPARSE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_parameter_is_refused_at_once(kind, given, name, wrong, message):
    for value in wrong:
        with pytest.raises(ModelError) as caught:
            kind(**{**given, name: value})
        assert f"{kind.__name__}: {name} {message}" in caught.value.message


def test_a_secret_is_not_shown():
    with pytest.raises(ModelError) as caught:
        NoisyMinMax(secret=["hush"])
    assert "hush" not in caught.value.message + repr(NoisyMinMax(secret="hush"))


def test_records_have_plain_numbers():
    clip = Clip(np.float32(0.5), keys=("coef", "bias"))
    assert clip.about() == {"filter": "Clip", "norm": 0.5, "keys": ["coef", "bias"]}
    assert type(clip.about()["norm"]) is float
    assert Clip(1, keys="coef").about()["keys"] == ["coef"]
