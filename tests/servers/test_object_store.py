"""Results in an object store: rclone's S3 server, trials before the first round, uploads."""

import json
import logging
import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from flame_flwr.errors import ConfigError, NodeFailedError, ResultError, StoreError
from flame_flwr.object_store import Patience
from flame_flwr.results import Outputs, RoundRecord, RunFolder, RunRecord, folder

QUICK = Patience(connect=1, request=2, retry=1, retries=1)
TEXT = Outputs.declare("str", "a.txt", False)


@pytest.fixture
def record():
    return RunRecord(["a"], [RoundRecord(1, 1.5, {"a": 0.25}, {"a": 100})], 7.25, {}, 8.5, True)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, empty at the start."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def files(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_a_run_leaves_nothing_on_this_host(object_store, temporary, record):
    run = RunFolder(object_store.url, 42)
    assert run.place == f"s3://bucket/results/{run.path.name}"
    assert run.path.name.endswith("Z-42")
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700
    assert files(object_store.bucket) == []  # the trial left nothing
    (run.scratch / "sub folder").mkdir()
    (run.scratch / "sub folder" / "größe & <1> 100%.txt").write_text("scratch")
    (run.scratch / "empty").touch()
    paths = run.write_success(TEXT, record, {})
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
    assert run.where(paths[0]) == f"{run.place}/a.txt"
    assert list(temporary.iterdir()) == []


def test_a_large_file_arrives_whole(object_store, temporary, record):
    run = RunFolder(object_store.url, 1)
    record.result = os.urandom(13_000_001)
    run.write_success(Outputs.declare("bytes", "large", False), record, {})
    run.deliver()
    [there] = object_store.bucket.glob("results/*/large")
    assert there.read_bytes() == record.result


def test_a_failed_run_is_brought_there_too(object_store, temporary, record):
    run = RunFolder(object_store.url, 1)
    run.write_failure(record, {}, NodeFailedError("node a failed"))
    [there] = (object_store.bucket / "results").iterdir()
    assert files(there) == ["history.csv", "rescue.pkl", "run.json"]
    about = json.loads((there / "run.json").read_text())
    assert about["status"] == "failed"
    assert [file["name"] for file in about["other_files"]] == ["history.csv", "rescue.pkl"]
    assert list(temporary.iterdir()) == []


def test_an_unfitting_result_is_rescued_there(object_store, temporary, record):
    run = RunFolder(object_store.url, 1)
    with pytest.raises(ResultError) as raised:
        run.write_success(Outputs.declare("bytes", "a", False), record, {})
    run.write_failure(record, {}, raised.value)
    assert f"saved whole in {run.place}/rescue.pkl" in str(raised.value)
    assert list(object_store.bucket.glob("results/*/rescue.pkl"))


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


