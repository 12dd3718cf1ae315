"""Who may run at a node: an app is looked at by its hash first, and what is not approved waits."""

import dataclasses
import io
import json
import os
import time
import tracemalloc
import zipfile
import zlib
from datetime import date, timedelta
from unittest.mock import Mock

import flower_app
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import ConfigRecord, Context, Metadata, RecordDict
from flwr.supercore.fab import Fab

from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError
from flame_flwr.flower import HELLO, Run, message_of
from flame_flwr.flower_node_state import REFUSED, NodeMessage
from flame_flwr.node import approval, gate_folder, waiting_apps
from flame_flwr.node.app_archive import AppArchive, ArchiveError, digest_of
from flame_flwr.node.approval import AppRefusedError, check_app, differing_keys
from flame_flwr.node.approvals_file import Approval, Approvals, Rejection
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.node.message_host import MessageHost
from flame_flwr.node.reviewers import fingerprint, sign

TODAY = date.today()
PYPROJECT = flower_app.pyproject(
    "study",
    {"nodes": 2, "project-id": "long-covid", "alpha": 0.1},
    server="app:nothing",
    client="app:app",
)


def archive(code="", **more):
    """Return an app's archive as Flower makes it, with the list of files that it looks for."""
    files = {"pyproject.toml": PYPROJECT, "app.py": code, **more}
    lines = (f"{name},{digest_of(text.encode())},{8 * len(text)}" for name, text in files.items())
    return flower_app.archive({**files, ".info/CONTENT": "\n".join(lines)})


