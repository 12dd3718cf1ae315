"""What the node's data service answers and refuses a message's process, and what it keeps."""

import os
import threading
import time

import httpx
import pytest

from flame_flwr.data import served_data
from flame_flwr.data.s3_source import S3Source
from flame_flwr.node import fetched_data
from flame_flwr.node.data_service import DataService
from flame_flwr.node.fetched_data import FetchedData, Spool
from flame_flwr.node.wire import WireError


@pytest.mark.parametrize(
    "question",
    [
        {"ask": "read", "opened": "s3", "source": 1, "kind": "s3", "keys": [], "bucket": "other"},
        {"ask": "get", "opened": "s3", "source": 1, "url": "x", "headers": [], "method": "POST"},
        {"ask": "get", "opened": "s3", "source": 1, "url": "x", "headers": []},  # no FHIR server
        {"ask": "read", "opened": "s3", "source": 2, "kind": "s3", "keys": []},  # a folder
        {"ask": "read", "opened": "s3", "source": 3, "kind": "s3", "keys": []},  # nothing
        {"ask": "read", "opened": "s3", "source": -1, "kind": "s3", "keys": []},
        {"ask": "read", "opened": "csv", "source": 1, "kind": "s3", "keys": []},
        {"ask": "read", "opened": "s3", "source": True, "kind": "s3", "keys": []},
        {"ask": "read", "opened": "s3", "source": 1, "kind": ["s3"], "keys": []},
        {"ask": "read", "opened": "s3", "source": 1, "kind": "s3", "keys": [["a"]]},
        {"ask": "read", "opened": "s3", "source": 1, "kind": "s3", "keys": ["a" * 200_000]},
        {"ask": "run", "opened": "s3"},
        {"ask": ["read"]},
    ],
)
def test_other_questions_are_refused(context, store, source_keys, tmp_path, question):
    data = f"s3://{store.server.bucket()};{tmp_path}"
    with pytest.raises(WireError, match="question"):
        DataService().for_message(context({"data": data})).answer(question)


def test_what_is_too_large_is_refused(context, fhir, source_keys, tmp_path):
    (tmp_path / "token").write_text(fhir.token)
    (tmp_path / "datasets.toml").write_text(
        f'[[dataset]]\nname = "n"\ntype = "fhir"\nprojects = ["*"]\nurl = "{fhir.url}"\n'
        f'max-mb = 0.01\ntoken = {{ file = "{tmp_path / "token"}" }}\n'
    )
    data = DataService().for_message(context({"datasets": str(tmp_path / "datasets.toml")}))
    of = {"opened": "fhir", "source": 1}
    for question in (
        {"ask": "get", "url": f"{fhir.base}/Patient?_count=600", "headers": [], **of},
        {"ask": "read", "kind": "fhir", "keys": ["Patient?_count=600"], **of},
    ):
        kind, message, _ = data.answer(question).header["error"]
        assert kind == "DataError"
        assert "is larger than 0.01 MB" in message


def test_a_slow_source_is_given_up_in_time(context, source_keys, monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(S3Source, "fetch", lambda *_: waiting.wait(60))
    data = DataService().for_message(context({"data": "s3://bucket"}), seconds=0.1)
    question = {"ask": "read", "opened": "s3", "source": 1, "kind": "s3", "keys": []}
    began = time.monotonic()
    _, message, _ = data.answer(question).header["error"]
    assert time.monotonic() - began < 30
    assert message == (
        "data source 1: the node could not read it in the time that a message may take"
    )
    waiting.set()


def test_only_some_headers_are_passed_on(context, fhir, source_keys, monkeypatch):
    seen = []
    monkeypatch.setattr(
        httpx.Client, "stream", lambda self, method, url, headers: seen.append((method, headers))
    )
    data = DataService().for_message(context({"data": fhir.url}))
    headers = [["Accept", "text/html"], ["X-HTTP-Method-Override", "DELETE"], ["Cookie", "a"]]
    question = {"ask": "get", "opened": "fhir", "source": 1, "url": f"{fhir.base}/Patient"}
    data.answer({**question, "headers": headers})
    assert seen == [("GET", {"Accept": "text/html"})]


def test_what_was_read_is_kept_for_a_while(tmp_path):
    kept = FetchedData(seconds=1)
    spool = Spool(str(tmp_path))
    assert kept.keep(1, "query", ({"a": [spool.write(b"12")]}, spool))
    assert kept.get(1, "query")[0] == {"a": [(0, 2)]}
    with served_data.Served({}, spool.open()) as served:
        assert served.contents([(0, 2)]) == [b"12"]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(served.file, b"3")
    deadline = time.monotonic() + 20
    while not spool._file.closed and time.monotonic() < deadline:  # a use begins the time anew
        time.sleep(0.02)
    assert spool._file.closed
    assert kept.get(1, "query") is None
    kept.close()


def test_no_more_is_kept_than_may_be(tmp_path):
    kept, spools = FetchedData(), []
    for run in range(fetched_data.MOST_RUNS + 2):
        for query in range(fetched_data.MOST_QUERIES + 1):
            spools.append(Spool(str(tmp_path)))
            was = kept.keep(run, query, ({}, spools[-1]))
            assert was == (query < fetched_data.MOST_QUERIES)
            if not was:
                spools[-1].close()
    still = [spool for spool in spools if not spool._file.closed]
    assert len(still) == fetched_data.MOST_RUNS * fetched_data.MOST_QUERIES
    kept.close()
    assert all(spool._file.closed for spool in still)


def test_a_full_disk_says_so(context, store, source_keys, tmp_path, disk_full_after):
    """And what other runs have read makes room first."""
    bucket = store.server.bucket({"a": bytes(100_000)})
    fetched, other = FetchedData(), Spool("")
    fetched.keep(-1, "query", ({}, other))
    config = {"data": f"s3://{bucket}", "state-dir": str(tmp_path / "state")}
    data = DataService(fetched).for_message(context(config))
    question = {"ask": "read", "opened": "s3", "source": 1, "kind": "s3", "keys": []}
    with disk_full_after(50_000):
        kind, message, _ = data.answer(question).header["error"]
    assert other._file.closed
    assert kind == "DataError"
    assert message.startswith("File too large: data source 1: the node cannot keep what it reads")
    assert str(tmp_path) not in message


def test_a_large_part_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(served_data, "_PIECE", 1000)
    spool, contents = Spool(str(tmp_path)), [os.urandom(size) for size in (0, 999, 1000, 25_001)]
    parts = [spool.write(content) for content in contents]
    with served_data.Served({}, spool.open()) as served:
        assert served.contents(parts) == contents
    spool.close()
