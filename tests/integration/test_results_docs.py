"""The commands of ``docs/results-store.md`` and ``results.md``, as they stand but for places."""

import datetime
import ipaddress
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import snippets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hanging import HANGS
from ports import free_port

from flame_flwr.errors import ConfigError
from flame_flwr.results import Outputs, RunFolder, RunRecord

ROOT = Path(__file__).parents[2]
DAY = "2026-11-21"


def block(name, file="docs/results-store.md"):
    return snippets.block(ROOT / file, name)


def certify(folder):
    """Write a CA and a certificate for 127.0.0.1."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the tests")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store of the tests")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for file, subject, public, extension in (
        ("ca.crt", ca_name, ca_key.public_key(), x509.BasicConstraints(True, None)),
        ("server.crt", name, key.public_key(), address),
    ):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        (folder / file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.key").write_bytes(private)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Turn the page's places into those of the test."""
    ports = {"9000": str(free_port()), "9443": str(free_port())}
    for name in [name for name in os.environ if name.startswith(("AWS_", "RCLONE_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "etc").mkdir()
    certify(tmp_path / "etc")
    monkeypatch.setenv("RCLONE_CONFIG", os.devnull)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def place(text):
        text = text.replace("/srv/", f"{tmp_path}/srv/").replace("/etc/flame", f"{tmp_path}/etc")
        text = text.replace("superlink.example.org", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        for port, free in ports.items():
            text = text.replace(f":{port}", f":{free}")
        return text.replace("=ca.crt", f"={tmp_path}/etc/ca.crt")

    return place


def variables(text):
    """Return what a file of environment variables says, as a shell and systemd read it."""
    return dict(line.partition("=")[::2] for line in shlex.split(text))


def shell(script, cwd):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )


def serve(script, environment, log):
    """Start a store and wait until it listens."""
    port = int(re.search(r"127\.0\.0\.1:(\d+)", script)[1])
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {script.strip()}"],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    process.kill()
    raise TimeoutError(log.read_text())


@pytest.fixture
def stores(here, tmp_path):
    made = shell(here(block("folders")), tmp_path)
    assert made.returncode == 0, made.stderr
    processes = []
    try:
        for name in ("store", "analysts"):
            environment = variables(block(f"/etc/flame/{name}.env"))
            log = tmp_path / f"{name}.log"
            processes.append(serve(here(block(name)), environment, log))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=20)


def test_an_analyst_fetches_what_the_superlink_writes(stores, here, tmp_path, monkeypatch):
    for name, value in variables(here(block("/etc/flame/superlink.env"))).items():
        monkeypatch.setenv(name, value)
    run = RunFolder("s3://study/ages", 5)
    run.write_success(Outputs.declare("str", "ages.txt", False), RunRecord(result=59.6), {})
    run.deliver()
    for name in variables(block("/etc/flame/superlink.env")):
        monkeypatch.delenv(name)

    commands = here(block("analyst")).replace(DAY, run.path.name)
    done = shell(commands, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completed" in done.stdout
    assert (tmp_path / "fetched" / run.path.name / "ages.txt").read_text() == "59.6"
    exports, _ = commands.split("flame-flwr", 1)
    for name, value in re.findall(r"(AWS_\w+)=(\S+)", exports):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"a trouble of its own \(5"):  # analysts only read
        RunFolder("s3://study/ages", 6)
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(ConfigError, match="no trusted TLS connection"):
        RunFolder("s3://study/ages", 6)


def test_the_commands_for_results(here, tmp_path):
    run = RunFolder(str(tmp_path / "results"), 5)
    run.write_success(Outputs.declare("str", "ages.txt", False), RunRecord(result=59.6), {})
    script = block("results", "docs/results.md").replace("/tmp/", f"{tmp_path}/")
    done = shell(script.replace(DAY, run.path.name), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "fetched" / run.path.name / "ages.txt").read_text() == "59.6"


def test_the_examples_days_are_those_replaced():
    for text in (block("analyst"), block("results", "docs/results.md")):
        assert text.count(DAY) == 1


def test_every_error_in_the_table_is_real():
    code = "".join(
        (ROOT / "flame_flwr" / name).read_text()
        for name in (
            *("s3/access.py", "s3/connect.py", "s3/error_messages.py", "s3/location.py"),
            *("object_store.py", "results/upload.py", "results/fetch.py"),
        )
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    page = (ROOT / "docs/results-store.md").read_text()
    rows = re.findall(r"^\| (.+?) \| .+ \|$", page.split("| the error says |")[1], re.M)[1:]
    assert len(rows) == 9
    for row in rows:
        for words in re.split(r"\.\.+|, |\(\d+|^a file ", row):
            assert words.strip(" )") in code, words
