"""What `submit --request-approval` asks for and says; the run that asks is Flower's elsewhere."""

import re

import pytest
from flower_app import pyproject
from typer.testing import CliRunner

from flame_flwr.cli import approval_request, commands
from flame_flwr.cli.connection import SubmittedRun
from flame_flwr.results.followed_lines import ApprovalLine


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """Say `submit`; where runs are asked for, nodes answer what is given."""
    config = {"nodes": 0, "project-id": "copd"}
    text = pyproject("app", config, server="app:server", client="app:client")
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "app.py").write_text("server = client = 1\n")
    asked = []

    def submit(*more, states=(), ends=None):
        def run(app, federation, config, on_line, **_):
            asked.append(dict(config))
            for node, state in states:
                on_line(f"INFO :      {ApprovalLine(state, node)}")
            if ends is not None:
                raise ends
            return SubmittedRun("7", "finished:completed", "")

        monkeypatch.setattr(approval_request, "submit", run)
        monkeypatch.setattr("flame_flwr.cli.submit.submit", run)
        command = ["submit", str(tmp_path), "study", "--request-approval", *more]
        return CliRunner().invoke(commands._app, command), asked

    return submit


def test_to_ask_runs_nothing_else(submit):
    states = [("a", "given"), ("b", "waits")]
    done, asked = submit("--run-config", "nodes=a,b", states=states)
    assert done.exit_code == 0, done.output
    assert asked == [{"nodes": "approval of a,b"}]
    for words in ("SHA-256", "  a  has approved it", "  b  waits for approval", "1 of 2 have"):
        assert words in done.output
    assert re.search("^At b: flame-flwr node show", done.output, re.M)
    assert "--project copd --until DATE" in done.output


@pytest.mark.parametrize(
    ("wait", "seconds"), [(("--wait",), 604800), (("--wait", "90"), 90), (("--wait=5",), 5)]
)
def test_to_wait_runs_it_when_all_have_approved(submit, wait, seconds):
    done, asked = submit(*wait, "--run-config", "nodes=1", states=[("a", "waits"), ("a", "given")])
    assert done.exit_code == 0, done.output
    assert asked == [{"nodes": f"approval of 1 within {seconds} s"}, {"nodes": 1}]
    assert "run 7 completed" in done.output


def test_ctrl_c_ends_the_wait_with_words(submit):
    done, _ = submit(
        "--wait", "--run-config", "nodes=1", states=[("a", "waits")], ends=KeyboardInterrupt()
    )
    assert done.exit_code == 130
    assert "a waits for approval" in done.output
    assert done.output.splitlines()[-1].startswith("nobody waits any more. The app stays")
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("state", "words", "hint"),
    [
        ("rejected", "b has rejected it", False),
        ("expired", "b has approved it, until a day that is over", True),
        ("missing", "b was not there", False),
    ],
)
@pytest.mark.parametrize("wait", [(), ("--wait",)])
def test_a_refusal_names_its_node(submit, wait, state, words, hint):
    states = [("a", "given"), ("b", state)]
    done, asked = submit(*wait, "--run-config", "nodes=2", states=states)
    assert done.exit_code == 1
    assert f"tests/app 1.0.0 does not run: {words}" in str(done.exception)
    assert "1 of 2 have approved it" in done.output
    assert ("At b: flame-flwr node show" in done.output) == hint
    assert len(asked) == 1


def test_without_all_approvals_it_does_not_run(submit):
    done, asked = submit("--wait", "--run-config", "nodes=1", states=[("a", "waits")])
    assert "so it was not run" in str(done.exception)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [((), "whose approval? Set `nodes`"), (("--run-config", "nodes=1"), "asked no node")],
)
def test_what_cannot_be_asked_is_said(submit, more, words):
    done, _ = submit(*more)
    assert words in str(done.exception)
