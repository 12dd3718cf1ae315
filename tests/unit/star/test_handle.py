"""``self.flame``: ids, roles, participants, log, progress, data, and what is not available."""

import io
import logging

import pytest
from counting import Analyzer

from flame_flwr.data import SplitData
from flame_flwr.errors import DataError, ModelError, UnavailableError
from flame_flwr.identity import Identity
from flame_flwr.star import StarAggregator, StarModelTester
from flame_flwr.star.handle import FlameHandle

NODES = ("node-0", "node-1", "node-2")


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return 1

    def has_converged(self, result, last_result):
        return True


@pytest.fixture
def node():
    return FlameHandle(Identity("node-1", NODES, "study", "cohort"), SplitData([{"a": b"1"}]))


@pytest.fixture
def aggregator():
    return FlameHandle(Identity("aggregator", NODES, "study", "cohort"))


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG, logger="flame_flwr")
    return lambda: [(r.levelname, r.getMessage()) for r in caplog.records]


def test_ids_and_roles(node, aggregator):
    assert (node.get_id(), node.get_role()) == ("node-1", "default")
    assert (aggregator.get_id(), aggregator.get_role()) == ("aggregator", "aggregator")
    assert node.get_aggregator_id() == aggregator.get_aggregator_id() == "aggregator"
    assert (node.get_analysis_id(), node.get_project_id()) == ("study", "cohort")


def test_participants_are_the_others_in_both_spellings(node, aggregator):
    assert node.get_participant_ids() == ["node-0", "node-2", "aggregator"]
    assert aggregator.get_participant_ids() == list(NODES)
    roles = {"node-0": "default", "node-2": "default", "aggregator": "aggregator"}
    assert node.get_participants() == [
        {"id": name, "nodeId": name, "role": role, "nodeType": role} for name, role in roles.items()
    ]


def test_partners_are_complete_before_super_init_returns():
    seen = {}

    def init(self, flame):
        super(type(self), self).__init__(flame)
        seen[self.id] = (self.role, self.partner_node_ids)

    analyzer = type("A", (Analyzer,), {"__init__": init})
    StarModelTester([0, 0], analyzer, type("B", (Aggregator,), {"__init__": init}), "s3")
    assert seen == {
        "node-0": ("default", ["node-1", "aggregator"]),
        "node-1": ("default", ["node-0", "aggregator"]),
        "aggregator": ("aggregator", ["node-0", "node-1"]),
    }


LEVELS = {
    "DEBUG": ["debug"],
    "INFO": ["info", "normal", "notice", "no such type"],
    "WARNING": ["warn", "warning"],
    "ERROR": ["alert", "error"],
    "CRITICAL": ["emerg", "emergency", "crit", "critical-error"],
}


@pytest.mark.parametrize(
    ("level", "log_type"), [(level, name) for level, names in LEVELS.items() for name in names]
)
def test_log_types_are_levels_of_logging(node, lines, level, log_type):
    node._enter_round(3)
    node.flame_log("text", log_type=log_type)
    assert lines() == [(level, "[node-1, round 3] text")]


def test_what_may_be_logged(node, lines):
    node.flame_log(b"caf\xc3\xa9 \xff")
    node.flame_log(["a", "b"], sep="-")
    node.flame_log({"n": 1})
    node.flame_log("bare", suppress_head=True)
    node.flame_log("dots", end="...")
    head = "[node-1, round 0] "
    assert [text for _, text in lines()] == [
        f"{head}café \ufffd",
        f"{head}a-b",
        f"{head}{{'n': 1}}",
        "bare",
        f"{head}dots...",
    ]


def test_text_held_back_is_never_lost(node, lines):
    node.flame_log("loading ... ", end="", halt_submission=True)
    node.flame_log("done", append=True)
    node.flame_log("lost?", halt_submission=True)
    node.flame_log("next")
    node.flame_log("end of round", halt_submission=True)
    node._enter_round(1)
    head = "[node-1, round 0] "
    assert [text for _, text in lines()] == [
        f"{head}loading ... done",
        f"{head}lost?",
        f"{head}next",
        f"{head}end of round",
    ]


def test_a_file_gets_the_text_too(node, lines):
    file = io.StringIO()
    node.flame_log("text", file=file)
    assert file.getvalue() == "text\n"
    assert len(lines()) == 1


def test_progress_only_rises_and_floats_are_truncated(node, lines):
    for value, expected in [(10, 10), (35.9, 35), (35, 35), (20, 35), (100, 100)]:
        node.set_progress(value)
        assert node.get_progress() == expected
    assert [level for level, _ in lines()] == ["WARNING"]


