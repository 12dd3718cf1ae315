"""The federation of docs/containers/compose.yaml: its commands without containers, and in them.

The first needs no engine. The second builds the image and runs it where docker or podman is there;
else it says that it was not run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ports import free_port
from snippets import block

from flame_flwr.cli.connection import Connection
from flame_flwr.cli.new_app import create

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docs" / "containers" / "compose.yaml"
DOCKERFILE = (ROOT / "docs" / "containers" / "Dockerfile").read_text()
PAGE = ROOT / "docs" / "containers.md"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]


def compose_command():
    """Return the words of a ``compose`` whose engine runs here, or an empty list."""
    for engine, compose in (
        ("docker", ["docker", "compose"]),
        ("podman", ["podman", "compose"]),
        ("podman", ["podman-compose"]),
    ):
        if all(is_answered(words) for words in ([engine, "info"], [*compose, "version"])):
            return compose
    return []


def is_answered(words):
    if not shutil.which(words[0]):
        return False
    return not subprocess.run(words, capture_output=True, timeout=60).returncode


@pytest.fixture
def study(tmp_path):
    """The page's app, and the data of its two hospitals."""
    folder = create("study", "analysis", tmp_path)
    command = [sys.executable, "-m", "study.sample", str(tmp_path / "hospitals")]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return tmp_path


def table(folder):
    [file] = folder.glob("**/table.txt")
    return file.read_text()


# ---- what is written -------------------------------------------------------------------------


def test_the_image_is_pinned_labelled_and_not_roots():
    assert re.search(r"^ARG BASE=python:[\d.]+-slim-\w+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.M)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) == ["${BASE}", "${BASE}"]
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.M) == ["10001:10001"]
    for label in ("title", "description", "licenses", "base.name"):
        assert f"org.opencontainers.image.{label}=" in DOCKERFILE
    copied = re.findall(r"^COPY (?:--\S+ )?(.+) \S+$", DOCKERFILE, re.M)
    files = {name for names in copied for name in names.split()} - {"/opt/flame-flwr"}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert all((ROOT / name).exists() for name in files)
    assert {f"!{name.partition('/')[0]}" for name in files} <= set(ignored)


def test_every_service_is_of_the_image_without_rights():
    assert set(SERVICES) == {"server", "hospital-a", "hospital-b", "analyst"}
    for service in SERVICES.values():
        assert service["image"] == "flame-flwr"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "ports" not in service  # nobody outside reaches an open server
        mounts = [mount for mount in service["volumes"] if not mount.startswith("results:")]
        assert all(mount.endswith(":ro") for mount in mounts)


def test_the_page_names_the_services_and_the_file():
    for name in ("up", "submit", "down"):
        for line in block(PAGE, name).splitlines():
            if line.startswith("docker"):
                assert "flame-flwr/docs/containers/compose.yaml" in line
    assert "--profile analyst run --rm analyst\n" in block(PAGE, "submit")
    assert "exec -T server tar -C / -c results | tar -x\n" in block(PAGE, "submit")


# ---- what it does ----------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_its_commands_are_a_federation(study, tmp_path):
    port, results, home = free_port(), tmp_path / "results", tmp_path / "home"
    home.mkdir()
    connection = (ROOT / "docs" / "containers" / "config.toml").read_text()
    (home / "config.toml").write_text(connection.replace("server:8000", f"127.0.0.1:{port}"))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
    }

    def command(name, node=0):
        places = {
            "/data": f"{study}/hospitals/hospital-{node}",
            "/state": f"{tmp_path}/state-{node}",
            "/study": f"{study}/study",
            "/results": str(results),
        }
        words = SERVICES[name]["command"]
        for place, here in places.items():
            words = [re.sub(rf"(?<![\w-]){place}\b", here, word) for word in words]
        words = [word.replace("server:8000", f"127.0.0.1:{port}") for word in words]
        words = [word.replace("0.0.0.0", "127.0.0.1") for word in words]
        words = [f"--port={port}" if word == "--port=8000" else word for word in words]
        return words + ([f"--port={free_port()}"] if "node" in words else [])

    started = []
    try:
        for name, node in (("server", 0), ("hospital-a", 0), ("hospital-b", 1)):
            log = (tmp_path / f"{name}.log").open("w")
            started.append(
                subprocess.Popen(command(name, node), env=environment, stdout=log, stderr=log)
            )
            if name == "server":
                Connection("here", f"127.0.0.1:{port}", insecure=True).wait(30, print)
        done = subprocess.run(
            command("analyst"), env=environment, capture_output=True, text=True, timeout=300
        )
        logs = "\n".join(path.read_text() for path in tmp_path.glob("*.log"))
        assert done.returncode == 0, done.stdout + done.stderr + logs
        assert "hospital-a, hospital-b" in done.stdout
        assert "standard" in table(results)
    finally:
        for program in reversed(started):
            program.terminate()
        for program in started:
            program.wait(timeout=30)


@pytest.mark.exhaustive
def test_the_federation_in_containers(study, tmp_path):
    words = compose_command()
    if not words:
        pytest.skip("NOT RUN: neither docker nor podman with its compose runs here")
    compose = [*words, "--file", str(COMPOSE), "--project-name", "flame-flwr-test"]
    environment = {**os.environ, "STUDY": f"{study}/study", "HOSPITALS": f"{study}/hospitals"}

    def call(*words):
        command = [*compose, *words]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=1800)
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
        return done.stdout

    try:
        call("up", "--build", "--detach")
        assert call("exec", "-T", "server", "id", "-u").strip() == b"10001"
        assert b"completed" in call("--profile", "analyst", "run", "--rm", "analyst")
        archive = call("exec", "-T", "server", "tar", "-C", "/", "-c", "results")
        subprocess.run(["tar", "-x"], input=archive, cwd=tmp_path, check=True)
        assert "standard" in table(tmp_path / "results")
    finally:
        call("down", "--volumes")
