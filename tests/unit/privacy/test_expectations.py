"""What an analysis may learn of a node's data from what it expects, before any result."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from flwr.app import ConfigRecord, Context, RecordDict
from flwr.clientapp import ClientApp
from node_messages import call

from flame_flwr.clients import NodePlan, StarClient, expectation_limit
from flame_flwr.clients.expectation_limit import MOST_OF_ONE, answer_expectations, digests_of
from flame_flwr.clients.reply_gate import ReplyGate
from flame_flwr.clients.reply_origin import ReplyOrigin
from flame_flwr.data.expect import Column, Resources, Table, mismatches
from flame_flwr.data.source import SplitData
from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.privacy import MinCount
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import RowCount

AGES = [34, 41, 52, 58, 63, 71, 77, 83, 88, 90, 93, 97, 102]
FILE = {"patients.csv": ("age,sex\n" + "".join(f"{age},f\n" for age in AGES)).encode()}


class Count(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return RowCount(13)


def no_age_above(high):
    return Table("patients.csv", {"age": Column("number", high=high)})


def told(expected, gate):
    found = mismatches([expected], [FILE])
    return [each.text for each in gate.findings(found, Study())]


def test_bounds_do_not_tell_the_oldest():
    def highest_told(gate):
        return max(high for high in range(30, 120) if told(no_age_above(high), gate)) + 1

    assert highest_told(Gate("a")) == 102
    assert highest_told(Gate("a", (MinCount(5),))) == sorted(AGES)[-5] == 88


@pytest.mark.parametrize(
    ("column", "rows", "said"),
    [
        (Column(values=["f", "m"]), ["f"] * 20 + ["x"] * 4, False),
        (Column(values=["f", "m"]), ["f"] * 20 + ["x"] * 5, True),
        (Column("number"), ["7"] * 20 + ["x"] * 4, False),
        (Column("number"), ["7"] * 20 + ["x"] * 5, True),
        (Column("whole"), ["7"] * 20 + ["7.5"] * 4, False),
        (Column("whole"), ["7"] * 20 + ["7.5"] * 5, True),
        (Column("date"), ["2026-11-21"] * 20 + ["yesterday"] * 4, False),
        (Column("date"), ["2026-11-21"] * 20 + ["yesterday"] * 5, True),
        (Column(most_missing=0.1), ["f"] * 20 + [""] * 4, False),
        (Column(most_missing=0.1), ["f"] * 20 + [""] * 5, True),
    ],
)
def test_findings_about_few_values_stay(column, rows, said):
    text = "n,c\n" + "".join(f"{number},{cell}\n" for number, cell in enumerate(rows))
    found = mismatches([Table("t.csv", {"c": column})], [{"t.csv": text.encode()}])
    assert len(found) == 1
    assert bool(Gate("a", (MinCount(5),)).findings(found, Study())) == said


@pytest.mark.parametrize(("rows", "least", "said"), [(0, 1, True), (3, 4, False), (3, 20, True)])
def test_row_counts_are_told_as_counts(rows, least, said):
    text = "c\n" + "7\n" * rows
    found = mismatches([Table("t.csv", min_rows=least)], [{"t.csv": text.encode()}])
    assert bool(Gate("a", (MinCount(5),)).findings(found, Study())) == said


def test_resources_are_counted_likewise():
    def weight(kilos):
        value = {"value": kilos, "unit": "kg"}
        return {"resource": {"resourceType": "Observation", "valueQuantity": value}}

    bundle = {"resourceType": "Bundle", "entry": [weight(kilos) for kilos in range(50, 100)]}
    for high, said in ((94, True), (95, False)):
        found = mismatches([Resources("Observation", high=high)], [{"Observation": bundle}])
        assert [each.rows for each in found] == [99 - high]
        assert bool(Gate("a", (MinCount(5),)).findings(found, Study())) == said


# ---- how many are answered -------------------------------------------------------------------


def test_one_columns_answers_a_day_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(expectation_limit, "_MEMORY", {})

    def ask(high, project="covid", where=str(tmp_path / "state")):
        answer_expectations(digests_of([no_age_above(high)]), project, "a", where)

    for high in range(MOST_OF_ONE):
        ask(high)
    ask(0)  # one that was answered is answered again
    with pytest.raises(ConfigError, match="10 different expectations of one column"):
        ask(100)
    ask(100, project="another")
    answer_expectations(digests_of([Resources("Patient")]), "covid", "a", str(tmp_path / "state"))

    expectation_limit._MEMORY.clear()  # the node's program has started again
    with pytest.raises(ConfigError, match="run the analysis tomorrow"):
        ask(100)
    monkeypatch.setattr(expectation_limit.time, "strftime", lambda *_: "2099-01-01")
    ask(100)


def test_many_tables_of_one_file_are_many_expectations():
    bounds = [no_age_above(high) for high in range(60, 110)]
    with pytest.raises(ConfigError, match="different expectations"):
        answer_expectations(digests_of(bounds), "p", "of many tables", "")


@pytest.mark.parametrize(
    "asked",
    [
        [Table(f"{'?' * i}*.csv", {"age": Column("number", high=90 + i)}) for i in range(11)],
        [
            Table(f"{'?' * i}*.csv", {"age": Column("number", most_missing=i / 20)})
            for i in range(11)
        ],
        [Table(f"{'?' * i}*.csv", min_rows=100 + i) for i in range(11)],
    ],
    ids=["bounds", "empty cells", "rows"],
)
def test_a_file_under_many_patterns_is_one(asked):
    answer_expectations(digests_of(asked[:10]), "p", "of one file", "")
    with pytest.raises(ConfigError, match="different expectations"):
        answer_expectations(digests_of(asked), "p", "of one file", "")
    expectation_limit._MEMORY.clear()


def test_a_column_may_be_there_in_many_files():
    asked = [Table(f"{number}.csv", {"person_id": Column("whole")}) for number in range(40)]
    answer_expectations(digests_of(asked), "p", "of many files", "")


ODD = [None, "{}", "[", "[1]", '{"a": "b"}', 3, '{"0123456789abcdef": 1}']


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_list_of_expectations_is_refused(text):
    with pytest.raises(NodeFailedError, match="cannot be read at the gate"):
        answer_expectations(text, "p", "a", "")


@pytest.mark.parametrize("content", [b"[", b"{}", b'["2026-12-01", []]', b"\xff"])
def test_a_damaged_count_is_no_new_one(tmp_path, monkeypatch, content):
    monkeypatch.setattr(expectation_limit, "_MEMORY", {})
    ask = digests_of([no_age_above(80)]), "covid", "a", str(tmp_path / "state")
    answer_expectations(*ask)
    [file] = tmp_path.rglob("asked.json")
    file.write_bytes(content)
    expectation_limit._MEMORY.clear()
    with pytest.raises(ConfigError, match="the hospital removes the file"):
        answer_expectations(*ask)


def test_findings_do_not_leave_uncounted():
    """An app may leave out what it has expected."""
    context = Context(1, 2, {"name": "uncounted"}, RecordDict(), {"project-id": "covid"}, 3)
    client = StarClient(NodePlan(Count, {}, "s3", expects=(no_age_above(60),)), context)
    client.open_data = lambda: SplitData([FILE])
    app = ClientApp(lambda _: client.to_client())

    def gated(message, context):
        reply = app(message, context)
        del reply.content["getpropertiesres.properties"][expectation_limit.EXPECTED]
        return ReplyGate(message, context, ReplyOrigin(gated=True, app_files={})).let_out(reply)

    content = call(gated, context, {"getpropertiesins.config": ConfigRecord()}).content
    assert "findings" not in content["getpropertiesres.properties"]


def test_a_hospitals_own_gate_counts_too(monkeypatch):
    monkeypatch.setattr(expectation_limit, "_MEMORY", {})
    config = {"name": "of the gate", "disclosure": "MinCount(5)"}

    def hello(high):
        # the count is of what the approval says, whatever a run says
        context = Context(1, 2, config, RecordDict(), {"project-id": f"of {high}"}, 3)
        client = StarClient(NodePlan(Count, {}, "s3", expects=(no_age_above(high),)), context)
        client.open_data = lambda: SplitData([FILE])
        app = ClientApp(lambda _: client.to_client())

        def gated(message, context):
            gate = ReplyGate(
                message, context, ReplyOrigin(gated=True, app_files={}, project="covid")
            )
            return gate.let_out(app(message, context))

        content = call(gated, context, {"getpropertiesins.config": ConfigRecord()}).content
        return dict(content["getpropertiesres.properties"])

    assert json.loads(hello(101)["findings"]) == []
    [[_, stops]] = json.loads(hello(60)["findings"])
    assert stops
    for high in range(MOST_OF_ONE - 2):
        assert "findings" in hello(high)
    assert "different expectations" in str(hello(99))


# ---- people, where it is known whose the values are --------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (Column("number", high=100), "140"),
        (Column("number"), "x"),
        (Column("whole"), "7.5"),
        (Column("date"), "yesterday"),
        (Column(values=["7", "8"]), "9"),
        (Column(most_missing=0.01), ""),
    ],
)
@pytest.mark.parametrize("of_hospital", [True, False])
def test_ten_values_of_three_people_are_of_three(column, cell, of_hospital):
    usual = "2026-11-21" if column.kind == "date" else "7"
    rows = [f"p{n},{usual}" for n in range(40)] + [f"q{n % 3},{cell}" for n in range(10)]
    file = [{"t.csv": ("person,c\n" + "\n".join(rows) + "\n").encode()}]
    frame = [{"t.csv": pd.read_csv(io.BytesIO(file[0]["t.csv"]))}]
    gate = Gate("a", (MinCount(5),))
    for data in (file, frame):
        table = Table("t.csv", {"c": column}, subject="" if of_hospital else "person")
        subject = "person" if of_hospital else ""
        [by_rows] = mismatches([Table("t.csv", {"c": column})], data)
        [by_people] = mismatches([table], data, subject)
        assert (by_rows.rows, by_people.rows) == (10, 3)
        assert gate.findings([by_rows], Study())  # the attack: it was told of three people
        assert not gate.findings([by_people], Study())


def test_row_counts_are_told_as_people():
    file = [{"t.csv": b"person,c\n" + b"a,7\n" * 10 + b"b,7\n"}]
    [found] = mismatches([Table("t.csv", min_rows=20, subject="person")], file)
    assert found.rows == 2
    [found] = mismatches(
        [Table("t.csv", min_rows=2, subject="person")], [{"t.csv": b"person\na\n"}]
    )
    assert found.rows == 1


def test_a_registrys_subject_counts_in_hello(tmp_path, monkeypatch):
    monkeypatch.setattr(expectation_limit, "_MEMORY", {})
    rows = "".join(f"{n // 10},{60 + n}\n" for n in range(40))
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "patients.csv").write_text(f"person,age\n{rows}")
    registry = tmp_path / "datasets.toml"
    registry.write_text(
        f'[[dataset]]\nname = "ward"\ntype = "s3"\nurl = "{tmp_path}/ward"\nprojects = ["*"]\n'
        'subject = "person"\n'
    )
    config = {"name": "people", "disclosure": "MinCount(5)", "datasets": str(registry)}
    context = Context(8123, 2, config, RecordDict(), {"project-id": "covid"}, 3)
    client = StarClient(NodePlan(Count, {}, "s3", expects=(no_age_above(80),)), context)

    def gated(message, context):
        app = ClientApp(lambda _: client.to_client())
        return ReplyGate(message, context).let_out(app(message, context))

    content = call(gated, context, {"getpropertiesins.config": ConfigRecord()}).content
    assert json.loads(content["getpropertiesres.properties"]["findings"]) == []


def test_resources_are_counted_by_whose_they_are():
    def weight(kilos, who):
        value = {"value": kilos, "unit": "kg"}
        resource = {"resourceType": "Observation", "valueQuantity": value}
        if who is not None:
            resource["subject"] = {"reference": f"Patient/{who}"}
        return {"resource": resource}

    def heavy(*people):
        entries = [weight(150, who) for who in people] + [weight(70, n) for n in range(50, 90)]
        bundle = {"resourceType": "Bundle", "entry": entries}
        [found] = mismatches([Resources("Observation", high=100)], [{"Observation": bundle}])
        return found.rows

    assert heavy(*"aabbcc") == 3
    assert heavy(*"aabb", None, None) == 6  # two might be anybody's
