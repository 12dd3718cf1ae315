"""Where rules find statistics, whose rule holds, and how a node declares its own."""

from __future__ import annotations

import pickle
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
from flwr.app import ConfigRecord
from node_messages import call, gated_fit

from flame_flwr.clients import Node, NodePlan, StarClient, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError, ModelError, PayloadError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode, register_type
from flame_flwr.privacy import (
    Clip,
    Disclosure,
    DisclosureRule,
    MaxBins,
    MaxRows,
    MinCount,
    NoisyMinMax,
    Strict,
)
from flame_flwr.privacy.config_text import RULES, read_rules
from flame_flwr.privacy.gate import Gate
from flame_flwr.results.filter_record import read_names
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.statistics import (
    Moments,
    RowCount,
    Statistic,
)
from flame_flwr.strategies import StarStrategy
from flame_flwr.text.foreign_json import OddReportError

from .studies import AGES, Ages, Merge, Plain, Scored, through

# ---- where statistics may be ----------------------------------------------------------------

Pair = namedtuple("Pair", "one two")


@pytest.mark.parametrize(
    "around",
    [
        lambda s: s,
        lambda s: {"a": {"b": [s]}},
        lambda s: OrderedDict(a=(s,)),
        lambda s: (1.5, [s, "text"]),
        lambda s: Pair(s, {"n": 3}),
    ],
)
def test_rules_find_statistics_in_containers(around):
    value = around(RowCount(3))
    sent = Disclosure([MinCount(5)]).apply(value)

    assert sent == around(RowCount(0, suppressed=1))
    assert type(sent) is type(value)
    assert value == around(RowCount(3))  # the analyzer's own result is not changed


@dataclass
class Box:
    inside: Statistic


register_type(Box, to=lambda box: [box.inside], restore=lambda items: Box(*items))


@pytest.mark.parametrize(
    "value",
    [
        *(Box(RowCount(3)), {RowCount(3)}, {"a": frozenset([RowCount(99)])}, {RowCount(3): 1}),
    ],
)
def test_a_statistic_no_rule_sees_stays(value):
    with pytest.raises(PayloadError, match="disclosure rules of this node do not see it"):
        through(value, MinCount(5))


class Unknown:
    def __init__(self, inside):
        self.inside = inside


def test_nor_does_it_leave_in_a_pickle():
    with pytest.raises(PayloadError, match="cannot"):
        Disclosure([MinCount(5)]).pack(Unknown(RowCount(3)), allow_pickle=True)
    assert pickle.loads(pickle.dumps(RowCount(3))) == RowCount(3)


def test_a_result_within_itself_is_an_error():
    value = []
    value.append(value)
    with pytest.raises(PayloadError, match="nested deeper"):
        through(value, MinCount(5))


# ---- whose rule holds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "analyst", "joint"),
    [
        (MinCount(5), MinCount(10), MinCount(10)),
        (MinCount(10, differences=False), MinCount(3), MinCount(10, differences=True)),
        *((MaxBins(50), MaxBins(20), MaxBins(20)), (MaxRows(200), MaxRows(30), MaxRows(30))),
        (NoisyMinMax(0.1, 0.2, "own"), NoisyMinMax(0.01, 0.5, "x"), NoisyMinMax(0.1, 0.5, "own")),
        (NoisyMinMax(0.1, 0.2), NoisyMinMax(0.1, 0.2, "known"), NoisyMinMax(0.1, 0.2)),
        (Strict(), Strict(), Strict()),
    ],
)
def test_of_two_of_a_kind_the_stricter_holds(node, analyst, joint):
    [rule] = Disclosure.of([node], [analyst]).rules
    assert rule == joint


def test_the_node_has_the_last_word():
    @dataclass(frozen=True)
    class Reveal(DisclosureRule):
        def stricter(self, other):
            return self

        def protect(self, statistics):
            return [RowCount(3) for _ in statistics]

    joint = Disclosure.of([MinCount(5)], [Reveal()])
    assert joint.apply(RowCount(9)).suppressed == 1


def answer(analyzer=Ages, own=(), **plan):
    """Have a node with rules of its own analyze its data; return what leaves."""
    node = Node(NodePlan(analyzer, **plan), Identity("a", ("a",)), None, node_rules=own)
    node.use_data(AGES[1])
    passed = Gate("a", own).result(node.round(1, None), node.study(), 1, metrics=node.metrics)
    return decode(passed.payload)


def test_a_nodes_rules_act_whatever_analysts_declare():
    assert answer(own=[MinCount(2)])["age"].n == 2
    assert answer(own=[MinCount(5)])["age"].suppressed == 1
    lax = answer(own=[MinCount(5)], disclosure=(MinCount(2),))
    assert lax["age"].suppressed == 1
    strict = answer(own=[MinCount(2)], disclosure=(MinCount(5),))
    assert strict["age"].suppressed == 1


def test_a_strict_nodes_error_hides_keys():
    with pytest.raises(PayloadError, match=r"at \$\.\*\.\* is a float") as caught:
        answer(Plain, own=[Strict()])
    assert "Maria" not in caught.value.message
    assert caught.value.detail == "$['mean']['of Maria Muster']"


