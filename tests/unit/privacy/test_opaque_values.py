"""What the gate cannot look into leaves of enough people only, and meets the rules that it can."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from flame_flwr.clients import Node, NodePlan
from flame_flwr.errors import PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode, encode, register_type
from flame_flwr.payload.opaque import Opaque, look_into
from flame_flwr.privacy import (
    MaxBins,
    MaxRows,
    MinCount,
    Strict,
)
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import RowCount

from .own_classes import Own, Returns


class Box:
    def __init__(self, inside):
        self.inside = inside


register_type(Box, to=lambda box: box.inside, restore=Box, name="tests.gate.Box")


@pytest.mark.parametrize(
    ("evidence", "passes"),
    [
        (Evidence(), True),
        (Evidence(rows=4), False),
        (Evidence(rows=5), True),
        (Evidence(rows=0), True),
        (Evidence(rows=40, people=4), False),
        (Evidence(rows=40, people=5), True),
        (Evidence(rows=3, sizes=(31,)), False),
        (Evidence(rows=3, sizes=(31, 0)), True),
        (Evidence(rows=40, sizes=(31, 4)), False),
    ],
)
def test_an_opaque_value_of_few_people_is_refused(evidence, passes):
    """Two parts: sizes that are said of both stand for them, and else how much data there is."""
    value = {"one": Box(1.5), "other": Box(2.5), "rows": RowCount(31)}
    gate, study = Gate("a", (MinCount(5),)), Study(evidence=evidence)
    study = Study.from_bytes(study.to_bytes())
    if passes:
        assert set(decode(gate.result(encode(value), study, 1).payload)) == set(value)
    else:
        with pytest.raises(PayloadError, match="fewer than 5 people or rows"):
            gate.result(encode(value), study, 1)


@pytest.mark.parametrize("parts", [0, 2])
def test_the_gate_counts_what_it_cannot_see(parts):
    """What the analysis's process says of it counts for nothing."""
    gate, forged = (
        Gate("a", (MinCount(5),)),
        json.loads(Study(evidence=Evidence(rows=4)).to_bytes()),
    )
    forged["evidence"]["unseen"] = 2 - parts
    study = Study.from_bytes(json.dumps(forged).encode())
    value = [RowCount(31), *[Box(1.5)] * parts]
    if parts:
        with pytest.raises(PayloadError, match="fewer than 5 people or rows"):
            gate.result(encode(value), study, 1)
    else:
        assert decode(gate.result(encode(value), study, 1).payload) == value


@pytest.mark.parametrize("rules", [(), (MaxBins(50),)])
def test_few_people_are_refused_by_min_count_only(rules):
    study = Study(evidence=Evidence(people=1))
    assert decode(Gate("a", rules).result(encode(Box(1.5)), study, 1).payload).inside == 1.5
    assert decode(Gate("a", (MinCount(5),)).result(encode([1.5]), study, 1).payload) == [1.5]


def test_a_node_says_how_many_people_there_are():
    """Its own statistics' sizes as they leave, and the rows of a table."""
    rules, frame = (MinCount(5),), pd.DataFrame({"age": range(31)})
    result = {"few": Own(3), "many": [Own(12), RowCount(3)]}
    node = Node(NodePlan(Returns, {"result": result}), Identity("a", ("a",)), None, None, rules)
    node.use_data(frame)
    returned = node.round(1, None)
    evidence = node.study().evidence
    assert (evidence.rows, evidence.people, evidence.sizes) == (31, None, (0, 12))
    passed = Gate("a", rules).result(returned, node.study(), 1)
    assert passed.unseen == (
        "2 parts; the analysis says of how many: 0 people, 12 people, 31 rows in the data"
    )
    assert evidence.words() == ""


def test_people_are_counted_before_the_analysis_and_once():
    frame = pd.DataFrame({"age": range(31)})
    node = Node(NodePlan(Drops, {}), Identity("a", ("a",)), None, None, (MinCount(5),))
    node.use_data(frame)
    for number in (1, 2):
        node.round(number, None)
        assert (len(frame), node.evidence.rows) == (31 - number, 31)


class Drops(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        data.drop(data.index[0], inplace=True)


def test_without_rules_nobody_counts():
    node = Node(NodePlan(Returns, {"result": Own(3)}), Identity("a", ("a",)), None)
    node.use_data(pd.DataFrame({"age": range(31)}))
    node.round(1, None)
    assert node.study().evidence == Evidence()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Box({"w": np.ones(5000), "b": [1, (2, 3)]}), "type"),
        ([Box(Box(bytearray(b"x")))], "type"),
        ({"model": object()}, "pickle"),
        ({"model": [b"x" * 20_000, object()]}, "pickle"),
    ],
)
def test_what_is_opaque_goes_on_as_it_came(value, what):
    payload = encode(value, allow_pickle=True)
    looked = look_into(payload)
    assert looked.opaque[-1].what == what
    again = encode(looked.value)
    assert again.header == payload.header
    assert [a.tobytes() for a in again.arrays] == [a.tobytes() for a in payload.arrays]


def test_opaque_values_meet_the_rules_that_can_be():
    rows = Box([{"age": 61}, {"age": 47}])
    with pytest.raises(PayloadError, match="list of records at"):
        Gate("a", (MaxRows(1),)).result(encode(rows), Study(), 1)
    with pytest.raises(PayloadError, match="value of a type of the analysis's own"):
        Gate("a", (Strict(),)).result(encode(Box(1)), Study(), 1)
    with pytest.raises(PayloadError, match="do not see it where it is"):
        Gate("a", (MinCount(5),)).result(encode(Box(RowCount(3))), Study(), 1)


def test_an_estimator_is_not_built():
    linear_model = pytest.importorskip("sklearn.linear_model")
    pytest.importorskip("skops")
    model = linear_model.LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    payload = encode({"model": model})
    assert isinstance(look_into(payload).value["model"], Opaque)
    passed = Gate("a", (MinCount(5),)).result(payload, Study(), 1)
    assert decode(passed.payload)["model"].coef_.tolist() == model.coef_.tolist()