@pytest.mark.parametrize(
    "value",
    [-1, 101, float("nan"), float("inf"), "50", None, True, pytest.param(10**400, id="huge")],
)
def test_any_other_progress_is_logged_and_ignored(node, lines, value):
    node.set_progress(5)
    node.set_progress(value)
    assert node.get_progress() == 5
    [(level, text)] = lines()
    assert level == "WARNING"
    assert "progress ignored: it is a number from 0 to 100" in text


def test_data_of_a_split(node):
    assert node.get_s3_data() == [{"a": b"1"}]
    assert node.get_s3_data(["a"]) == [{"a": b"1"}]
    with pytest.raises(DataError, match="source 1 has no 'b', which the query names"):
        node.get_s3_data("b")
    assert [source["type"] for source in node.get_data_sources()] == ["local"]


def test_fhir_data_needs_a_query(node):
    for queries in (None, [], ""):
        with pytest.raises(DataError, match="get_fhir_data needs a query, such as"):
            node.get_fhir_data(queries)
    assert node.get_fhir_data("a") == [{"a": b"1"}]


def test_nodes_and_aggregator_make_fhir_tables(node, aggregator):
    item = {"linkId": "age", "answer": [{"valueInteger": 61}]}
    entry = {"resource": {"resourceType": "QuestionnaireResponse", "item": [item]}}
    for flame in (node, aggregator):
        table = flame.fhir_to_csv(
            {"resourceType": "Bundle", "entry": [entry]},
            col_key_seq="resource.item.linkId",
            value_key_seq="resource.item.answer.value",
            input_resource="QuestionnaireResponse",
            row_col_name="row",
        )
        assert table.read() == "row,age\n0,61"


def test_the_aggregator_has_no_data(aggregator):
    assert aggregator.get_data_sources() == []
    for call in (aggregator.get_s3_data, aggregator.get_fhir_data):
        with pytest.raises(UnavailableError, match="the aggregator has no data"):
            call()


def test_a_data_client_is_a_clear_error(node):
    with pytest.raises(UnavailableError, match="works for a FHIR server only"):
        node.get_data_client("1")


@pytest.mark.parametrize(
    ("call", "way"),
    [
        ("send_message", "return the value from analysis_method"),
        ("send_intermediate_data", "return the value from analysis_method"),
        ("await_messages", "aggregator_results in analysis_method"),
        ("await_intermediate_data", "analysis_results in aggregation_method"),
        ("get_messages", "aggregator_results"),
        ("submit_final_result", "return the result from aggregation_method"),
        ("analysis_finished", "return True from has_converged"),
        ("ready_check", "the framework has waited for every participant"),
        ("set_checkpoint", "keep the state in attributes of self"),
        ("load_checkpoint", "save_intermediate_data(data, 'local', tag=...)"),
        ("set_role", "get_participants"),
    ],
)
def test_an_unavailable_call_names_the_way(node, call, way):
    with pytest.raises(UnavailableError) as caught:
        getattr(node, call)("anything", at="all")
    assert f"flame.{call} is not available in a STAR analysis" in str(caught.value)
    assert way in str(caught.value)


def test_a_misspelt_call_is_an_attribute_error(node):
    with pytest.raises(AttributeError, match="flame has no 'flame_lgo'"):
        node.flame_lgo("text")


def test_a_key_asked_for_does_not_travel(node):
    with pytest.raises(DataError) as caught:
        node.get_s3_data("patient-17.csv")
    assert "patient-17" not in caught.value.message
    assert "patient-17" in str(caught.value)


@pytest.mark.parametrize("values", [("got", 3), ("got", "x", 3), ("got", None)])
def test_flame_log_takes_one_value_unlike_print(node, values):
    with pytest.raises(ModelError, match="flame_log takes one text, not several values as print"):
        node.flame_log(*values)


def test_a_second_text_is_warned_of(node, lines):
    node.flame_log("got", "kidneys")
    node.flame_log("got", sep="-")
    node.flame_log(["got", "it"], " and ")
    [got, warning, *others] = lines()
    assert got == ("INFO", "[node-1, round 0] got")
    assert warning[0] == "WARNING"
    assert "use an f-string" in warning[1]
    assert "kidneys" not in warning[1]
    assert [text for _, text in others] == ["[node-1, round 0] got", "[node-1, round 0] got and it"]