def compressed(content, says=None):
    """Return an archive with one file, of another size where `says` gives one."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("pyproject.toml", content)
        if says is not None:
            file.filelist[0].file_size, file.filelist[0].CRC = says, zlib.crc32(content[:says])
    return made.getvalue()


def asked(content, state_dir, kind="train", run_id=7, config=None, **overrides):
    metadata = Metadata(run_id, "message-1", 1, 2, "", "1", time.time(), 60.0, kind)
    usual = {"name": "hospital-a", "state-dir": str(state_dir), "sandbox": "off"}
    node = usual if config is None else config
    context = Context(run_id, 2, node, RecordDict(), {}, series_id=3)
    run = Run.create_empty(run_id)
    run.fab_id, run.fab_version = "tests/study", "1.0.0"
    run.override_config = {key.replace("_", "-"): value for key, value in overrides.items()}
    message = message_of(metadata, RecordDict({"do": ConfigRecord({})}))
    return NodeMessage(5, message, context, run, Fab(digest_of(content), content, {}))


def approved(content, **other):
    values = {"project": "long-covid", "until": TODAY + timedelta(days=1), "app": "study 1"}
    return Approval(hash=digest_of(content), **{**values, **other})


def approve(state_dir, *approvals):
    folder = GateFolder(state_dir)
    for each in approvals:
        folder.change(lambda before, each=each: before.with_approval(each))
    return folder


def refused(message):
    with pytest.raises(AppRefusedError) as error:
        check_app(message)
    assert error.value.title.endswith("at hospital-a")
    assert digest_of(message.fab.content) in error.value.message
    return error.value


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


@pytest.mark.parametrize(
    "text",
    ["[[approved", "[[approved]]\nhash = 1", "approved = 3", "[[allowed]]\n", "[approved]", "\xff"],
)
def test_damaged_approvals_let_nothing_run(tmp_path, text):
    content = archive()
    folder = approve(tmp_path, approved(content))
    (folder.path / "approved.toml").write_bytes(text.encode("latin-1"))
    assert refused(asked(content, tmp_path)).state == "unreadable"
    assert refused(asked(archive("x = 2"), tmp_path)).state == "unreadable"
    with pytest.raises(ConfigError, match="damaged"):
        folder.change(lambda before: before)


def linked(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def piped(path):
    path.unlink()
    os.mkfifo(path)


def given_away(path):
    if os.geteuid():
        pytest.skip("only root may give a file to another")
    os.chown(path, 65534, 65534)


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        (".", lambda path: path.chmod(0o770), "gate may be written by others.*`chmod 700` it"),
        ("..", lambda path: path.chmod(0o777), "`state-dir`.*by others.*then `chmod go-w` it"),
        (".", linked, "gate is a link"),
        ("pending", lambda path: path.symlink_to(path.parent), "pending is a link"),
        (".", given_away, "gate belongs to another user"),
        ("approved.toml", lambda path: path.chmod(0o666), "others than.*then `chmod 600` it"),
        ("approved.toml", linked, "approved.toml is a link"),
        ("approved.toml", piped, "approved.toml must be a file"),
        ("approved.toml", given_away, "approved.toml belongs to another user"),
    ],
)
def test_only_its_users_own_files_decide(tmp_path, place, change, words):
    content = archive()
    folder = approve(tmp_path, approved(content))
    change(folder.path / place)
    assert refused(asked(content, tmp_path)).state == "unreadable"
    with pytest.raises(ConfigError, match=words) as error:
        GateFolder(tmp_path).approvals()
    assert "damaged" not in str(error.value)
    assert str(error.value).count(str(tmp_path)) == 1


def test_another_users_folder_decides_nothing(tmp_path, monkeypatch):
    content = archive()
    approve(tmp_path, approved(content))
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert refused(asked(content, tmp_path)).state == "unreadable"


def test_a_folder_that_others_read_is_closed(tmp_path):
    folder = approve(tmp_path, approved(archive()))
    folder.path.chmod(0o755)
    assert len(GateFolder(tmp_path).approvals().approved) == 1
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("change", [linked, piped, given_away, lambda path: path.chmod(0o666)])
def test_a_reviewers_key_is_the_users_own(tmp_path, change):
    key = Ed25519PrivateKey.generate().public_key()
    content = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path = GateFolder(tmp_path).trust("anna", key, content)
    assert [name for name, _ in GateFolder(tmp_path).reviewers().values()] == ["anna"]
    change(path)
    assert GateFolder(tmp_path).reviewers() == {}


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


def test_approvals_are_read_as_written():
    texts = ('say "hi" \\ é', "tab\tand\nline", "")
    every = Approvals(
        tuple(
            Approval("0" * 64, "a", text, TODAY, (text, "b"), text, text, text, text, text)
            for text in texts
        ),
        tuple(Rejection("1" * 64, "a", text, text, text) for text in texts),
    )
    assert Approvals.parse(every.text()) == every


def test_waiting_apps_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting_apps, "MOST_PENDING", 4)
    monkeypatch.setattr(waiting_apps, "MOST_OF_ONE_APP", 2)
    folder = GateFolder(tmp_path)

    def come(name, number):
        content = f"{name} {number}".encode()
        message = asked(content, tmp_path, run_id=number)
        message.run.fab_id = name
        return refused(message), digest_of(content)

    newest = [come("tests/one", number)[1] for number in range(1, 5)][-2:]
    others = [come(f"tests/{name}", 1)[1] for name in ("two", "three")]
    assert set(folder.requests()) == {*newest, *others}
    error, digest = come("tests/four", 1)
    assert error.title == "no room for apps that wait at hospital-a"
    assert folder.archive_path(digest) is None
    message = asked(bytes(gate_folder.LARGEST + 1), tmp_path)
    assert "larger than 10 MB" in refused(message).message
    assert set(folder.requests()) == {*newest, *others}


@pytest.mark.parametrize(
    ("limit", "why", "has_room"),
    [
        ({"MOST_OF_ONE_PROJECT": 2}, "2 apps of the project copd wait already", True),
        ({"MOST_BYTES": 2 * 2**20}, "the apps that wait take up 2 MB", False),
    ],
)
def test_what_waits_is_pushed_out_by_nobody(tmp_path, monkeypatch, limit, why, has_room):
    """Not by whoever fills the list, either; other projects have some room of their own."""
    monkeypatch.setattr(waiting_apps, *limit.popitem())
    folder = GateFolder(tmp_path)

    def come(number, project):
        message = asked(bytes([number]) * 2**20, tmp_path, run_id=number, project_id=project)
        message.run.fab_id = f"tests/{number}"
        return refused(message)

    for number in (1, 2):
        assert folder.full() == []
        assert come(number, "copd").title == "waits for approval at hospital-a"
    kept = [*folder.requests()]
    error = come(3, "copd")
    assert error.title == "no room for apps that wait at hospital-a"
    assert why in error.message
    assert folder.full() == [why]
    assert [*folder.requests()] == kept
    assert ("waits for approval" in come(4, "sepsis").title) == has_room


def test_asking_again_is_noted_once_a_run(tmp_path):
    for run in (1, 1, 2, 2, 2):
        refused(asked(b"x", tmp_path, run_id=run))
    [request] = GateFolder(tmp_path).requests().values()
    assert [each["run"] for each in request.asked] == ["1", "2"]


AGENT = PYPROJECT.replace("serverapp", 'agentapp = "app:agent"\nserverapp')


@pytest.mark.parametrize("settings", [{}, {"approval": "none"}])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(**{"pyproject.toml": AGENT}), "has agentapp"),
        (b"no archive", "cannot be read"),
        (archive(**{"../out.py": ""}), "outside itself"),
        (archive(**{"./app.py": "other"}), "in two ways"),
        (compressed(bytes(4 * 2**20)).replace(bytes(4), b"\xff\xff\xff\xff"), "cannot be read"),
        (compressed(bytes(4 * 2**20), says=10), "cannot be read"),
        (archive().replace(b"clientapp", b"clientapq"), "cannot be read"),
    ],
    ids=["agent", "none", "outside", "twice", "broken", "larger", "another key"],
)
def test_other_kinds_of_app_never_run(tmp_path, content, words, settings):
    approve(tmp_path, approved(content))
    config = {"name": "hospital-a", "state-dir": str(tmp_path), **settings}
    error = refused(asked(content, tmp_path, config=config))
    assert error.state == "kind"
    assert words in error.message


def test_a_bomb_is_not_unpacked():
    bomb = compressed(bytes(300 * 2**20), says=10)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            AppArchive.read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


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
