"""An object store as a node's data: listings, odd keys, large objects, cuts, errors, the cache.

The server is a real one, rclone's; ``make test-ceph`` runs the same tests against Ceph.
"""

import os
import socket
import stat
import time
import traceback
from dataclasses import replace
from functools import partial

import pytest
from s3_proxy import Proxy
from s3_server import KEY, SECRET, rclone

from flame_flwr.data import open_data, s3_source
from flame_flwr.data.cache import OBJECTS, Cache
from flame_flwr.data.s3_source import S3Source
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.s3.access import Access
from flame_flwr.s3.patience import Patience

QUICK = Patience(connect=1, request=2, retry=1, retries=1)
ODD = [
    "with space.csv",
    "Größe/Ünïcode.csv",
    "a&b<c>.csv",
    "quo'te\".csv",
    "100%.csv",
    "100%25.csv",
    "a+b=c;d,e.csv",
    "#h?x.csv",
    ".hidden",
    "~x/(1)!*.csv",
]


@pytest.fixture
def source(s3_server):
    """Make a source on a bucket; without one, on a new bucket with these objects."""

    def make(objects=None, prefix="", bucket=None, **access):
        cache = access.pop("cache", None)
        bucket = s3_server.bucket(objects or {}) if bucket is None else bucket
        reached = replace(s3_server.access, **access)
        return S3Source(f"s3://{bucket}/{prefix}", "data source 1", reached, cache)

    return make


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(s3_source, "PATIENCE", QUICK)
    monkeypatch.setattr(s3_source, "BRIEF", QUICK)


# ---- what is read ---------------------------------------------------------------------------


def test_a_listing_is_read_to_its_end(source):
    """A page has 1,000."""
    objects = {f"visits/{i:04}.csv": str(i).encode() for i in range(1100)}
    read = source(objects).read("s3", [])
    assert list(read) == sorted(objects)
    assert read == objects


def test_keys_are_those_below_the_prefix(s3_server, source):
    bucket = s3_server.bucket({"a/x": b"1", "a/b/y": b"2", "ab/z": b"3", "c": b"4"})
    assert source(prefix="a", bucket=bucket).read("s3", []) == {"b/y": b"2", "x": b"1"}
    assert source(prefix="a/b/", bucket=bucket).read("s3", ["y"]) == {"y": b"2"}


def test_odd_keys_and_empty_objects_are_read(source):
    objects = {key: key.encode() for key in ODD} | {"empty": b""}
    made = source(objects)
    assert made.read("s3", []) == objects
    assert [*made.read("s3", ODD).items()] == [(key, key.encode()) for key in ODD]  # in its order


@pytest.mark.skipif("FLAME_FLWR_S3" not in os.environ, reason="rclone makes a file of it")
def test_an_empty_folder_is_no_object(s3_server, source):
    """Consoles make folders as empty objects whose key ends in a slash."""
    bucket = s3_server.bucket({"a": b"1", "made/b": b"2"})
    for key in ("empty/", "made/deeper/"):
        s3_server.put_raw(bucket, key)
    assert source(bucket=bucket).read("s3", []) == {"a": b"1", "made/b": b"2"}


@pytest.mark.parametrize("key", ["../a", "/a", "a/", "./a", "x//a", "A", "nothing", "."])
def test_missing_and_impossible_keys_are_named(source, key):
    with pytest.raises(DataError) as raised:
        source({"a": b"1", "x/a": b"2"}).read("s3", ["a", key])
    assert raised.value.message == f"data source 1 has no {key!r}, which the query names"


def test_a_large_object_is_read_whole(source, monkeypatch):
    monkeypatch.setattr(s3_source, "PIECE", 2**20)
    content = os.urandom(5 * 2**20 + 17)
    assert source({"large": content, "small": b"1"}).read("s3", []) == {
        "large": content,
        "small": b"1",
    }


def test_reading_at_a_time_has_a_bound(s3_server, source):
    objects = {str(i): os.urandom(20_000) for i in range(200)}
    bucket = s3_server.bucket(objects)
    with Proxy(s3_server.endpoint) as proxy:
        assert source(bucket=bucket, endpoint=proxy.url).read("s3", []) == objects
    assert 1 < proxy.most_open <= 2 * s3_source.WORKERS  # some are just being closed


def test_the_environment_leads_to_a_store(s3_server, context, monkeypatch):
    location = f"s3://{s3_server.bucket({'a': b'1'})}"
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        open_data(location, context())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint)  # counts before the other
    data = open_data(f"{location};{location}", context())
    data.check()
    assert data.load("s3", None) == [{"a": b"1"}, {"a": b"1"}]
    assert [each["type"] for each in data.describe()] == ["s3", "s3"]
    with pytest.raises(DataError) as raised:
        open_data(f"{location}/nothing", context()).check()
    assert raised.value.detail == f"{location}/nothing on {s3_server.endpoint}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://elsewhere:9")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_S3 in the environment is http://"):
        open_data(location, context())


def test_a_wrong_variable_has_words(s3_server, source, monkeypatch):
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "md9")
    with pytest.raises(ConfigError, match="an `AWS_` variable in the environment") as raised:
        source(bucket="bucket").check()
    assert "md9" not in raised.value.message


# ---- what goes wrong ------------------------------------------------------------------------


