"""A node's ledger: what has left is counted before it leaves, and a limit is one."""

from datetime import date, timedelta

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict

from flame_flwr.clients import reply_gate
from flame_flwr.clients.expectation_limit import EXPECTED, digests_of
from flame_flwr.clients.reply_gate import TO_GATE, ReplyGate
from flame_flwr.clients.reply_origin import ReplyOrigin
from flame_flwr.clients.reply_records import OK
from flame_flwr.config import NodeSettings
from flame_flwr.data.expect import Mismatch, Table
from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import RAISED
from flame_flwr.node import ledger_file, start
from flame_flwr.node.app_archive import digest_of
from flame_flwr.node.approvals_file import Approval
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.ledger_file import NodeLedger
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.transport.hello_findings import write_findings

from .counted_node import FILE, REGISTRY, result


def scores(**numbers):
    return RecordDict(
        {
            "evaluateres.metrics": ConfigRecord({TO_GATE: Study().to_bytes(), **numbers}),
            "evaluateres.num_examples": MetricRecord({"num_examples": 1}),
            "evaluateres.loss": MetricRecord({"loss": 0.0}),
            "evaluateres.status": ConfigRecord(OK),
        }
    )


def test_numbers_in_flowers_own_places_are_counted(node):
    """A client of the app's own can say something with a loss, or with how many examples it had."""
    answer = scores()
    answer["evaluateres.loss"] = MetricRecord({"loss": 61.3})
    answer["evaluateres.num_examples"] = MetricRecord({"num_examples": 19610304})
    assert node.ask(answer, kind="evaluate") == ""
    assert node.accounts() == {("data", ""): (1, 2)}
    answer = result({"n": 7})
    answer["fitres.num_examples"] = MetricRecord({"num_examples": 19610304})
    assert node.ask(answer) == ""
    assert node.accounts() == {("data", ""): (2, 4)}


def greeting(**said):
    said = {TO_GATE: Study().to_bytes(), **said}
    return RecordDict({"getpropertiesres.properties": ConfigRecord(said)})


def failed(text):
    failure = Failure("ValueError", text=text).to_json()
    return RecordDict({"fitres.metrics": ConfigRecord({"failure": failure})})


def test_every_way_an_answer_leaves_is_counted(node):
    assert node.ask(result({"coef": np.zeros(30), "n": 7}, auc=0.5)) == ""
    assert node.accounts() == {("data", ""): (1, 32)}
    assert node.ask(scores(auc=0.5, f1=0.4), kind="evaluate") == ""
    assert node.accounts() == {("data", ""): (2, 34)}
    assert node.ask(greeting(), kind=HELLO) == ""  # it was not asked about its data
    assert node.accounts() == {("data", ""): (2, 34)}
    found = [Mismatch("no column", True), Mismatch("a value", False)]
    asked = {EXPECTED: digests_of([Table("patients.csv")])}
    assert node.ask(greeting(findings=write_findings(found), **asked), kind=HELLO) == ""
    assert node.ask(greeting(findings=write_findings([]), **asked), kind=HELLO) == ""
    assert node.accounts() == {("data", ""): (4, 36)}
    assert "ValueError" in node.ask(failed("above 102"))
    assert node.accounts() == {("data", ""): (5, 36)}
    assert (node.folder / FILE).stat().st_mode & 0o777 == 0o600
    assert (node.folder / FILE).parent.stat().st_mode & 0o777 == 0o700


def test_an_answer_is_counted_before_its_mask(node, node_message):
    """An answer that is kept for whoever asks again must not have left uncounted."""
    order = []

    class Secure:
        asks = True
        before = staticmethod(lambda: None)
        masked = staticmethod(lambda value, sums: order.append("masked") or {})

    class Refusing:
        check = staticmethod(lambda: None)

        def charge(self, cost):
            order.append(cost.figures)
            raise NodeFailedError("no more")

    asked = node_message("counted", node.fab, {}, node=node.config)
    content = {"train": result({"n": 7, "sum": 61.3}), "evaluate": scores(auc=0.5)}
    for kind, figures in (("train", 2), ("evaluate", 1)):
        asked = node_message("counted", node.fab, {}, kind=kind, node=node.config)
        gate = ReplyGate(asked.message, asked.context, ReplyOrigin(gated=True, ledger=Refusing()))
        gate.__dict__["_secure"] = Secure()
        reply = gate.let_out(Message(content[kind], reply_to=asked.message))
        assert order == [figures]
        assert "no more" in str(reply.content)
        order.clear()


