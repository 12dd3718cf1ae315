"""What a study declares to the gate: read as it was written, and refused in any other form."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from flame_flwr.errors import ConfigError, PayloadError
from flame_flwr.privacy import (
    Clip,
    GaussianNoise,
    MaxBins,
    MaxRows,
    MinCount,
    NoisyMinMax,
    SparseVector,
    Strict,
    TopFraction,
    UpdateFilter,
)
from flame_flwr.privacy.config_text import (
    read_declared_filters,
    read_declared_rules,
    write_text,
)
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.privacy.study_declaration import Study

from .own_classes import Doubled

RULES = (
    MinCount(7, differences=False),
    NoisyMinMax(0.1 + 0.2, 0.7, secret="it's \\ \n'secret'"),
    MaxBins(20),
    MaxRows(3),
    Strict(),
)

FILTERS = (
    TopFraction(1 / 3, keys=("a.b", "it's")),
    Clip(np.float32(0.1), missing="skip"),
    SparseVector(0.1, bound=1e-300, threshold=1, epsilon_select=1, epsilon_values=2, seed=-3),
    GaussianNoise(norm=2.0, noise_multiplier=Fraction(1, 4), delta=1e-7, seed=2**70, keys="coef"),
)


@pytest.mark.parametrize(
    ("declared", "read"), [(RULES, read_declared_rules), (FILTERS, read_declared_filters)]
)
def test_text_is_read_as_written(declared, read):
    found = read(write_text(declared))
    assert [type(each) for each in found] == [type(each) for each in declared]
    for each, given in zip(found, declared, strict=True):
        assert {**vars(each), "keys": 0} == {**vars(given), "keys": 0}
        if isinstance(each, UpdateFilter):
            assert each.about() == given.about()
    assert write_text(found) == write_text(declared)


@pytest.mark.parametrize(
    "text",
    [
        *("/etc/passwd", "Clip(1.0", "Klip(1.0)", "Clip('Maria')", "Clip(__import__('os'))"),
        *("Clip(" + "-" * 100_000 + "1)", "Clip(keys=" + "a." * 90_000 + "b)", "(" * 200_000),
        *("Clip(" + "1if 1else " * 10_000 + "1)", "Clip(1.0)," * 30_000, "Clip" + "()" * 90_000),
    ],
)
def test_a_strangers_text_is_refused_without_repeating_it(text):
    with pytest.raises(ConfigError, match="that the analysis declares cannot be read") as raised:
        read_declared_filters(text)
    assert len(raised.value.message) < 200


def test_a_study_arrives_as_it_was_handed_over():
    report = {**Doubled().about(), "by": "analysis", "applied": True, "mechanism": None}
    evidence = Evidence(files=2, nbytes=14, people=9, levels={"sex": (4, 5)})
    study = Study(RULES[:2], FILTERS[:1], (report,), ("OnlyLarge",), True, evidence)
    read = Study.from_bytes(study.to_bytes())
    assert (read.rules, read.own_rules, read.allow_pickle) == (RULES[:2], ("OnlyLarge",), True)
    assert (read.acted, read.evidence) == ((report,), evidence)


@pytest.mark.parametrize(
    "change",
    [
        {"rules": 3},
        {"acted": [{"filter": "two words", "applied": True}]},
        {"acted": "x"},
        {"own_rules": ["Maria Muster"]},
        {"own_rules": ["x"] * 101},
        {"evidence": {"people": -1}},
        {"evidence": {"people": "Maria"}},
        {"evidence": {"kind": "Maria Muster"}},
        {"evidence": {"name": "Maria"}},
        {"evidence": {"levels": {"sex": [1] * 2000}}},
        {"evidence": {"sizes": [1] * 20_000}},
        {"evidence": {"sizes": [-1]}},
        {"evidence": {"columns": [[[9, 9, 1, 1, "0a", "0b", False, [], "two words"]]]}},
        {"evidence": []},
    ],
)
def test_a_study_of_another_form_is_refused(change):
    said = json.loads(Study().to_bytes())
    with pytest.raises(PayloadError) as raised:
        Study.from_bytes(json.dumps({**said, **change}).encode())
    assert "Maria" not in raised.value.message


@pytest.mark.parametrize("data", [None, "text", b"", b"[" * 100_000, b"{}", b"3", b" " * 1_000_001])
def test_what_is_no_study_is_refused(data):
    with pytest.raises(PayloadError, match="cannot be read"):
        Study.from_bytes(data)
