"""S3 servers for the tests: rclone's, real ones, and how a test makes and fills buckets."""

import hashlib
import hmac
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
from ports import free_port

from flame_flwr.s3.access import Access
from flame_flwr.s3.connect import open_s3
from flame_flwr.s3.patience import LONG

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

    def put_raw(self, bucket, key):
        """Write an empty object under a key as it is, such as ``folder/``: obstore would tidy it.

        Signed by hand: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
        """
        host, path = self.endpoint.partition("://")[2], f"/{bucket}/{key}"
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        day, empty = moment[:8], hashlib.sha256(b"").hexdigest()
        headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": moment}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"PUT\n{path}\n\n{lines}\n{names}\n{empty}"
        scope = f"{day}/us-east-1/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key_of = b"AWS4" + self.secret.encode()
        for part in scope.split("/"):
            key_of = hmac.digest(key_of, part.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
        signature = hmac.digest(key_of, text.encode(), "sha256").hex()
        credential = f"Credential={self.key_id}/{scope},SignedHeaders={names}"
        headers["authorization"] = f"AWS4-HMAC-SHA256 {credential},Signature={signature}"
        httpx.put(self.endpoint + path, headers=headers, timeout=30).raise_for_status()

    def store(self, bucket):
        """Return obstore's own store."""
        return open_s3(bucket, "", self.access, LONG)

    def put(self, bucket, objects):
        """Write objects into a bucket, as a client does."""
        store = self.store(bucket)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: obstore.put(store, *item), objects.items()))
