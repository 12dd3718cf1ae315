"""``submit`` around Flower's command, which is a stand-in here: what it is told, what it says."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
from health_server import HealthServer
from ports import free_port
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.cli import submit as module
from flame_flwr.cli.colours import has_colours, without_colours
from flame_flwr.cli.submit import Federation, SubmitError, submit
from flame_flwr.errors import ConfigError

FLWR = """#!/bin/sh
cd "{fake}"
echo "$@" >>calls
case $1 in
run)
    for argument in "$@"; do
        case $argument in *.toml) cp "$argument" run-config.toml ;; esac
    done
    cat run.txt
    exit "$(cat code)"
    ;;
list) cat list.json ;;
stop) cat stop.txt; exit "$(cat code)" ;;
esac
"""
PYPROJECT = """
[tool.flwr.app.components]
serverapp = "a:b"
clientapp = "a:c"
[tool.flwr.app.config]
project-id = "p"
checkpoint = ""
resume = false
results = ""
[tool.flwr.app.config.mine]
note = ""
"""
STARTED = "\x1b[32mSuccessfully started run 77\x1b[0m\n"
COLOURED = (
    "\x1b[92mINFO \x1b[0m:      round 1: 2 of 2 nodes\n"
    "\x1b[36m(ClientAppActor pid=7)\x1b[0m \x1b[1;38;5;9mwarned\x1b[m\x1b[K\n"
    "\x1b]8;;https://docs.ray.io\x07Ray\x1b]8;;\x07 says so\n"
)
PLAIN = [
    "Successfully started run 77",
    "INFO :      round 1: 2 of 2 nodes",
    "(ClientAppActor pid=7) warned",
    "Ray says so",
]


class Fake:
    """A folder with an app, Flower's home, and a ``flwr`` that says what it is told to say."""

    def __init__(self, folder, port):
        self.folder = folder
        self.app = folder / "app"
        self.app.mkdir()
        (self.app / "pyproject.toml").write_text(PYPROJECT)
        (folder / "config.toml").write_text(
            f'[superlink.there]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        )
        (folder / "flwr").write_text(FLWR.format(fake=folder))
        (folder / "flwr").chmod(0o755)
        self.place = Federation("there", {"FLWR_HOME": str(folder)})
        self.says(STARTED + COLOURED)
        self.ends("finished:completed")

    def says(self, text, code=0):
        (self.folder / "run.txt").write_text(text)
        (self.folder / "code").write_text(str(code))

    def ends(self, status, details=""):
        run = {"status": status, "status-details": details}
        self.answers(json.dumps({"success": True, "runs": [run]}))

    def answers(self, text):
        (self.folder / "list.json").write_text(text)

    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def submit(self, run_config=None, wait=0.0):
        lines = []
        run = submit(self.app, self.place, run_config, on_line=lines.append, wait=wait)
        return run, lines


@pytest.fixture
def superlink():
    server = HealthServer()
    with server:
        yield server


@pytest.fixture
def fake(tmp_path, superlink, monkeypatch):
    before = module.program_environment

    def environment(more):
        found = before(more)
        return {**found, "PATH": os.pathsep.join([str(tmp_path), found["PATH"]])}

    monkeypatch.setattr(module, "program_environment", environment)
    return Fake(tmp_path, superlink.port)


def test_the_run_config_travels_in_a_file(fake):
    texts = {"project-id": 2024, "mine.note": 'say "hi" \\ 😀\n\x7f = #'}
    run, _ = fake.submit(texts)
    assert run.succeeded
    read = tomllib.loads((fake.folder / "run-config.toml").read_text("utf-8"))
    assert read == {"project-id": "2024", "mine": {"note": 'say "hi" \\ 😀\n\x7f = #'}}
    [first, second] = fake.calls()
    assert first.startswith(f"run {fake.app} there --stream --run-config ")
    assert not os.path.exists(first.rpartition(" ")[2])
    assert second == "list there --run-id 77 --format json"


def test_a_later_log_line_changes_no_run_id(fake):
    fake.says(f"{STARTED}node-1 failed: Successfully started run 12\n", code=1)
    run, _ = fake.submit()
    assert run.run_id == "77"
    assert fake.calls()[-1] == "list there --run-id 77 --format json"


def test_a_wrong_key_is_refused_before_submitting(fake):
    for wrong in ({"project_id": "x"}, {"resume": "maybe"}):
        with pytest.raises(ConfigError):
            fake.submit(wrong)
    with pytest.raises(ConfigError, match="did you mean 'there'"):
        submit(fake.app, Federation("their", fake.place.environment))
    assert fake.calls() == []


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {}, True),
    ],
)
def test_colours_are_for_terminals(fake, monkeypatch, terminal, environment, coloured):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert has_colours() is coloured
    _, lines = fake.submit()
    assert lines == ((STARTED + COLOURED).splitlines() if coloured else PLAIN)


def test_without_colours_leaves_the_rest_alone():
    text = "a [1] ünï 😀 \\x1b[0m \t100 %"
    assert without_colours(text) == text
    assert without_colours(f"\x1b[2J\x1b[1;1H{text}\x1b[0m\x1bM") == text


