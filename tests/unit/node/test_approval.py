"""Who may run at a node: an app is looked at by its hash first, and what is not approved waits."""

import dataclasses
import json
from datetime import timedelta
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError
from flame_flwr.flower import HELLO
from flame_flwr.flower_node_state import REFUSED
from flame_flwr.node import approval
from flame_flwr.node.app_archive import digest_of
from flame_flwr.node.approval import AppRefusedError, check_app, differing_keys
from flame_flwr.node.approvals_file import Rejection
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.node.message_host import MessageHost
from flame_flwr.node.reviewers import fingerprint, sign

from .approvals import PYPROJECT, TODAY, approve, approved, archive, asked, refused


def test_an_unknown_app_waits_unopened(tmp_path):
    error = refused(asked(b"no archive at all", tmp_path, project_id="copd"))
    digest = digest_of(b"no archive at all")
    assert error.state == "waits"
    assert error.title == "waits for approval at hospital-a"
    assert f"flame-flwr node approve {digest[:12]} --project copd --until" in error.message
    folder = GateFolder(tmp_path)
    assert folder.read_archive(digest) == b"no archive at all"
    [noted] = folder.request(digest).asked
    assert (noted["run"], noted["project"]) == ("7", "copd")
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_an_approved_app_gets_its_run_config(tmp_path):
    content = archive()
    approve(tmp_path, approved(content))
    message = asked(content, tmp_path, nodes="a,b")
    check_app(message)
    assert message.context.run_config == {
        "nodes": "a,b", "project-id": "long-covid", "alpha": 0.1
    }  # fmt: skip
    assert GateFolder(tmp_path).read_archive(digest_of(content)) == content


@pytest.mark.parametrize(
    ("entry", "overrides", "state", "words"),
    [
        ({"until": TODAY - timedelta(days=1)}, {}, "expired", f"was {TODAY - timedelta(days=1)}"),
        ({"project": "copd"}, {}, "project", "for copd, and this run is of 'long-covid'"),
        ({}, {"project_id": "copd"}, "project", "this run is of 'copd'"),
        ({}, {"alpha": 0.5}, "config", "sets `alpha`"),
        ({"may_differ": ("nodes",)}, {"alpha": 0.5}, "config", "--may-differ alpha"),
        ({}, {"unknown": 1}, "kind", "a key that it has not"),
    ],
)
def test_an_approval_is_for_one_use(tmp_path, entry, overrides, state, words):
    content = archive()
    approve(tmp_path, approved(content, **entry))
    error = refused(asked(content, tmp_path, **overrides))
    assert error.state == state
    assert words in error.message
    project = overrides.get("project_id", "long-covid")
    assert ("node approve" not in error.message) or f"--project {project} --until" in error.message


@pytest.mark.parametrize(
    ("entry", "overrides"),
    [
        ({"until": TODAY}, {}),
        ({"may_differ": ("alpha",)}, {"alpha": 0.5}),
        ({}, {"alpha": 0.1, "nodes": 3}),
    ],
)
def test_what_an_approval_allows_runs(tmp_path, entry, overrides):
    content = archive()
    approve(tmp_path, approved(content, **entry))
    check_app(asked(content, tmp_path, **overrides))


def test_an_emptied_data_is_approved_with_every_app():
    """`flame-flwr new` writes one for simulations, and no hospital takes an analyst's."""
    assert differing_keys({"data": ""}, {"data": "app.sample:node_files"}) == []
    assert differing_keys({"data": "/srv"}, {"data": ""}) == ["data"]


def test_a_projects_name_ends_no_command(tmp_path):
    error = refused(asked(b"x", tmp_path, project_id="a; rm -rf ~"))
    assert "--project 'a; rm -rf ~' --until DATE" in error.message


def test_one_changed_byte_is_another_app(tmp_path):
    content = archive("x = 1")
    approve(tmp_path, approved(content))
    changed = content.replace(b"x = 1", b"x = 2")
    assert len(changed) == len(content)
    assert refused(asked(changed, tmp_path)).state == "waits"


def test_an_archive_is_what_its_hash_says(tmp_path):
    content, other = archive(), archive("x = 2")
    approve(tmp_path, approved(content))
    message = asked(other, tmp_path)
    message.fab.hash_str = digest_of(content)
    assert refused(message).state == "kind"


def test_a_rejected_app_stays_out(tmp_path):
    content = archive()
    folder = approve(tmp_path, approved(content))
    rejection = Rejection(digest_of(content), "study 1", since="2026-11-29T12:00:00")
    folder.change(lambda before: before.with_rejection(rejection))
    error = refused(asked(content, tmp_path))
    assert error.state == "rejected"
    assert "2026-11-29" in error.message


