"""What a node says of its data: the digest of what is frozen, and that it changed; no more."""

import json
import os

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict

from flame_flwr.clients.reply_gate import TO_GATE, ReplyGate
from flame_flwr.clients.reply_origin import ReplyOrigin
from flame_flwr.clients.reply_records import OK
from flame_flwr.data.frozen_store import FrozenStore
from flame_flwr.data.table_pieces import cells_of, pack
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import NodeAnswer
from flame_flwr.node.data_changes import DataChanges, Seen, of_contents, of_folder
from flame_flwr.node.data_service import DataService
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.payload import encode, to_record
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.results.run_record import RunRecord
from flame_flwr.transport.read_reply import read_result

DIGEST = "0f" * 32


@pytest.fixture
def ask(tmp_path):
    """Ask a node for its data, as the process of a message does; return what it noted, too."""
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "a.csv").write_text("age\n61\n")
    service = DataService()

    def ask(*questions, run=7, **config):
        node = {"name": "a", "data": str(tmp_path / "ward"), "state-dir": str(tmp_path / "state")}
        context = Context(run, 2, node, RecordDict(), config)
        data = service.for_message(context)
        replies = [data.answer(question) for question in questions]
        for reply in replies:
            if reply.file is not None:
                told = os.pread(reply.file, 1000, 0)
                os.close(reply.file)
                reply.header["content"] = told
        return data, [reply.header for reply in replies]

    yield ask
    service.close()


SOURCES = {"ask": "sources", "opened": "s3"}
ABOUT = {"opened": "s3", "source": 1, "kind": "s3", "keys": []}
CHECK, READ = {"ask": "check", **ABOUT}, {"ask": "read", **ABOUT}


def test_a_changing_folder_is_told_once(ask, tmp_path, caplog):
    for changed in (False, False):
        assert ask(SOURCES)[0].has_changed is changed
    (tmp_path / "ward" / "b.csv").write_text("age\n47\n")
    assert ask(SOURCES, run=8)[0].has_changed is False  # another run has not seen it before
    assert ask(SOURCES)[0].has_changed is True
    assert "1 rows or files before" in caplog.text
    assert "2 now" in caplog.text
    assert ask(SOURCES)[0].has_changed is False


def test_contents_are_compared_by_rows_and_hash():
    changes = DataChanges()
    one = of_contents("s3", [("a", b"age\n61\n"), ("b", b"1")])
    assert one.parts == 3
    assert one == of_contents("s3", [("a", b"age\n61\n"), ("b", b"1")])
    for other in ([("a", b"age\n62\n"), ("b", b"1")], [("a", b"age\n61\nb"), ("", b"1")]):
        assert of_contents("s3", other).digest != one.digest
    assert not changes.has_changed(1, "query", "data source 1", one)
    assert changes.has_changed(1, "query", "data source 1", Seen(3, "other"))
    assert of_folder(os.devnull) == of_folder("/no/such/folder")


def test_frozen_data_is_served_and_its_digest_noted(ask, tmp_path):
    pytest.importorskip("duckdb")
    data, [told, checked] = ask(SOURCES, CHECK, freeze="2026")
    assert [each["type"] for each in told["sources"]] == ["s3"]
    assert "folder" not in told["sources"][0]
    assert (checked, len(data.frozen)) == ({}, 1)
    (tmp_path / "ward" / "a.csv").write_text("age\n99\n")
    data, [read] = ask(READ, freeze="2026")
    assert read["content"] == b"age\n61\n"
    [path] = (tmp_path / "state" / "frozen").rglob("*.json")
    assert data.frozen == {json.loads(path.read_text())["hmac"]}
    assert ask(READ, freeze="2026")[0].frozen == data.frozen  # also where the node has it still


APP = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel

class Looks(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data[0]["a.csv"].decode()

class Keeps(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True

app = StarModel(Looks, Keeps, "s3", query="a.csv").client_app
"""


@pytest.fixture
def ward(tmp_path):
    """A node's config, whose registry has a folder that is frozen."""
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "a.csv").write_text("61")
    registry = tmp_path / "datasets.toml"
    registry.write_text(
        f'[[dataset]]\nname = "ward"\ntype = "s3"\nurl = "{tmp_path}/ward"\n'
        'projects = ["*"]\nfreeze = true\n'
    )
    return {"datasets": str(registry), "state-dir": str(tmp_path / "state")}


def test_a_process_reads_what_hello_froze(obeying_host, fab_of, node_message, ward, tmp_path):
    fab = fab_of("looks", APP)
    asked = node_message("looks", fab, None, kind=HELLO, node=ward)
    hello = obeying_host.answer(asked).reply.content["getpropertiesres.properties"]
    [frozen] = FrozenStore(tmp_path / "state", 1, 1).all()
    assert hello["frozen"] == frozen[1].hmac
    (tmp_path / "ward" / "a.csv").write_text("99")
    asked = node_message("looks", fab, None, node=ward)
    read = read_result(obeying_host.answer(asked).reply, "a")
    assert (read.value, read.frozen) == ("61", [frozen[1].hmac])


def answered(context):
    return RecordDict(
        {
            "fitres.metrics": ConfigRecord(
                # what the analysis's process says of it counts nothing
                {TO_GATE: Study().to_bytes(), "frozen": "ab" * 32, "data-changed": True}
            ),
            "fitres.num_examples": MetricRecord({"num_examples": 1}),
            "fitres.parameters": to_record(encode(np.ones(3))),
            "fitres.status": ConfigRecord(OK),
        }
    )


def test_the_run_hears_of_change_and_freeze(fab_of, node_message, caplog):
    asked = node_message("data", fab_of("data", ""), {})
    reply = Message(answered(asked), reply_to=asked.message)
    for frozen, changed in (((), False), ((DIGEST,), True)):
        answer = NodeAnswer(reply, None, frozen=frozen, data_changed=changed)
        passed = through_gate(asked, lambda _, answer=answer: answer).reply
        read = read_result(passed, "a")
        assert (tuple(read.frozen), read.data_changed) == (frozen, changed)
        assert read.metrics == {}
    record = RunRecord(nodes=["a"])
    record.note_data("a", read.frozen, None)
    record.note_data("a", read.frozen, 3)
    said = record.public.to_json()
    assert said["frozen"] == {"a": [DIGEST]}
    assert said["data_changed"] == {"a": [3]}
    assert "a: the data changed between rounds, before round 3" in caplog.text


@pytest.mark.parametrize("odd", [3, "x" * 64, DIGEST * 200, DIGEST.upper(), ["ab"]])
def test_what_is_no_digest_is_not_taken(odd, node_message):
    asked = node_message("data", b"", {})
    content = answered(asked)
    passed = ReplyGate(asked.message, asked.context, ReplyOrigin(gated=True)).let_out(
        Message(content, reply_to=asked.message)
    )
    passed.content["fitres.metrics"]["frozen"] = odd
    assert read_result(passed, "a").frozen == []


def test_rows_of_tables_are_counted():
    pieces = [pack({"note": cells_of(["a\nb", None])}), pack({"note": cells_of(["c"])})]
    assert of_contents("sql", [("notes", piece) for piece in pieces]).parts == 3
