"""A strict node lets nothing leave that an app has chosen: no text, and budgets in two digits."""

from __future__ import annotations

import re

import pytest

from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.payload import encode
from flame_flwr.privacy import (
    Clip,
    GaussianNoise,
    Strict,
)
from flame_flwr.privacy.budget import Mechanism
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.statistics import RowCount

BUDGET = {"kind": "gaussian", "value": 2.7182818284590452, "delta": 1e-5}

TOLD = {"filter": "Own", "by": "analysis", "applied": True, "mechanism": BUDGET}


def test_a_strict_node_says_names_and_budgets():
    """Of what the app declares; what the node's own filters say is the hospital's."""
    study = Study(
        filters=(GaussianNoise(1.2345, 2.7182, keys="Maria", missing="skip", delta=1e-5),),
        acted=({**TOLD, "digits": 19610203, "note": ["Maria"]},),
    )
    gate = Gate("a", (Strict(),), (Clip(1.5, missing="skip"),))
    passed = gate.result(encode(RowCount(31)), study, 1)
    own, declared, nodes = passed.filters
    assert own == {**TOLD, "mechanism": {**BUDGET, "value": 2.7}}
    assert declared == {
        "filter": "GaussianNoise",
        "by": "analysis",
        "applied": False,
        "mechanism": {**BUDGET, "value": 1.3},  # of 2.7182, as two data sets differ by 2 norms
    }
    assert nodes["norm"] == 1.5
    assert "Maria" not in str(passed.said())
    assert "Maria" in str(Gate("a").result(encode(RowCount(31)), study, 1).said())


@pytest.mark.parametrize(
    "study",
    [
        Study(own_rules=("OnlyLarge",) * 11),
        Study(acted=(TOLD,) * 11),
        Study(filters=(Clip(1.0, missing="skip"),) * 6, acted=(TOLD,) * 5),
        Study(own_rules=("a" * 150,), acted=({**TOLD, "filter": "b" * 151},)),
    ],
)
def test_a_strict_node_takes_few_short_names(study):
    strict = Gate("a", (Strict(),))
    with pytest.raises(ConfigError, match="this node is strict"):
        strict.result(encode(RowCount(31)), study, 1)
    with pytest.raises(ConfigError, match="this node is strict"):
        strict.hello(study, evaluates=False)
    assert Gate("a").result(encode(RowCount(31)), study, 1).said()


def test_a_strict_refusal_repeats_no_apps_words():
    """A filter's keys, and a place at a depth of numbers, in what the gate itself raises."""
    gate, deep = Gate("a", (Strict(),)), 61.3
    for number in [1961, 3, 47] * 20:
        deep = [None] * number + [deep]
    keyed = Study(filters=(Clip(1.0, keys=["Zacharias", "1961-03-04"]),))
    with pytest.raises(FlameError) as of_keys:
        gate.result(encode(RowCount(31)), keyed, 1)
    assert "floats at number 1 of its keys" in of_keys.value.message
    assert not {"Zacharias", "1961"} & set(re.findall(r"\w+", of_keys.value.message))
    with pytest.raises(FlameError) as of_place:
        gate.result(encode(deep), Study(), 1)
    assert "at $[47][3][1961][47][3]… is a float" in of_place.value.message


@pytest.mark.parametrize("kind", ["gaussian", "pure"])
@pytest.mark.parametrize("value", [1e-9, 9.99e8, 0.5, 0.123456, 99.9])
def test_a_rounded_budget_is_no_smaller(kind, value):
    given = Mechanism(kind, value, 1.23e-6 if kind == "gaussian" else 0.0)
    rounded = Mechanism.from_json(given.rounded().to_json())
    assert len(f"{rounded.value:g}".replace(".", "").strip("0").partition("e")[0]) <= 2
    # More noise, or a smaller epsilon, is a smaller budget.
    assert rounded.value <= value if kind == "gaussian" else rounded.value >= value
    assert abs(rounded.value - value) <= value / 10
    assert given.delta * 0.9 < rounded.delta <= given.delta or kind == "pure"