def test_a_change_of_approvals_holds_at_once(tmp_path):
    content = archive()
    approve(tmp_path, approved(content))
    check_app(asked(content, tmp_path))
    approve(tmp_path, approved(content, until=TODAY - timedelta(days=3)))
    assert refused(asked(content, tmp_path)).state == "expired"


@pytest.mark.parametrize("what", ["fine", "untrusted", "until", "hash", "may_differ", "garbled"])
def test_a_signature_holds_for_what_was_signed(tmp_path, what):
    key, content = Ed25519PrivateKey.generate(), archive()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    entry = approved(content, key=fingerprint(key.public_key()), note="read it twice")
    entry = dataclasses.replace(entry, signature=sign(entry.said(), key))
    changes = {
        "until": {"until": TODAY + timedelta(days=999)},
        "hash": {"hash": digest_of(archive("x = 2"))},
        "may_differ": {"may_differ": ("alpha",)},
        "garbled": {"signature": "=" + entry.signature},
    }
    content = archive("x = 2") if what == "hash" else content
    folder = approve(tmp_path, dataclasses.replace(entry, **changes.get(what, {})))
    if what != "untrusted":
        folder.trust("anna", key.public_key(), public)
    if what == "fine":
        check_app(asked(content, tmp_path))
    else:
        assert refused(asked(content, tmp_path)).state == "waits"


def test_a_full_disk_ends_no_node(tmp_path, monkeypatch):
    content, log = archive(), tmp_path / "log"
    approve(tmp_path, approved(content))
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("flame_flwr.node.gate_folder.write_whole", full)
    node = {"name": "hospital-a", "state-dir": str(tmp_path), "audit-log": str(log)}
    reply = through_gate(asked(content, tmp_path, config=node), lambda _: None).reply
    assert "its log says why" in reply.error.reason
    assert "its log says why" in json.loads(log.read_text())["failure"]


def test_a_wrong_node_config_lets_nothing_run(tmp_path):
    message = asked(archive(), tmp_path, config={"name": "hospital-a", "approval": "requird"})
    with pytest.raises(AppRefusedError, match="`approval` in the node config"):
        check_app(message)


def test_hello_says_who_has_not_approved(tmp_path):
    message = asked(archive(), tmp_path, kind=HELLO)
    reply = approval.refusal_of(message, refused(message))
    said = reply.content["getpropertiesres.properties"]
    assert (said["name"], said["approval"], said["gated"]) == ("hospital-a", "waits", True)
    assert json.loads(said["failure"])["type"] == "waits for approval at hospital-a"


def test_code_of_an_unapproved_app_never_runs(tmp_path, monkeypatch):
    """In a real process of a message: approved, the very same app does what it is told."""
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    pyproject = PYPROJECT.replace("alpha", "mine.alpha")
    code = f"import os\nos.system('touch {tmp_path}/imported')\napp = 3\n"
    content = archive(code, **{"pyproject.toml": pyproject})
    host = MessageHost()
    try:
        reply, state, *_ = host.answer(asked(content, tmp_path))
        assert reply.error.code == REFUSED
        assert reply.error.reason.startswith("waits for approval at hospital-a: app tests/study")
        assert state is None
        assert not (tmp_path / "imported").exists()
        assert not (tmp_path / "home").exists()
        approve(tmp_path, approved(content))
        host.answer(asked(content, tmp_path))
        assert (tmp_path / "imported").exists()
    finally:
        host.close()


def test_a_node_says_what_it_runs(tmp_path, caplog):
    caplog.set_level("INFO", "flame_flwr")
    approval.say_what_runs(NodeSettings.from_config({"approval": "none"}))
    approval.say_what_runs(NodeSettings.from_config({"state-dir": str(tmp_path)}))
    (tmp_path / "gate" / "approved.toml").write_text("[[")
    approval.say_what_runs(NodeSettings.from_config({"state-dir": str(tmp_path)}))
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in said] == ["WARNING", "INFO", "ERROR"]
    for words, (_, text) in zip(("any code", "approved apps only", "mended"), said, strict=True):
        assert words in text
    with pytest.raises(ConfigError, match="set `state-dir`"):
        approval.say_what_runs(NodeSettings.from_config({}))


def test_a_waiting_apps_line_has_its_project(tmp_path):
    """As the run names it: the log of a project has also what was refused it."""
    log = tmp_path / "audit.jsonl"
    config = {"name": "hospital-a", "state-dir": str(tmp_path), "audit-log": str(log)}
    for more in ({"project_id": "copd"}, {}):
        through_gate(asked(b"no archive", tmp_path, config=config, **more), Mock())
    projects = [json.loads(line)["project"] for line in log.read_text().splitlines()]
    assert projects == ["copd", ""]
