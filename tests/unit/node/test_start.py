"""``flame-flwr node start`` from outside: what ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from hanging import HANGS
from ports import free_port
from typer.testing import CliRunner

from flame_flwr import flower_fingerprints
from flame_flwr.cli import commands
from flame_flwr.errors import ConfigError
from flame_flwr.node import start

START = (Path(sys.executable).with_name("flame-flwr"), "node", "start", "--insecure")


def processes_of(session):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(folder.name)
    return found


def test_ctrl_c_before_the_start_has_words(monkeypatch, caplog):
    monkeypatch.setattr(start, "_settings", Mock(side_effect=KeyboardInterrupt))
    assert CliRunner().invoke(commands._app, ["node", "start", "--insecure"]).exit_code == 130
    assert "stopped before it had started" in caplog.text


@pytest.mark.parametrize("unknown", [[], ["cli.install:install_from_fab"]])
def test_without_a_gate_it_is_said(monkeypatch, caplog, unknown):
    """Where it is asked for, and where Flower is another one than those that are known."""
    monkeypatch.setattr(start, "_run_stock", Mock(side_effect=SystemExit))
    monkeypatch.setattr(flower_fingerprints, "unknown_parts", lambda: unknown)
    with pytest.raises(SystemExit):
        start.start(["--node-config", 'name="a" approval="none"'], stock=not unknown)
    ungated, approval = caplog.messages
    assert (unknown[0] if unknown else "--stock") in ungated
    assert "no gate, no approval and no sandbox: rules act in the analyst's own" in ungated
    assert 'approval = "none"' in approval


def test_a_start_without_a_gate_is_noted(monkeypatch, tmp_path):
    """Or the answers below it would read as made behind the gate of the start before."""
    monkeypatch.setattr(start, "_run_stock", Mock(side_effect=SystemExit))
    log = tmp_path / "audit.jsonl"
    with pytest.raises(SystemExit):
        start.start(["--node-config", f'name="a" approval="none" audit-log="{log}"'], stock=True)
    [line] = map(json.loads, log.read_text().splitlines())
    assert line["started"]["approval"] == "none"
    assert "no gate: Flower's own SuperNode is run (--stock)" in line["started"]["sandbox"]


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        ("disclosure", "MinCont(5)", "NoisyMinMax, RowsPerParameter, Strict: did you mean 'MinC"),
        ("disclosure", "MinCount(0)", "MinCount: k must be an integer of at least 2, not 0"),
        ("disclosure", " ", "names no rule: leave it out"),
        ("filters", "Clipp(5)", "Clip, GaussianNoise, SparseVector, TopFraction: did you mean 'Cl"),
    ],
)
def test_an_unreadable_rule_ends_the_start(monkeypatch, key, text, why):
    monkeypatch.setattr(start, "_reason_for_stock", Mock(side_effect=AssertionError("it starts")))
    options = ["--insecure", "--node-config", f'approval="none" {key}="{text}"']
    with pytest.raises(ConfigError) as refused:
        start.start(options)
    for said in (f"`{key}` in the node config", why, f"It says: {text}"):
        assert said in refused.value.message


@pytest.mark.parametrize(
    ("text", "whys"),
    [
        (
            'disclosure = "MinCont(5)"',
            ["in this node's registry", "did you mean 'MinC", "MinCont(5)"],
        ),
        ('disclosure = "MinCount(0)"', ["in this node's registry: MinCount: k must be an integer"]),
        ("disclosure = 5", ["`datasets`"]),
        ("disclosure = ", ["the registry is not TOML"]),
        (None, ["the registry cannot be read (FileNotFoundError)"]),
    ],
)
def test_an_unreadable_registry_ends_the_start(monkeypatch, tmp_path, text, whys):
    """Whatever dataset the first study is of."""
    monkeypatch.setattr(start, "_reason_for_stock", Mock(side_effect=AssertionError("it starts")))
    file = tmp_path / "datasets.toml"
    more = 'type = "s3"\nurl = "/data"\ntags = ["t"]\nprojects = ["p"]\n'
    tables = [f'[[dataset]]\nname = "{name}"\n{more}' for name in "ab"]
    if text is not None:
        file.write_text(f"{tables[0]}{tables[1]}{text}\n")
    options = ["--insecure", "--node-config", f'approval="none" datasets="{file}"']
    with pytest.raises(ConfigError) as refused:
        start.start(options)
    for why in whys:
        assert why in refused.value.message
    file.write_text(tables[0])
    with pytest.raises(AssertionError, match="it starts"):
        start.start(options)


LOOKS = """
import os
import sys
from flame_flwr import flower_node
from flame_flwr.node import linux, start

linux.drop_capabilities()  # what makes root another user than a node's


def refused(read, path):
    try:
        read(path)
    except PermissionError:
        return True
    return False


def look(*_):
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    for pid in (str(os.getpid()), *children):
        if not os.fork():
            files = all(refused(open, f"/proc/{pid}/{name}") for name in ("environ", "mem", "maps"))
            print("refused:", files and refused(os.readlink, f"/proc/{pid}/fd/0"), flush=True)
            os._exit(0)
        os.wait()


flower_node.run_supernode = look
start.start(["--node-config", 'name="a" approval="none" sandbox="off"'])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forked messages are Linux's")
def test_its_users_programs_cannot_look_inside(tmp_path):
    """Neither into the node, which has the key, nor into its fork server."""
    home = {**os.environ, "FLWR_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOOKS], capture_output=True, text=True, timeout=HANGS, env=home
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("refused: ")]
    assert said == ["refused: True"] * 2, done


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform != "linux", reason="forked messages are Linux's")
@pytest.mark.parametrize(
    ("after", "words"),
    [("analyses run", "stopped before it had started"), ("retrying", "terminated gracefully")],
)
def test_ctrl_c_ends_all_of_it(tmp_path, after, words):
    """At the prompt, the signal goes to all of the terminal's processes."""
    log = tmp_path / "log"
    config = ["--node-config", 'name="a" approval="none" sandbox="off"']
    with log.open("wb") as output:
        node = subprocess.Popen(
            [*START, "--superlink", "127.0.0.1:1", "--port", str(free_port()), *config],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0"},
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while after not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(node.pid, signal.SIGINT)
        assert node.wait(20) in (0, 130)
        said = log.read_text()
        assert words in said
        assert "Traceback" not in said
        while processes_of(node.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(node.pid) == []
    finally:
        if processes_of(node.pid):
            os.killpg(node.pid, signal.SIGKILL)
