"""Which sandbox a node takes, and what it says and does where that one does not work."""

import os
import shutil

import pytest

from flame_flwr.config import NodeSettings
from flame_flwr.node import sandbox as sandbox_module
from flame_flwr.node.sandbox import Sandbox

pytestmark = pytest.mark.skipif(
    not shutil.which("bwrap"),
    reason="bubblewrap is not installed: `make test-sandbox` installs Debian's, as root",
)


@pytest.mark.parametrize("words", ["exit 1", "echo x"])
def test_a_demanded_sandbox_that_fails_runs_nothing(
    obey, obeying_host, tmp_path, monkeypatch, words
):
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho 'no namespaces here' >&2\n{words}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(obeying_host, "sandbox", Sandbox(obeying_host._forks))
    error = obey("told['ran'] = 1", sandbox="bwrap")
    assert 'node a: the node\'s config has sandbox = "bwrap", and' in error.reason
    assert "does not work here" in error.reason
    assert obey("told['ran'] = 1", sandbox="off") == {"ran": 1}


def test_a_missing_bubblewrap_is_named(obeying_host, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "apt install bubblewrap" in Sandbox(obeying_host._forks).trouble()


@pytest.mark.parametrize("has_one", [True, False])
def test_a_node_takes_the_sandbox_it_finds(obey, obeying_host, monkeypatch, caplog, has_one):
    """Of a config that does not say; what was said is also what is done."""
    monkeypatch.setattr(sandbox_module, "has_fence", lambda: False)
    if not has_one:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    sandbox = Sandbox(obeying_host._forks)
    monkeypatch.setattr(obeying_host, "sandbox", sandbox)
    said = sandbox.announce(NodeSettings())
    assert ("run in bubblewrap's sandbox" if has_one else "run without a sandbox: ") in said
    assert ("apt install bubblewrap" in said) != has_one
    assert said in caplog.text
    told = obey("import os; told['pids'] = os.listdir('/proc')", sandbox=NodeSettings().sandbox)
    assert (str(obeying_host._forks._server.pid) not in told["pids"]) == has_one


def test_off_stays_off(obeying_host):
    said = obeying_host.sandbox.announce(NodeSettings(sandbox="off"))
    assert said == "analyses run without a sandbox: the node's config says so"
