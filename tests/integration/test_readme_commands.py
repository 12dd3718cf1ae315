"""The commands of the pages on running it, as they stand but for ports and folders; the demo."""

import os
import subprocess
import sys
from pathlib import Path

import forked_flower
import pytest
import snippets
from ports import free_port

from flame_flwr.cli.connection import Connection

ROOT = Path(__file__).parents[2]
EXPECTED = "5 patients, 59.6 years on average, deviation 8.3"
pytestmark = pytest.mark.simulation


PAGES = [ROOT / "docs" / "first-analysis.md", ROOT / "docs" / "run.md"]


def block(name):
    return [each.text for page in PAGES for each in snippets.blocks(page) if each.name == name]


@pytest.fixture
def app(tmp_path):
    """The README's app, two hospitals' files, and a Flower home of its own."""
    for name in ("ages.py", "pyproject.toml"):
        (tmp_path / "app").mkdir(exist_ok=True)
        (tmp_path / "app" / name).write_text(block(name)[0])
    for i, ages in enumerate(("54\n61", "47\n70\n66")):
        (tmp_path / f"hospital-{i}").mkdir()
        (tmp_path / f"hospital-{i}" / "patients.csv").write_text(f"age\n{ages}\n")
    (tmp_path / "home").mkdir()
    return tmp_path


def environment(app):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    return {
        **os.environ,
        **quiet,
        **forked_flower.REAL,
        "FLWR_HOME": str(app / "home"),
        "PATH": path,
    }


def shell(app, script):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("/tmp/", f"{app}/")],
        cwd=app / "app",
        env=environment(app),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def result(app):
    [file] = (app / "results").glob("*/ages.txt")
    return file.read_text()


def test_a_script_as_it_is(app):
    done = shell(app, block("run")[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[node-1, round 1] 3 patients with an age" in done.stdout
    assert (app / "app" / "results" / "ages.txt").read_text() == EXPECTED


@pytest.mark.exhaustive
def test_a_new_app_and_a_check_of_it(app):
    """``unit/cli/test_new_app.py`` has the commands, ``test_new_apps.py`` a check of an app."""
    done = shell(app, block("new")[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (app / "app" / "my_study" / "pyproject.toml").exists()
    assert "nothing found" in done.stdout


def test_flwr_run(app, federation):
    home = Path(federation.environment["FLWR_HOME"]) / "config.toml"
    local = home.read_text().replace("superlink.own", "superlink.local")
    (app / "home" / "config.toml").write_text(local)
    done = shell(app, block("simulation")[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert result(app) == EXPECTED


@pytest.mark.exhaustive
def test_submit_to_a_simulation_of_its_own(app):
    """``test_submit.py`` has the command, and the README's app runs by ``flwr run`` above."""
    done = shell(app, block("simulation")[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completed" in done.stdout
    assert result(app) == EXPECTED


def test_a_deployment_of_two_supernodes(app):
    """A third deployment: it is the README's own commands, which start everything."""
    port, ports = free_port(), {text: free_port() for text in ("9094", "9095")}
    config = block("config.toml")[0].replace("8000", str(port))
    (app / "home" / "config.toml").write_text(config)
    script = block("deployment")[0].replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    for text, free in ports.items():
        script = script.replace(text, str(free))
    start, submit = script.rsplit("flame-flwr submit", 1)
    start = start.replace("--insecure --dis", f"--insecure --host 127.0.0.1 --port {port} --dis")
    servers = []
    try:
        for command in start.replace("\\\n", " ").replace("/tmp/", f"{app}/").split("&\n"):
            if command.strip():
                log = (app / f"server{len(servers)}.log").open("w")
                servers.append(
                    subprocess.Popen(
                        ["bash", "-c", f"exec {command}"],
                        env=environment(app),
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
                if len(servers) == 1:
                    Connection("here", f"127.0.0.1:{port}", insecure=True).wait(30, print)
        done = shell(app, "flame-flwr submit" + submit)
        logs = "\n".join(path.read_text() for path in sorted(app.glob("server*.log")))
        assert done.returncode == 0, done.stdout + done.stderr + logs
        assert result(app) == EXPECTED
        assert "[hospital-b, round 1] 3 patients with an age" in (app / "server2.log").read_text()
    finally:
        for server in reversed(servers):
            server.terminate()
        for server in servers:
            server.wait(timeout=30)


def test_the_demo_prints_what_the_readme_shows(demo):
    [shown] = snippets.texts(ROOT / "README.md", "text", name="")
    for line in shown.splitlines():
        assert line in demo
    files = [Path(line.strip()) for line in demo.splitlines()[-4:]]
    assert [file.suffix for file in files] == [".png", ".txt", ".png", ".png"]
    assert all(file.stat().st_size > 1000 for file in files)
