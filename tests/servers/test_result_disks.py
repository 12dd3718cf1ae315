"""Results where the disk is full, read-only, in the way or gone: found at once, or nothing lost."""

import json
import pickle
import stat
import subprocess

import pytest

from flame_flwr.errors import ConfigError, StoreError
from flame_flwr.results import Outputs, RunFolder

TEXT = Outputs.declare("str", "a.txt", False)


def files(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


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
    [other] = {*temporary.iterdir()} - {saved.parent}
    assert [each.name for each in other.iterdir()] == ["run.json"]


def test_a_refused_write_names_folder_and_mend(tmp_path, record, disk_full_after):
    run = RunFolder(str(tmp_path / "results"), 1)
    record.result = "x" * 100_000
    with disk_full_after(50_000), pytest.raises(StoreError) as raised:
        run.write_success(TEXT, record, {})
    assert f"could not be written to {run.path} (" in str(raised.value)
    assert "name another folder" in str(raised.value)
    assert files(run.path) == []


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