def test_a_cut_connection_is_resumed(s3_server, source, monkeypatch):
    monkeypatch.setattr(s3_source, "PIECE", 4 * 2**20)
    objects = {"large": os.urandom(9_000_000), "small": os.urandom(3_000_000)}
    bucket = s3_server.bucket(objects)
    with Proxy(s3_server.endpoint, cut_after=1_000_000, cuts=5) as proxy:
        assert source(bucket=bucket, endpoint=proxy.url).read("s3", []) == objects
        assert proxy.cuts_left == 0


def test_five_errors_are_told_apart(source, s3_server, quick):
    bucket = s3_server.bucket({"a": b"1"})
    wrong = {
        "secret": source(bucket=bucket, secret="hunter2-secret"),
        "key": source(bucket=bucket, key_id="NOBODYSKEY", secret="hunter2-secret"),
        "bucket": source(bucket="no-such-bucket"),
        "missing": source(bucket=bucket),
        "network": source(bucket=bucket, endpoint="http://127.0.0.1:9"),
    }
    said = {}
    for name, made in wrong.items():
        calls = [partial(made.read, "s3", ["nothing"])]
        if name != "missing":
            calls += [made.check, partial(made.read, "s3", [])]
        messages = set()
        for call in calls:
            with pytest.raises(DataError) as raised:
                call()
            shown = "".join(traceback.format_exception(raised.value))
            assert "hunter2" not in shown
            assert s3_server.secret not in shown
            assert bucket not in raised.value.message
            assert "127.0.0.1" not in raised.value.message
            messages.add(raised.value.message.split(" within ")[0])
        [said[name]] = messages
    assert len(set(said.values())) == 5
    assert "has no 'nothing', which the query names" in said["missing"]
    assert "SignatureDoesNotMatch" in said["secret"]
    assert "InvalidAccessKeyId" in said["key"]
    assert "no such bucket" in said["bucket"]
    assert "no answer from the store" in said["network"]


def test_a_silent_store_is_waited_for_with_limits(source, s3_server, quick):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(DataError, match="no answer from the store within"):
            source(bucket="bucket", endpoint=url).check()
    assert time.monotonic() - started < 30


def test_nothing_below_the_prefix_is_an_error(source):
    made = source({"a": b"1"}, prefix="elsewhere")
    for call in (made.check, lambda: made.read("s3", [])):
        with pytest.raises(DataError, match="the store has no object there"):
            call()


def test_a_store_answers_no_fhir_search(source):
    with pytest.raises(DataError, match="answers no FHIR search"):
        source({"a": b"1"}).read("fhir", ["Patient"])


def test_only_its_ca_vouches_for_a_store(tmp_path, certificates, quick):
    pair = [f"--cert={certificates / 'server.crt'}", "--key", str(certificates / "server.key")]
    with rclone(tmp_path / "store", *pair) as store:
        (store.bucket / "a").write_bytes(b"1")
        access = Access(
            store.environment["AWS_ENDPOINT_URL"].replace("http:", "https:"), KEY, SECRET
        )
        known = replace(access, certificates=(certificates / "ca.crt").read_bytes())
        assert S3Source("s3://bucket", "source", known).read("s3", []) == {"a": b"1"}
        with pytest.raises(DataError, match="no trusted TLS connection to the store"):
            S3Source("s3://bucket", "source", access).check()


# ---- the cache ------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [[], ["a", "größe/b"]])
def test_the_second_process_does_not_transfer_again(s3_server, source, tmp_path, keys):
    objects = {"a": os.urandom(300_000), "größe/b": os.urandom(200_000), "empty": b""}
    bucket = s3_server.bucket(objects)
    expected = {key: objects[key] for key in keys or sorted(objects)}
    received = []
    with Proxy(s3_server.endpoint) as proxy:
        for _ in range(2):
            cache = Cache(tmp_path / "cache", 1e6)
            cache.check()
            made = source(bucket=bucket, endpoint=proxy.url, cache=cache)
            assert made.read("s3", keys) == expected
            received.append(proxy.received)
    assert received[0] > 500_000
    assert received[1] - received[0] < 10_000
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    files = list((tmp_path / "cache" / OBJECTS).iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_changed_object_is_read_anew(s3_server, source, tmp_path):
    cache = Cache(tmp_path / "cache", 1e6)
    cache.check()
    bucket = s3_server.bucket({"a": b"1"})
    made = source(bucket=bucket, cache=cache)
    assert made.read("s3", []) == {"a": b"1"}
    s3_server.put(bucket, {"a": b"2"})
    assert made.read("s3", []) == {"a": b"2"}


# ---- where the bucket stands ----------------------------------------------------------------


def test_a_bucket_in_the_hosts_name(tmp_path, monkeypatch):
    """No name server knows the host, so the request goes there as to an HTTP proxy."""
    with rclone(tmp_path / "store", "--force-path-style=false") as store:
        (store.bucket / "a").write_bytes(b"1")
        address = store.environment["AWS_ENDPOINT_URL"]
        monkeypatch.setenv("http_proxy", address)
        access = Access("http://s3.test", KEY, SECRET, virtual_host=True)
        assert S3Source("s3://bucket", "source", access).read("s3", []) == {"a": b"1"}