def test_what_has_left_before_is_not_counted_again(node, monkeypatch):
    class Again:
        asks, is_required = True, False
        before = staticmethod(lambda: dict(result(3)))

    monkeypatch.setattr(reply_gate, "SecureGate", lambda *_: Again())
    assert node.ask(result(3), node={"answers-per-day": 1}) == ""
    assert not node.has_run
    assert node.accounts() == {}


def test_a_day_has_its_answers_over_all_projects(node, monkeypatch):
    limited = {"answers-per-day": 2}
    assert node.ask(result(1), node=limited) == ""
    assert node.ask(result(1), node=limited, project="another") == ""
    for kind in ("train", "evaluate", HELLO):
        why = node.ask(result(1), kind=kind, node=limited)
        assert "again after midnight, UTC" in why
        assert "`answers-per-day` in this node's config" in why
        assert not node.has_run
    assert node.accounts() == {("data", ""): (2, 2)}
    tomorrow = (date.fromisoformat(ledger_file.today()) + timedelta(days=1)).isoformat()
    monkeypatch.setattr(ledger_file, "today", lambda: tomorrow)
    assert node.ask(result(1), node=limited) == ""


def test_noise_is_spent_and_then_nothing_leaves(node):
    config = {"filters": "GaussianNoise(norm=1.0, noise_multiplier=2.0)", "epsilon-total": 6.5}
    value = {"coef": np.array([0.3, 0.4])}
    assert node.ask(result(value), node=config) == ""  # 4.38, and two together 6.60
    assert "this answer would need more than is left" in node.ask(result(value), node=config)
    assert node.has_run
    assert "epsilon-total" in node.ask(result(value), node={**config, "epsilon-total": 4.3})
    assert not node.has_run
    assert node.accounts() == {("data", ""): (1, 2)}


def test_each_dataset_has_its_own_limits(node):
    node.register()
    config = {"answers-per-day": 4}
    for _ in range(3):
        assert node.ask(result(1), node=config) == ""
    assert node.accounts() == {("ward", ""): (3, 3), ("register", ""): (3, 3)}
    assert "answers-per-day" in node.ask(result(1), node=config)
    registry = REGISTRY.replace("answers-per-day = 3", "answers-per-day = 9")
    node.register(registry)
    assert node.ask(result(1), node=config) == ""
    assert "answers-per-day" in node.ask(result(1), node=config)


def test_the_project_is_the_approvals(node):
    node.config |= {"approval": "required"}
    until = date.today() + timedelta(days=1)
    approval = Approval(digest_of(node.fab), "counted 1", "long-covid", until)
    GateFolder(node.folder / "state").change(lambda before: before.with_approval(approval))
    assert "approved for another project" in node.ask(result(1), project="another")
    assert node.ask(result(1), project="long-covid") == ""
    assert node.accounts() == {("data", "long-covid"): (1, 1)}


def test_without_a_folder_nothing_is_counted(node):
    nowhere = {"state-dir": ""}
    assert node.ask(result(1), node=nowhere) == ""
    why = node.ask(result(1), node={**nowhere, "answers-per-day": 5})
    assert "need a ledger" in why
    with pytest.raises(ConfigError, match="need a ledger"):
        ledger_file.check_ledger(NodeSettings.from_config({**nowhere, "epsilon-total": 1}))


def test_flowers_own_program_has_no_limits(tmp_path):
    config = tmp_path / "node.toml"
    config.write_text('approval = "none"\nanswers-per-day = 3\n')
    with pytest.raises(ConfigError, match="which counts no answers"):
        start.start(["--node-config", str(config)], stock=True)


def test_that_an_analysis_has_died_is_an_answer(node, node_message):
    asked = node_message("counted", node.fab, {}, node=node.config)
    origin = ReplyOrigin(gated=True, ledger=NodeLedger(asked.context, ""))
    died = Message(Error(RAISED, "it has died"), reply_to=asked.message)
    ReplyGate(asked.message, asked.context, origin).let_out(died)
    assert node.accounts() == {("data", ""): (1, 0)}
