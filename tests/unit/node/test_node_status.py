"""What a running node writes of itself, and what ``flame-flwr node status`` makes of it."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.config import NODE_KEYS, NodeSettings
from flame_flwr.node import gate_folder, start
from flame_flwr.node.node_status import StatusFile, read_status, status_path, why_nothing_runs
from flame_flwr.node.server_clock import ServerClock
from flame_flwr.node.status_words import _GATE


@pytest.fixture
def node(tmp_path):
    """A node's folder, and its settings."""
    config = {
        "name": "hospital-a",
        "audit-log": str(tmp_path / "audit.jsonl"),
        "disclosure": "MinCount(5)",
    }
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in config.items())
    (tmp_path / "node.toml").write_text("".join(lines))
    return SimpleNamespace(folder=tmp_path, settings=NodeSettings.from_config(config))


def said(node):
    done = CliRunner().invoke(commands._app, ["node", "status", "--node", str(node.folder)])
    return done.exit_code, done.output


def clock(**known):
    made = ServerClock()
    vars(made).update(known)
    return made


def asked():
    metadata = SimpleNamespace(message_type="train")
    return SimpleNamespace(
        message=SimpleNamespace(metadata=metadata),
        context=SimpleNamespace(run_id=42, run_config={}),
        run=SimpleNamespace(override_config={"project-id": "long-covid"}),
        app_folder="me.ages.1.0.0.2e144501",
    )


def test_a_running_node_is_described(node):
    known = clock(last_contact=time.time() - 130, difference=3.2)
    file = StatusFile(node.settings, known, sandbox="analyses run without a sandbox: why")
    file.write()
    assert status_path(node.settings).stat().st_mode & 0o777 == 0o640
    with file.answering(asked()):
        code, text = said(node)
    assert code == 0
    for words in (
        f"node hospital-a: runs, as process {os.getpid()}",
        "Python 3.",
        "2 minutes ago",
        "its clock: 3 s ahead of the server's",
        "answers now: train of run 42, project long-covid, app me.ages.1.0.0.2e144501",
        "  analyses run without a sandbox: why",
        "MinCount(5)",
        "the text of errors stays",
    ):
        assert words in text
    assert "answered since it was started: 1 message" in said(node)[1]
    file.stop()
    code, text = said(node)
    assert code == 1
    assert "node hospital-a: was stopped" in text


def test_a_node_that_died_does_not_run(node):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    StatusFile(node.settings, clock()).write()
    path = status_path(node.settings)
    told = json.loads(path.read_text())
    for change in ({"pid": process.pid}, {"written": time.time() - 100}):
        path.write_text(json.dumps({**told, **change}))
        code, text = said(node)
        assert code == 1
        assert "does not run; the last sign of it" in text


def test_a_node_that_never_ran_is_said(node):
    code, text = said(node)
    assert code == 1
    assert "has never run here" in text
    assert "MinCount(5)" in text


@pytest.mark.parametrize("text", ["MinCont(5)", "MinCount(0)"])
def test_an_unreadable_rule_is_no_setting(node, text):
    file = node.folder / "node.toml"
    file.write_text(file.read_text().replace("MinCount(5)", text))
    _, told = said(node)
    assert text not in told
    assert "cannot be read, so the node does not start: `disclosure`" in " ".join(told.split())


def test_flowers_own_node_is_ungated(node):
    StatusFile(node.settings, clock(), stock=True).write()
    code, text = said(node)
    assert code == 0
    assert "ungated" in text


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"pid": "1"}', '{"pid": 1, "versions": 5}', '{"started": "now"}']
)
def test_a_file_of_others_is_refused(node, content):
    status_path(node.settings).write_text(content)
    done = CliRunner().invoke(commands._app, ["node", "status", "--node", str(node.folder)])
    assert "is not what a node writes" in str(done.exception)


@pytest.mark.parametrize("key", sorted(_GATE.keys() & NODE_KEYS.keys()))
def test_every_value_of_the_gate_has_words(key):
    about = NODE_KEYS[key]
    values = [about.default, *about.choices, *([True, False] if about.type is bool else [])]
    assert all(isinstance(_GATE[key](value), str) for value in values)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").touch()
    settings = NodeSettings(name="a", state_dir=str(tmp_path / "file" / "state"))
    file = StatusFile(settings, clock())
    for _ in range(3):
        file.write()
    [text] = caplog.messages
    assert "knows nothing of this node" in text
    assert read_status(NodeSettings(name="a")) is None


def test_approvals_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "node.toml").write_text(f'name = "a"\nstate-dir = "{tmp_path}"\n')
    node = SimpleNamespace(folder=tmp_path)
    assert "no app runs" not in said(node)[1]
    (tmp_path / "gate").mkdir(mode=0o700)
    (tmp_path / "gate" / "approved.toml").write_text("[[")
    assert "no app runs at it: approved.toml is damaged" in said(node)[1]
    (tmp_path / "gate" / "approved.toml").chmod(0o666)
    assert "no app runs at it: approved.toml may be written by others" in said(node)[1]


def test_whoever_may_not_look_claims_nothing(tmp_path, monkeypatch):
    settings = NodeSettings(name="a", state_dir=str(tmp_path), approval="required")
    refuse = Mock(side_effect=PermissionError(13, "Permission denied"))
    monkeypatch.setattr(gate_folder, "checked_folder", refuse)
    assert "Permission denied" in why_nothing_runs(settings)  # the node's own user
    StatusFile(settings, clock()).write()
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert why_nothing_runs(settings) == ""


def test_an_unwritable_log_is_told(tmp_path):
    """By the node's own process: who asks may be another user, whom the folder lets in."""
    (tmp_path / "file").touch()
    log, state = tmp_path / "file" / "audit.jsonl", tmp_path / "state"
    (tmp_path / "node.toml").write_text(f'name = "a"\nstate-dir = "{state}"\naudit-log = "{log}"\n')
    node = SimpleNamespace(folder=tmp_path)
    settings = NodeSettings(name="a", state_dir=str(state), audit_log=str(log))
    StatusFile(settings, clock()).write()
    code, text = said(node)
    assert code == 0
    assert "node a: runs" in text
    assert "no answer leaves it: " in text
    (tmp_path / "file").unlink()
    (tmp_path / "file").mkdir()
    StatusFile(settings, clock()).write()
    assert "no answer leaves it" not in said(node)[1]


@pytest.mark.parametrize("in_registry", [False, True])
def test_data_that_is_not_there_is_told(tmp_path, in_registry, caplog, monkeypatch):
    typo, there = tmp_path / "typo", tmp_path / "there"
    there.mkdir()
    line = f'data = "{there}; {typo}; s3://bucket"'
    if in_registry:
        line = f'datasets = "{tmp_path}/datasets.toml"'
        more = 'type = "s3"\nprojects = ["p"]\n'
        (tmp_path / "datasets.toml").write_text(
            f'[[dataset]]\nname = "a"\nurl = "{there}"\n{more}'
            f'[[dataset]]\nname = "b"\nurl = "{typo}"\n{more}'
        )
    (tmp_path / "node.toml").write_text(f'name = "a"\napproval = "none"\n{line}\n')
    text = said(SimpleNamespace(folder=tmp_path))[1]
    assert f"there is no {typo}, which its config names as its data" in text
    assert f"there is no {there}" not in text
    monkeypatch.setattr(start, "_run_stock", Mock(side_effect=SystemExit))
    with pytest.raises(SystemExit):
        start.start(["--node-config", str(tmp_path / "node.toml")], stock=True)
    assert f"there is no {typo}, which this node's config names as its data" in caplog.text
