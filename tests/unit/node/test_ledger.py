"""A node's ledger: what has left is counted before it leaves, and a limit is one."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from typer.testing import CliRunner

from flame_flwr.cli import commands, ledger_table
from flame_flwr.clients import reply_gate
from flame_flwr.clients.asked_expectations import EXPECTED, digests_of
from flame_flwr.clients.reply_gate import TO_GATE, ReplyGate
from flame_flwr.clients.reply_records import OK
from flame_flwr.clients.reply_way import Way
from flame_flwr.config import NodeSettings
from flame_flwr.data.expect import Mismatch, Table
from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import RAISED, Answer
from flame_flwr.node import ledger_file, start
from flame_flwr.node.app_archive import digest_of
from flame_flwr.node.approvals_file import Approval
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.node.ledger_file import NodeLedger, begin_ledger, read_ledger
from flame_flwr.node.node_status import StatusFile
from flame_flwr.node.server_clock import ServerClock
from flame_flwr.payload import encode, to_record
from flame_flwr.privacy.answer_cost import Cost
from flame_flwr.privacy.ledger import Ledger
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.transport.hello_findings import write_findings

REGISTRY = """
[[dataset]]
name = "ward"
type = "s3"
url = "/srv/ward"
projects = ["*"]
tags = ["pasc"]
answers-per-day = 3
[[dataset]]
name = "register"
type = "fhir"
url = "/srv/register"
projects = ["*"]
tags = ["pasc", "adults"]
"""


def result(value, **metrics):
    """Return what an analysis hands over after a round."""
    return RecordDict(
        {
            "fitres.metrics": ConfigRecord(
                {TO_GATE: Study().to_bytes(), "seconds": 0.1, **metrics}
            ),
            "fitres.num_examples": MetricRecord({"num_examples": 1}),
            "fitres.parameters": to_record(encode(value)),
            "fitres.status": ConfigRecord(OK),
        }
    )


def scores(**numbers):
    return RecordDict(
        {
            "evaluateres.metrics": ConfigRecord({TO_GATE: Study().to_bytes(), **numbers}),
            "evaluateres.num_examples": MetricRecord({"num_examples": 1}),
            "evaluateres.loss": MetricRecord({"loss": 0.0}),
            "evaluateres.status": ConfigRecord(OK),
        }
    )


def greeting(**said):
    said = {TO_GATE: Study().to_bytes(), **said}
    return RecordDict({"getpropertiesres.properties": ConfigRecord(said)})


def failed(text):
    failure = Failure("ValueError", text=text).to_json()
    return RecordDict({"fitres.metrics": ConfigRecord({"failure": failure})})


@pytest.fixture
def node(tmp_path, fab_of, node_message):
    """A node: asked for something, its analysis answers so; what is left and failed is told."""

    class Node:
        folder = tmp_path
        fab = fab_of("counted", "")
        config = {"name": "a", "state-dir": str(tmp_path / "state"), "approval": "none"}

        def ask(self, content, kind="train", **more):
            config = {**self.config, **more.pop("node", {})}
            asked = node_message("counted", self.fab, {}, kind=kind, node=config, **more)
            ran = []

            def run(asked):
                ran.append(asked)
                return Answer(Message(content, reply_to=asked.message), None)

            self.reply = through_gate(asked, run).reply
            self.has_run = bool(ran)
            if self.reply.has_error():
                return self.reply.error.reason
            for record in self.reply.content.config_records.values():
                if isinstance(record.get("failure"), bytes):
                    return str(Failure.from_json(record["failure"]))
            return ""

        @property
        def settings(self):
            return NodeSettings.from_config(self.config)

        def accounts(self):
            found = read_ledger(self.settings).accounts
            return {key: (each.answers, each.cost.figures) for key, each in found.items()}

        def register(self, text=REGISTRY):
            (tmp_path / "datasets.toml").write_text(text)
            self.config = {**self.config, "datasets": str(tmp_path / "datasets.toml")}

    return Node()


FILE = "state/gate/ledger.json"


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


def test_a_masked_answer_is_counted_before_its_mask_is_used(node, node_message):
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
        gate = ReplyGate(asked.message, asked.context, Way(gated=True, ledger=Refusing()))
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


def test_a_node_without_a_folder_counts_nothing_and_limits_nothing(node):
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


def test_answers_at_a_time_are_all_counted(node, node_message):
    asked = node_message("counted", node.fab, {}, node=node.config)
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(
            lambda _: NodeLedger(asked.context, "p").charge(Cost(figures=2)), range(24)
        ):
            pass
    assert node.accounts() == {("data", "p"): (24, 48)}


def damaged(node, how):
    path = node.folder / FILE
    if how == "removed":
        path.unlink()
    elif how == "linked":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    elif how == "open":
        path.chmod(0o666)
    else:
        path.write_text(how(path.read_text()))


WAYS = {
    "removed": "removed",
    "linked": "linked",
    "open": "open",
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "negative": lambda text: text.replace('"answers": 1', '"answers": -1'),
    "no number": lambda text: text.replace('"pure": 0.0', '"pure": NaN'),
    "another type": lambda text: text.replace('"answers": 1', '"answers": true'),
    "no day": lambda text: re.sub(r'"day": "[^"]*"', '"day": "never"', text),
    "less": lambda text: text.replace('"today": 1', '"to": 1'),
    "version": lambda text: text.replace('"version": 1', '"version": 2'),
}


@pytest.mark.parametrize("how", WAYS)
def test_a_ledger_that_is_not_sound_lets_nothing_leave(node, how):
    assert node.ask(result(1)) == ""
    damaged(node, WAYS[how])
    why = node.ask(result(1))
    assert not node.has_run
    assert "ledger" in why
    status = StatusFile(node.settings, ServerClock())
    assert status._status.trouble
    with pytest.raises(ConfigError):  # nor where it breaks while the analysis runs
        NodeLedger(SimpleNamespace(node_config=node.config, run_config={}), "").charge(Cost())
    if how not in ("linked", "open"):  # these are mended with `rm` and `chmod`
        assert "flame-flwr node ledger --begin" in why
        kept = begin_ledger(node.settings)
        assert bool(kept) is (how != "removed")
        assert node.ask(result(1)) == ""
        assert node.accounts() == {("data", ""): (1, 1)}
        with pytest.raises(ConfigError, match="nothing to begin anew"):
            begin_ledger(node.settings)


def test_a_full_disk_lets_nothing_leave(node, monkeypatch):
    assert node.ask(result(1)) == ""
    before = (node.folder / FILE).read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_file, "write_whole", full)
    assert "without it no answer leaves" in node.ask(result(1))
    assert (node.folder / FILE).read_bytes() == before


def test_a_crash_leaves_the_old_ledger_or_the_new_one(node, monkeypatch):
    assert node.ask(result(1)) == ""
    replace = os.replace

    def crash(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        node.ask(result(1))
    monkeypatch.setattr(os, "replace", replace)
    assert node.accounts() == {("data", ""): (1, 1)}


def test_the_table_fits_eighty_columns(node, capsys):
    node.register(REGISTRY + "epsilon-total = 4\n")
    day = ledger_file.today()
    ledger = Ledger()
    for project in ("long-covid", "a-project-with-a-very-long-name-of-its-own-indeed-yes"):
        cost = Cost(12_345_678, pure=1.5, shift=1.0, extremes=2, exact=40)
        ledger = ledger.with_answer(["ward"], project, cost, day)
    ledger = ledger.with_answer(["old \x1b[2J"], "", Cost(1), "2020-01-01")
    ledger_table.show_ledger(node.settings, ledger)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    [together] = [line for line in text.splitlines() if line.startswith("all projects")]
    # 2 * 1.5 pure, 2 * 2 answers with extremes, and 6.60 of two Gaussian ones
    assert together.split() == ["all", "projects", "2", "2", "24,691,356", "80", "4", "13.6"]
    assert "at most 3 answers a day, all projects together" in text
    assert "register\nnothing has left\nat most epsilon 4" in text
    assert "(no approval asked)" in text
    assert "\x1b[2J" not in text


def test_the_command_shows_and_mends(node):
    assert node.ask(result(1)) == ""
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in node.config.items())
    (node.folder / "node.toml").write_text("".join(lines))

    def say(*more):
        command = ["node", "ledger", "--node", str(node.folder), *more]
        done = CliRunner().invoke(commands._app, command)
        return done.exit_code, done.output + str(done.exception or "")

    code, text = say()
    assert (code, "(no approval asked)" in text) == (0, True)
    assert "nothing to begin anew" in say("--begin")[1]
    (node.folder / FILE).write_text("{}")
    assert "is damaged" in say()[1]
    code, text = say("--begin")
    assert code == 0
    assert "ledger.json.20" in text
    assert "nothing has left" in say()[1]


def test_that_an_analysis_has_died_is_an_answer(node, node_message):
    asked = node_message("counted", node.fab, {}, node=node.config)
    way = Way(gated=True, ledger=NodeLedger(asked.context, ""))
    died = Message(Error(RAISED, "it has died"), reply_to=asked.message)
    ReplyGate(asked.message, asked.context, way).let_out(died)
    assert node.accounts() == {("data", ""): (1, 0)}
