"""The gate: a result as it may leave, whoever made it, to the bit as plain functions give it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from fractions import Fraction

import msgpack
import numpy as np
import pandas as pd
import pytest

from flame_flwr.clients import Node, NodePlan
from flame_flwr.errors import ConfigError, FlameError, PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import Payload, decode, encode, register_type
from flame_flwr.payload.opaque import LIMITS, Opaque, holds_pickle, look_into
from flame_flwr.payload.table import PICKLE
from flame_flwr.privacy import (
    Clip,
    DisclosureRule,
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
from flame_flwr.privacy.budget import Mechanism
from flame_flwr.privacy.config_text import (
    read_declared_filters,
    read_declared_rules,
    write_text,
)
from flame_flwr.privacy.disclosure import apply_rules
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.privacy.filter_chain import apply_filters
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study, split_filters
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import MinMax, Moments, RowCount
from flame_flwr.statistics.base import Statistic
from flame_flwr.statistics.fields import COUNT

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


@dataclass(frozen=True)
class OnlyLarge(DisclosureRule):
    least: int

    def stricter(self, other):
        return self

    def weigh(self, evidence):
        if evidence.people is not None and evidence.people < self.least:
            raise PayloadError("too few people")

    def protect(self, statistics):
        return [s if s.size >= self.least else s.withheld() for s in statistics]


@dataclass(frozen=True)
class Doubled(UpdateFilter):
    def change(self, update, noise):
        return 2 * update


class Box:
    def __init__(self, inside):
        self.inside = inside


register_type(Box, to=lambda box: box.inside, restore=Box, name="tests.gate.Box")


class Returns(StarAnalyzer):
    def __init__(self, flame, result):
        super().__init__(flame)
        self.result = result

    def analysis_method(self, data, aggregator_results):
        return self.result


def node_of(result, **plan):
    plan = NodePlan(Returns, {"result": result}, **plan)
    return Node(plan, Identity("a", ("a",)), None)


# ---- the study's part ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "read"), [(RULES, read_declared_rules), (FILTERS, read_declared_filters)]
)
def test_text_is_read_as_what_it_was_written_of(declared, read):
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


# ---- results ---------------------------------------------------------------------------------

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


@dataclass(frozen=True)
class Own(Statistic):
    n: int = field(metadata=COUNT)

    @classmethod
    def from_data(cls, values):
        return cls(len(values))

    def result(self):
        return {"n": self.n}

    @property
    def size(self):
        return self.n


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


def test_a_rule_may_look_at_how_many_people_there_are():
    gate, study = Gate("a", (OnlyLarge(10),)), Study(evidence=Evidence(people=9))
    with pytest.raises(PayloadError, match="too few people"):
        gate.result(encode(RowCount(30)), study, 1)
    assert gate.result(encode(RowCount(30)), Study(evidence=Evidence(people=10)), 1)


# ---- what cannot be looked into --------------------------------------------------------------


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


def test_a_pickle_passes_only_where_both_sides_allow_it():
    payload = encode(object(), allow_pickle=True)
    rules = (MinCount(5),)
    assert Gate("a", rules).result(payload, Study(allow_pickle=True), 1)
    with pytest.raises(PayloadError, match='does not declare payload="pickle"'):
        Gate("a", rules).result(payload, Study(), 1)
    never = Gate("a", pickles=False)
    for refused in (
        lambda: never.result(payload, Study(allow_pickle=True), 1),
        lambda: never.arrives(payload),
        lambda: never.hello(Study(allow_pickle=True), evaluates=False),
    ):
        with pytest.raises((PayloadError, ConfigError), match="loads and sends no pickles"):
            refused()


def document(value):
    return Payload(msgpack.packb(["flame", 1, value]))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (lambda: document(bytes(2**26)), "67108864 bytes"),
        (lambda: document([[0] * 400_000] * 6), "2000000 elements"),
        (
            lambda: Payload(b"\x93\xa5flame\x01\xdd\x00\x24\x9f\x00" + b"\x91\x00" * 0x249F00),
            "2000000 elements",
        ),
        (lambda: document([0] * 2_000_001), "2000000 elements"),
        (lambda: document(dict.fromkeys(range(2_000_001))), "2000000 elements"),
        (
            lambda: document([dict.fromkeys(range(400_000))] * 6),
            "takes more memory, or time, than 16 times",
        ),
    ],
)
def test_a_header_that_is_too_large_is_refused(payload, why):
    assert LIMITS.elements == 2_000_000
    large = payload()
    with pytest.raises(PayloadError, match=why):
        look_into(large)


def test_a_million_numbers_pass_every_rule():
    value = [0.5] * 1_000_000
    gate = Gate("a", (MinCount(5), MaxBins(20), MaxRows(5)))
    assert decode(gate.result(encode(value), Study(), 1).payload) == value


@pytest.mark.parametrize("rule", [MinCount(5), MaxBins(20), MaxRows(5)])
@pytest.mark.parametrize(
    "value",
    [
        {3_000_000 * "k": [[[[]]] for _ in range(10_000)]},
        {3_000_000 * "k": {str(n): {"x": {}} for n in range(10_000)}},
    ],
    ids=["lists below a long key", "dicts below a long key"],
)
def test_rules_take_little_time_per_element(rule, value):
    """Time that grows with the length of keys would be half a minute."""
    began = time.process_time()
    Gate("a", (rule,)).result(encode(value), Study(), 1)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("rules", [(), (MaxRows(100),)])
@pytest.mark.parametrize(("pickles", "declared"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize(
    "header",
    [
        encode({"x": [object()]}, allow_pickle=True).header,
        encode({"x": [object()]}, allow_pickle=True).header.replace(b"\xc7\0", b"\xc8\0\0"),
        encode({"x": [object()]}, allow_pickle=True).header.replace(b"\xc7\0", b"\xc9\0\0\0\0"),
    ],
    ids=["ext8", "ext16", "ext32"],
)
def test_a_pickle_leaves_where_both_allow_it(header, rules, pickles, declared):
    """Whatever else holds, and however its marker is written."""
    allowed = Gate("a", pickles=True).result(Payload(header), Study(allow_pickle=True), 1)
    assert type(decode(allowed.payload, allow_pickle=True)["x"][0]) is object
    with pytest.raises(PayloadError, match="pickle"):
        Gate("a", rules, pickles=pickles).result(Payload(header), Study(allow_pickle=declared), 1)


@pytest.mark.parametrize("pickles", [True, False])
def test_bytes_like_a_pickles_marker_leave(pickles):
    value = {"text": "x", b"\xc7\0" + bytes([PICKLE.code]): (1, "\0"), 1: np.arange(3), (1, 2): 2j}
    assert holds_pickle(encode(value)) is False
    passed = Gate("a", pickles=pickles).result(encode(value), Study(), 1)
    assert repr(decode(passed.payload)) == repr(value)


def test_of_too_much_nobody_says_what_it_is():
    marker = b"\xc7\0" + bytes([PICKLE.code])
    with pytest.raises(PayloadError, match="nobody can say whether a pickle is in it"):
        Gate("a").result(document(marker + bytes(2**26)), Study(), 1)


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


def test_a_strict_nodes_refusal_says_nothing_an_app_chose():
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