def test_a_wrong_secret(object_store, temporary, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    text = refused(object_store.url)
    assert f"cannot be written to: {object_store.url}/" in text
    assert "access denied (403 SignatureDoesNotMatch): AWS_ACCESS_KEY_ID or AWS_SECRET" in text
    assert "not-the-secret" not in text
    assert list(temporary.iterdir()) == []


def test_a_bucket_that_is_not_there(object_store):
    text = refused("s3://other/results")
    assert "404" in text
    assert f"is there a bucket other on {object_store.environment['AWS_ENDPOINT_URL']}?" in text


def test_no_server(object_store, monkeypatch):
    object_store.process.kill()
    object_store.process.wait(timeout=20)
    assert "no answer from http://127.0.0.1:" in refused(object_store.url)


def test_a_server_that_never_answers(object_store, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.upload.BRIEF", QUICK)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        text = refused(object_store.url)
    assert "within 2 s: is it running, and is AWS_ENDPOINT_URL right?" in text


def test_https_to_a_server_without_tls(object_store, monkeypatch):
    address = object_store.environment["AWS_ENDPOINT_URL"].replace("http", "https")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    assert "no trusted TLS connection" in refused(object_store.url)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_missing_key_is_said_at_once(object_store, monkeypatch, name):
    monkeypatch.delenv(name)
    started = time.monotonic()
    assert f"there is no key for it: set {name} in the environment" in refused(object_store.url)
    assert time.monotonic() - started < 2


def test_a_store_that_cannot_write_says_so(object_store):
    """A file stands where a folder is needed: rclone's server answers with an error."""
    (object_store.bucket / "results").write_text("in the way")
    assert "a trouble of its own (5" in refused(object_store.url)


# ---- after the last round -------------------------------------------------------------------


def test_a_store_gone_at_the_end_loses_nothing(
    object_store, temporary, record, monkeypatch, caplog
):
    monkeypatch.setattr(folder, "UPLOAD", QUICK)
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
    started = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode != 0
    [kept] = temporary.glob("flame-flwr-results-*/*")
    assert f"the upload was interrupted: the run's files are complete in {kept}" in output
    assert files(kept) == ["a.txt", "history.csv", "run.json"]


def test_a_gone_store_hides_no_failure(object_store, temporary, record, monkeypatch, caplog):
    monkeypatch.setattr(folder, "BRIEF", QUICK)
    run = RunFolder(object_store.url, 1)
    object_store.process.kill()
    object_store.process.wait(timeout=20)
    run.write_failure(record, {}, NodeFailedError("the reason"))
    assert files(run.path) == ["history.csv", "rescue.pkl", "run.json"]
    assert "could not be written: no answer from" in caplog.text
    assert f"complete in {run.path}" in caplog.text


def test_no_log_line_shows_a_key(object_store, temporary, record, caplog):
    with caplog.at_level(logging.DEBUG):
        run = RunFolder(object_store.url, 1)
        run.write_success(TEXT, record, {"results": object_store.url})
        run.deliver()
    everything = caplog.text + "".join(
        path.read_text() for path in object_store.bucket.rglob("*") if path.is_file()
    )
    for secret in ("secret-of-the-tests", "KEYOFTHETESTS"):
        assert secret not in everything


# ---- disks ----------------------------------------------------------------------------------


def test_a_folder_gone_loses_no_result(tmp_path, temporary, record):
    """Stands for every disk that cannot be written to any more, whoever the user is."""
    run = RunFolder(str(tmp_path / "results"), 1)
    run.scratch.rmdir()
    run.path.rmdir()
    run.path.write_text("a file in the way")
    with pytest.raises(StoreError) as raised:
        run.write_success(TEXT, record, {})
    [saved] = temporary.glob("flame-flwr-rescue-*/rescue.pkl")
    assert f"could not be written to {run.path} (" in str(raised.value)
    assert f"the result is saved whole in {saved}" in str(raised.value)
    assert stat.S_IMODE(saved.parent.stat().st_mode) == 0o700
    run.write_failure(record, {}, raised.value)  # hides nothing, raises nothing
    assert len(list(temporary.iterdir())) == 1


def test_a_refused_write_names_folder_and_mend(tmp_path, record, disk_full_after):
    run = RunFolder(str(tmp_path / "results"), 1)
    record.result = "x" * 100_000
    with disk_full_after(50_000), pytest.raises(StoreError) as raised:
        run.write_success(TEXT, record, {})
    assert f"could not be written to {run.path} (" in str(raised.value)
    assert "name another folder" in str(raised.value)
    assert files(run.path) == []


def test_results_that_cannot_be_written_leave_nothing(tmp_path, disk_full_after):
    with disk_full_after(1000), pytest.raises(ConfigError, match="files of this size are not"):
        RunFolder(str(tmp_path), 1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_temporary_folder_is_found_too(
    object_store, temporary, monkeypatch, disk_full_after
):
    with disk_full_after(1000), pytest.raises(ConfigError) as raised:
        RunFolder(object_store.url, 1)
    assert "first in this host's folder for temporary files (" in str(raised.value)
    assert list(temporary.iterdir()) == []


def test_a_run_removes_no_others_folder(tmp_path):
    runs = []

    def begin_until_two_fall_into_one_second():
        while len(runs) < 10_000:
            runs.append(RunFolder(str(tmp_path), 1))
            (runs[-1].scratch / "mine").touch()

    with pytest.raises(ConfigError, match="cannot be written to"):
        begin_until_two_fall_into_one_second()
    assert all((run.scratch / "mine").exists() for run in runs)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB; only root can have one mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "flame-flwr-test", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, timeout=20, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], timeout=20, check=True)


def test_a_full_disk_is_found_at_once(small_disk, temporary):
    (small_disk / "filler").write_bytes(bytes(220_000))
    with pytest.raises(ConfigError) as raised:
        RunFolder(str(small_disk / "results"), 1)
    assert f"cannot be written to: {small_disk}/results (" in str(raised.value)
    assert "the disk is full: free some of it, or name another folder" in str(raised.value)
    assert {path.name for path in small_disk.rglob("*")} == {"filler", "results"}


def test_a_disk_getting_full_loses_no_result(small_disk, temporary, record):
    run = RunFolder(str(small_disk), 1)
    record.result = "x" * 300_000
    with pytest.raises(StoreError, match="the disk is full: free some of it") as raised:
        run.write_success(TEXT, record, {})
    [saved] = temporary.glob("flame-flwr-rescue-*/rescue.pkl")
    assert f"the result is saved whole in {saved}" in str(raised.value)
    assert pickle.loads(saved.read_bytes()) == record.result
    run.write_failure(record, {}, raised.value)
    about = json.loads((run.path / "run.json").read_text())  # what is small still fits
    assert about["status"] == "failed"
    assert files(run.path) == ["history.csv", "run.json"]


def test_a_read_only_disk_is_found_at_once(small_disk):
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, timeout=20, check=True)
    with pytest.raises(ConfigError, match="the disk is read-only: name another folder"):
        RunFolder(str(small_disk / "results"), 1)


def test_a_folder_below_proc_is_refused(temporary):
    with pytest.raises(
        ConfigError, match="`results` in the run config cannot be written to: /proc"
    ):
        RunFolder("/proc/flame-results", 1)
    assert Path("/proc/flame-results").exists() is False