def test_a_strict_node_refuses_scores(context):
    client = StarClient(NodePlan(Scored), context({"disclosure": "Strict()"}))
    for start in (lambda: answer(Scored, own=[Strict()]), lambda: client.get_properties({})):
        with pytest.raises(ConfigError, match="evaluation_method are none: return them as stat"):
            start()
    assert answer(Scored, own=[MinCount(2)])["age"].n == 2


# ---- declared, and in a node's config -------------------------------------------------------


@pytest.mark.parametrize("rules", ["MinCount(5)", [5], MinCount, {"MinCount": 5}, [Clip(1.0)]])
def test_a_model_refuses_what_is_no_rule(rules):
    with pytest.raises(ModelError, match=r"must be a list of rules.*Clip.* goes in `filters`"):
        StarModel(Ages, Merge, "none", disclosure=rules)


def test_a_model_takes_rules():
    for rules in ([MinCount(5)], MinCount(5)):
        assert StarModel(Ages, Merge, "none", disclosure=rules).plan.disclosure == (MinCount(5),)


def test_rules_are_read_from_text_and_file(tmp_path):
    text = "MinCount(10), MaxBins(most=20), NoisyMinMax(0.1, high=0.2, secret='x'), Strict()"
    rules = (MinCount(10), MaxBins(20), NoisyMinMax(0.1, 0.2, "x"), Strict())
    path = tmp_path / "rules.txt"
    path.write_text("# agreed on in March\nMinCount(10),  # the ethics board's\n" + text[14:])

    assert read_rules(text, "it") == rules
    assert read_rules(str(path), "it") == rules
    assert NodeSettings.from_config({"disclosure": text}).disclosure_rules() == rules
    assert NodeSettings.from_config({}).disclosure_rules() == ()


@pytest.mark.parametrize(
    "text",
    [
        *("5", "MinCount", "MinCount(5", "Laplace(1, 2)", "__import__('os')"),
        *("MinCount(print(1))", "MinCount(*[5])", "MinCount(5, 6, 7)", "mincount(5)"),
        "MinCount(5)" + " " * 6000,
    ],
)
def test_the_error_shows_how_rules_read(text):
    with pytest.raises(
        ConfigError, match=r"node config reads like MinCount\(5\), MaxBins"
    ) as error:
        NodeSettings.from_config({"disclosure": text}).disclosure_rules()
    assert all(name in error.value.message for name in RULES)


def test_other_errors_of_the_node_config(tmp_path):
    with pytest.raises(ConfigError, match="MinCount: k must be an integer of at least 2"):
        read_rules("MinCount(1)", "`disclosure`")
    with pytest.raises(ConfigError, match=r"cannot be read \(FileNotFoundError\), and without"):
        read_rules(str(tmp_path / "nothing"), "`disclosure`")
    with pytest.raises(ConfigError, match="names no rule"):
        read_rules("  ", "`disclosure`")


HELLO_CONTENT = {"getpropertiesins.config": ConfigRecord({})}


class Fixed(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return Moments.from_data([1.0, 2.0, 3.0])


def test_the_rules_are_read_in_every_message(context, tmp_path, caplog):
    path = tmp_path / "rules.txt"
    path.write_text("MinCount(2), NoisyMinMax(secret='hush')")
    client = StarClient(NodePlan(Fixed), context({"name": "a", "disclosure": str(path)}))
    with caplog.at_level("INFO", logger="flame_flwr"):
        call(make_client_app(client.plan), client.context, HELLO_CONTENT)
    assert "disclosure rule at this node: MinCount(k=2" in caplog.text
    assert gated_fit(client, 1)[0].n == 3

    path.write_text("MinCount(5)")
    sent, _ = gated_fit(client, 1)
    assert (sent.n, sent.suppressed) == (0, 1)

    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        client.get_properties({})
    assert "cannot be read" in gated_fit(client, 1)[0].text
    assert "hush" not in caplog.text


def test_a_run_lists_the_kinds_of_rules():
    record = RunRecord()
    plan = NodePlan(Ages, data_type="s3", disclosure=(MinCount(5), NoisyMinMax(secret="hush")))
    with LocalGrid(plan, AGES) as grid:
        StarStrategy(Merge).start(grid, record=record)
    rules = ["NoisyMinMax", "MinCount"]
    assert record.to_json()["disclosure"] == dict.fromkeys(["node-0", "node-1", "node-2"], rules)
    again = RunRecord()
    again.go_on(record.progress())
    assert again.disclosure == record.disclosure

    with LocalGrid(NodePlan(Ages, data_type="s3"), AGES) as grid:
        StarStrategy(Merge).start(grid, record=(plain := RunRecord()))
    assert plain.to_json()["disclosure"] == {}


@pytest.mark.parametrize("text", [3, "{", '{"a": 1}', '[3, "two words"]', "[" * 15_000])
def test_unreadable_names_of_rules_are_refused(text):
    with pytest.raises(OddReportError, match="its list of disclosure rules"):
        read_names(text)


@pytest.mark.parametrize("text", [None, ""])
def test_a_node_may_have_no_rules(text):
    assert read_names(text) == []
