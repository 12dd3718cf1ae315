"""Scratch folders: where they are, and that none of an ended process stays."""

import subprocess
import tempfile

import pytest

from flame_flwr.failure import scratch_folders
from flame_flwr.failure.scratch_folders import SCRATCH, scratch_folder, temporary_folder


@pytest.fixture(autouse=True)
def anew(monkeypatch, tmp_path):
    monkeypatch.setattr(scratch_folders, "_REUSED", [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()


def test_a_killed_processs_empty_folder_is_removed_later(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    alive = subprocess.Popen(["sleep", "100"])
    made = {
        name: tmp_path / "tmp" / name
        for name in (
            f"flame-flwr-run-7-{ended.pid}-abc",
            f"flame-flwr-run-8-{ended.pid}-used",
            f"flame-flwr-run-9-{alive.pid}-abc",
            "flame-flwr-run-9-abc",
            "flame-flwr-results-1-2-x",
        )
    }
    for folder in made.values():
        folder.mkdir()
    (made[f"flame-flwr-run-8-{ended.pid}-used"] / "kept.txt").touch()
    with scratch_folder(5):
        pass
    gone = [name for name, folder in made.items() if not folder.exists()]
    assert gone == [f"flame-flwr-run-7-{ended.pid}-abc"]
    alive.kill()
    alive.wait()


def test_the_environment_may_name_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(SCRATCH, str(tmp_path))
    with scratch_folder(5), temporary_folder() as other:
        assert other.startswith(f"{tmp_path}/flame-flwr-")
        assert list(tmp_path.glob("flame-flwr-run-5-*"))
    assert list((tmp_path / "tmp").iterdir()) == []