def gone(fake, superlink, run_config):
    """Submit to a SuperLink that ends during the run, and return what is said of it."""
    fake.says(STARTED + "\x1b[31mError: Connection to the SuperLink is unavailable\x1b[0m\n", 1)

    def follow(line):
        if "unavailable" in line:
            superlink.stop()

    with pytest.raises(SubmitError) as raised:
        submit(fake.app, fake.place, run_config, on_line=follow, wait=0)
    return str(raised.value)


@pytest.mark.parametrize("checkpoint", ["/srv/halta.checkpoint", "s3://bucket/halta"])
def test_a_lost_superlink_names_the_checkpoint(fake, superlink, checkpoint):
    said = gone(fake, superlink, {"checkpoint": checkpoint})
    assert said.startswith("run 77: the SuperLink 127.0.0.1:")
    assert f"its checkpoint is {checkpoint}" in said
    assert "--run-config resume=true" in said
    assert "`flwr log 77 there` follows it" in said
    assert "{" not in said


def test_a_lost_superlink_without_checkpoint(fake, superlink):
    assert "a folder of its own below /srv/results on the server's host" in gone(
        fake, superlink, {"results": "/srv/results"}
    )


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({"success": False, "error-message": "Listing\n\n[code: 9] Run ID not found.\n"}),
        "",
        "no JSON at all",
        "[1]",
        '{"success": true, "runs": []}',
        '{"success": false}',
    ],
)
def test_a_superlink_that_forgot_the_run(fake, answer):
    fake.answers(answer)
    with pytest.raises(SubmitError) as raised:
        fake.submit({"checkpoint": "/srv/c"})
    said = str(raised.value)
    assert said.startswith("run 77: the SuperLink does not say how it ended (")
    assert "its checkpoint is /srv/c" in said
    assert "error-message" not in said
    if "Run ID" in answer:
        assert "([code: 9] Run ID not found.)" in said


def test_a_run_failed_with_its_superlink(fake):
    fake.says(STARTED, code=1)
    fake.ends("finished:failed", "heartbeat lost")
    run, _ = fake.submit({"checkpoint": "/srv/c"})
    assert not run.succeeded
    assert run.details.startswith("heartbeat lost; its checkpoint is /srv/c; when the SuperLink")
    fake.says(STARTED)  # its log came to its end: the run itself has failed
    assert fake.submit({"checkpoint": "/srv/c"})[0].details == "heartbeat lost"


def stopped(fake, times=1):
    """Interrupt a run as it starts, and once more where it is being stopped; return the lines."""
    lines = []

    def follow(line):
        lines.append(line)
        if len([each for each in lines if "Successfully" in each or "stopping" in each]) <= times:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit(fake.app, fake.place, on_line=follow, wait=0)
    return lines


@pytest.mark.parametrize(("code", "times", "told"), [(0, 1, False), (1, 1, True), (0, 2, True)])
def test_a_run_perhaps_not_stopped_is_named(fake, code, times, told):
    fake.says(STARTED, code)
    (fake.folder / "stop.txt").write_text("\x1b[31mError: [code: 7] it is gone\x1b[0m\n")
    lines = stopped(fake, times)
    assert lines[:2] == ["Successfully started run 77", "stopping run 77"]
    assert ("run 77 may go on: `flwr stop 77 there` stops it" in lines) is told
    assert ("Error: [code: 7] it is gone" in lines) is bool(code)
    assert ("stop 77 there" in fake.calls()) is (times == 1)


def test_a_broken_pipe_stops_the_run(fake):
    def follow(line):
        raise BrokenPipeError

    (fake.folder / "stop.txt").touch()
    with pytest.raises(BrokenPipeError):
        submit(fake.app, fake.place, on_line=follow, wait=0)
    assert fake.calls()[-1] == "stop 77 there"


PROGRAM = """
import sys
from flame_flwr.cli import commands as cli
from flame_flwr.cli import submit
before, path = submit.program_environment, sys.argv[1] + ":/usr/bin:/bin"
submit.program_environment = lambda more: {**before(more), "PATH": path}
sys.argv = sys.argv[2:]
cli.main()
"""


def test_an_emoji_ends_no_run(fake):
    fake.says(STARTED + "😀\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, fake.folder, "flame-flwr", "submit", fake.app, "there"],
        env={**os.environ, "FLWR_HOME": str(fake.folder), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "\\U0001f600" in done.stdout.splitlines()


def test_submit_waits_as_long_as_told(fake, monkeypatch):
    monkeypatch.setenv("FLWR_HOME", str(fake.folder))
    command = ["submit", str(fake.app), "there", "--run-config", "project-id=007"]
    done = CliRunner().invoke(commands._app, command, catch_exceptions=False)
    assert "run 77 completed" in done.output
    assert "\x1b" not in done.output
    assert tomllib.loads((fake.folder / "run-config.toml").read_text()) == {"project-id": "007"}
    (fake.folder / "config.toml").write_text(
        f'[superlink.there]\naddress = "127.0.0.1:{free_port()}"\ninsecure = true\n'
    )
    done = CliRunner().invoke(commands._app, [*command, "--wait", "0.4"])
    assert isinstance(done.exception, SubmitError)
    assert "waiting up to 0.4 s" in done.output
    assert "after 0.4 s" in str(done.exception)
