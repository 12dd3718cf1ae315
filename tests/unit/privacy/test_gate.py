"""A result as it may leave, whoever made it: to the bit as plain functions give it."""

from __future__ import annotations

import numpy as np
import pytest

from flame_flwr.clients import Node, NodePlan
from flame_flwr.errors import PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import Payload, decode, encode
from flame_flwr.privacy import (
    Clip,
    GaussianNoise,
    MinCount,
    NoisyMinMax,
    Strict,
    TopFraction,
)
from flame_flwr.privacy.disclosure import apply_rules
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.privacy.filter_chain import apply_filters
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study, split_filters
from flame_flwr.statistics import MinMax, Moments, RowCount

from .own_classes import Doubled, OnlyLarge, Own, Returns


def node_of(result, **plan):
    plan = NodePlan(Returns, {"result": result}, **plan)
    return Node(plan, Identity("a", ("a",)), None)


RESULT = {
    "age": Moments.from_data([40.5, 52, 61, 70, 71, 80]),
    "few": RowCount(3),
    "range": MinMax.from_data([40.0, 52.0, 58.0, 61.0, 75.0, 90.0]),
    "coef": np.linspace(-1, 1, 3000, dtype=np.float32),
    "small": [np.arange(6.0).reshape(2, 3, order="F"), {"n": 3}],
}


def test_results_are_the_bits_of_the_plain_functions():
    noise = GaussianNoise(1.0, 2.0, keys="coef", seed=4)
    analysis, own = [TopFraction(0.5, keys="coef"), noise], [Clip(0.5, keys="coef")]
    rules = (NoisyMinMax(secret="x"), MinCount(5))
    node = node_of(RESULT, disclosure=rules[:1], filters=tuple(analysis))
    aggregate = {"coef": np.full(3000, 0.25, np.float32)}
    gate = Gate("a", rules[1:], own)
    passed = gate.result(node.round(1, None), node.study(), 2, encode(aggregate))

    allowed = apply_rules((rules[1], rules[0]), RESULT)  # noise of others comes last
    expected, _ = apply_filters([*analysis, *own], allowed, aggregate, 2, "a")
    sent = decode(passed.payload)
    assert encode(sent).header == encode(expected).header == passed.payload.header
    assert sent["coef"].tobytes() == expected["coef"].tobytes()
    assert passed.rules == ("MinCount", "NoisyMinMax")
    assert [(each["filter"], each["by"], each["applied"]) for each in passed.filters] == [
        ("TopFraction", "analysis", True),
        ("GaussianNoise", "analysis", True),
        ("Clip", "node", True),
    ]


def test_where_nothing_acts_nothing_is_decoded():
    junk = Payload(b"no payload at all")
    assert Gate("a").result(junk, Study(), 1).payload is junk
    with pytest.raises(PayloadError, match="not a payload"):
        Gate("a", (MinCount(5),)).result(junk, Study(), 1)


def test_large_arrays_pass_uncopied():
    model = np.ones(50_000)
    payload = Gate("a", (MinCount(5),)).result(encode({"w": model}), Study(), 1).payload
    assert payload.arrays[0] is model


def test_an_apps_own_classes_act_before_the_gate():
    declared = (Clip(1.0), Doubled(), TopFraction(0.5))
    assert split_filters(declared) == (declared[:2], declared[2:])
    node = node_of(
        {"n": RowCount(9), "m": RowCount(30), "w": np.array([3.0, 4.0])},
        disclosure=(OnlyLarge(10), MinCount(2)),
        filters=declared,
    )
    returned = node.round(1, None)
    study = node.study()
    assert (study.rules, study.own_rules, study.filters) == (
        (MinCount(2),),
        ("OnlyLarge",),
        (TopFraction(0.5),),
    )
    before = decode(returned)
    assert (before["n"].size, before["m"].size) == (0, 30)
    np.testing.assert_allclose(before["w"], [1.2, 1.6])
    passed = Gate("a").result(returned, Study.from_bytes(study.to_bytes()), 1)
    np.testing.assert_allclose(decode(passed.payload)["w"], [0, 1.6])
    assert [each["filter"] for each in passed.filters] == ["Clip", "Doubled", "TopFraction"]
    assert passed.rules == ("OnlyLarge", "MinCount")


def test_own_statistics_meet_rules_where_they_are_known():
    rules, few = (MinCount(5),), {"own": Own(3), "rows": RowCount(3)}
    node = Node(NodePlan(Returns, {"result": few}), Identity("a", ("a",)), None, node_rules=rules)
    returned = node.round(1, None)
    before = decode(returned)
    assert (before["own"].n, before["rows"].size) == (0, 3)
    sent = decode(Gate("a", rules).result(returned, node.study(), 1).payload)
    assert (sent["own"].n, sent["rows"].size) == (0, 0)
    with pytest.raises(PayloadError, match="value of a type of the analysis's own"):
        Gate("a", (Strict(),)).result(encode(Own(30)), Study(), 1)


def test_a_rule_may_see_the_people_count():
    gate, study = Gate("a", (OnlyLarge(10),)), Study(evidence=Evidence(people=9))
    with pytest.raises(PayloadError, match="too few people"):
        gate.result(encode(RowCount(30)), study, 1)
    assert gate.result(encode(RowCount(30)), Study(evidence=Evidence(people=10)), 1)
