"""Results in an object store: rclone's S3 server, trials before the first round, uploads."""

import json
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from flame_flwr.errors import ConfigError, NodeFailedError, ResultError, StoreError
from flame_flwr.object_store import Patience
from flame_flwr.results import Outputs, RunFolder, run_folder
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.watch.watched_runs import WatchedRuns

QUICK = Patience(connect=1, request=2, retry=1, retries=1)
TEXT = Outputs.declare("str", "a.txt", False)


def files(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_a_run_leaves_nothing_on_this_host(object_store, temporary, record, caplog):
    caplog.set_level(logging.DEBUG)
    run = RunFolder(object_store.url, 42)
    assert run.place == f"s3://bucket/results/{run.path.name}"
    assert run.path.name.endswith("Z-42")
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700
    assert files(object_store.bucket) == []  # the trial left nothing
    (run.scratch / "sub folder").mkdir()
    (run.scratch / "sub folder" / "größe & <1> 100%.txt").write_text("scratch")
    (run.scratch / "empty").touch()
    paths = run.write_success(TEXT, record, {"results": object_store.url})
    run.deliver()
    there = object_store.bucket / "results" / run.path.name
    assert files(there) == [
        "a.txt",
        "history.csv",
        "run.json",
        "scratch/empty",
        "scratch/sub folder/größe & <1> 100%.txt",
    ]
    assert (there / "a.txt").read_text() == "8.5"
    assert (there / "scratch/sub folder/größe & <1> 100%.txt").read_text() == "scratch"
    assert run.address(paths[0]) == f"{run.place}/a.txt"
    assert list(temporary.iterdir()) == []
    written = "".join(path.read_text() for path in there.rglob("*") if path.is_file())
    for secret in ("secret-of-the-tests", "KEYOFTHETESTS"):
        assert secret not in caplog.text + written


def test_a_run_is_seen_under_way(object_store, temporary, record):
    run = RunFolder(object_store.url, 42)
    times = iter(range(0, 10_000, 20))
    watched = WatchedRuns(object_store.url, clock=lambda: next(times))
    assert watched.runs() == []
    with with_callbacks(record, *run.live()):
        until = time.monotonic() + 30
        while not (seen := watched.runs()):
            assert time.monotonic() < until
        assert [(each.name, each.status) for each in seen] == [(run.path.name, "running")]
    run.write_success(TEXT, record, {})
    run.deliver()
    there = object_store.bucket / "results" / run.path.name
    assert files(there) == ["a.txt", "history.csv", "run.json"]
    assert watched.runs()[0].status == "completed"
    assert b"".join(watched.content(run.path.name, "a.txt")) == b"8.5"


def test_a_large_file_arrives_whole(object_store, temporary, record):
    run = RunFolder(object_store.url, 1)
    record.result = os.urandom(13_000_001)
    run.write_success(Outputs.declare("bytes", "large", False), record, {})
    run.deliver()
    [there] = object_store.bucket.glob("results/*/large.bin")
    assert there.read_bytes() == record.result


def test_a_failed_run_is_brought_there_too(object_store, temporary, record):
    run = RunFolder(object_store.url, 1)
    with pytest.raises(ResultError) as raised:  # it does not fit
        run.write_success(Outputs.declare("bytes", "a", False), record, {})
    run.write_failure(record, {}, raised.value)
    assert f"saved whole in {run.place}/rescue.pkl" in str(raised.value)
    [there] = (object_store.bucket / "results").iterdir()
    assert files(there) == ["history.csv", "rescue.pkl", "run.json"]
    about = json.loads((there / "run.json").read_text())
    assert about["status"] == "failed"
    assert [file["name"] for file in about["other_files"]] == ["history.csv", "rescue.pkl"]
    assert list(temporary.iterdir()) == []


def test_links_are_not_followed_and_stay_here(object_store, temporary, record, tmp_path, caplog):
    (tmp_path / "secret").write_text("not for the store")
    run = RunFolder(object_store.url, 1)
    (run.scratch / "link").symlink_to(tmp_path / "secret")
    (run.scratch / "new\nline").write_text("x")
    run.write_success(TEXT, record, {})
    run.deliver()
    assert files(object_store.bucket / "results" / run.path.name) == [
        "a.txt",
        "history.csv",
        "run.json",
    ]
    assert f"2 files that are links, or whose names no store takes, are left in {run.path}" in (
        caplog.text
    )
    assert (run.scratch / "link").is_symlink()


# ---- before the first round -----------------------------------------------------------------


def refused(url):
    started = time.monotonic()
    with pytest.raises(ConfigError) as raised:
        RunFolder(url, 1)
    assert time.monotonic() - started < 30
    text = str(raised.value)
    assert text.startswith("`results` in the run config")
    assert "secret-of-the-tests" not in text
    return text


WRONG = [
    ("AWS_SECRET_ACCESS_KEY", "not-the-secret", "access denied (403 SignatureDoesNotMatch): AWS_A"),
    ("AWS_ACCESS_KEY_ID", "NOBODY", "access denied (403 InvalidAccessKeyId): AWS_ACCESS_KEY_ID or"),
    ("AWS_ACCESS_KEY_ID", "", "no key for it: set AWS_ACCESS_KEY_ID in the environment"),
    ("AWS_SECRET_ACCESS_KEY", "", "no key for it: set AWS_SECRET_ACCESS_KEY in the environment"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "no answer from http://127.0.0.1:9 within"),
    ("AWS_ENDPOINT_URL", "https://{host}", "no trusted TLS connection to https://127.0.0.1:"),
]


@pytest.mark.parametrize(("variable", "value", "said"), WRONG)
def test_a_wrong_environment_is_said_at_once(
    object_store, temporary, monkeypatch, variable, value, said
):
    host = object_store.environment["AWS_ENDPOINT_URL"].partition("://")[2]
    monkeypatch.setenv(variable, value.format(host=host))
    text = refused(object_store.url)
    assert said in text
    assert "not-the-secret" not in text
    assert list(temporary.iterdir()) == []


def test_a_missing_bucket_is_named(object_store):
    text = refused("s3://other/results")
    store = object_store.environment["AWS_ENDPOINT_URL"]
    assert "s3://other/results" in text
    assert f"{store} has no such bucket (404" in text


def test_a_server_that_never_answers(object_store, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.upload.BRIEF", QUICK)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        text = refused(object_store.url)
    assert "within 2 s: is it running, are AWS_ENDPOINT_URL and AWS_REGION right" in text


def test_a_store_that_cannot_write_says_so(object_store):
    """A file stands where a folder is needed: rclone's server answers with an error."""
    (object_store.bucket / "results").write_text("in the way")
    assert "a trouble of its own (5" in refused(object_store.url)


# ---- after the last round -------------------------------------------------------------------


def test_a_store_gone_at_the_end_loses_nothing(
    object_store, temporary, record, monkeypatch, caplog
):
    monkeypatch.setattr(run_folder, "UPLOAD", QUICK)
    run = RunFolder(object_store.url, 1)
    run.write_success(TEXT, record, {})
    object_store.process.kill()
    object_store.process.wait(timeout=20)
    with pytest.raises(StoreError) as raised:
        run.deliver()
    text = str(raised.value)
    assert f"{object_store.url}/{run.path.name}/a.txt could not be written: no answer from" in text
    assert f"the run's files are complete in {run.path} on the server's host" in text
    assert files(run.path) == ["a.txt", "history.csv", "run.json"]
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700
    assert json.loads((run.path / "run.json").read_text())["status"] == "completed"
    assert run.place == str(run.path)


def test_a_store_that_comes_back_gets_it(object_store, temporary, record):
    run = RunFolder(object_store.url, 1)
    run.write_success(TEXT, record, {})
    object_store.process.kill()
    object_store.process.wait(timeout=20)
    later = threading.Timer(1.5, lambda: again.append(subprocess.Popen(object_store.process.args)))
    again = []
    later.start()
    try:
        run.deliver()
        later.join()
    finally:
        for process in again:
            process.kill()
            process.wait(timeout=20)
    there = object_store.bucket / "results" / run.path.name
    assert files(there) == ["a.txt", "history.csv", "run.json"]
    assert list(temporary.iterdir()) == []


INTERRUPTED = """
import sys, tempfile
from flame_flwr.results import Outputs, RunFolder, RunRecord
from flame_flwr.log import show
tempfile.tempdir = sys.argv[1]
show()
run = RunFolder("s3://bucket/results", 1)
run.write_success(Outputs.declare("str", "a.txt", False), RunRecord(result=8.5), {})
print("written", flush=True)
sys.stdin.readline()
run.deliver()
"""


def test_ctrl_c_ends_an_upload_keeping_the_run(object_store, temporary):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(temporary)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "written\n"
    object_store.process.send_signal(signal.SIGSTOP)  # takes connections and never answers
    process.stdin.write("\n")
    process.stdin.flush()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    [kept] = temporary.glob("flame-flwr-results-*/*")
    assert f"the upload was interrupted: the run's files are complete in {kept}" in output
    assert files(kept) == ["a.txt", "history.csv", "run.json"]


def test_a_gone_store_hides_no_failure(object_store, temporary, record, monkeypatch, caplog):
    monkeypatch.setattr(run_folder, "BRIEF", QUICK)
    run = RunFolder(object_store.url, 1)
    object_store.process.kill()
    object_store.process.wait(timeout=20)
    run.write_failure(record, {}, NodeFailedError("the reason"))
    assert files(run.path) == ["history.csv", "rescue.pkl", "run.json"]
    assert "could not be written: no answer from" in caplog.text
    assert f"complete in {run.path}" in caplog.text
