"""Files that are written complete or not at all."""

import os
import stat

import pytest

from flame_flwr.files import write_file

MEBIBYTE = 2**20


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_missing_folders_are_created(tmp_path):
    write_file(tmp_path / "a" / "b" / "c.txt", b"content")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"content"


def test_an_existing_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"something much longer than before")
    with path.open("rb") as reader:
        write_file(path, b"short")
        assert reader.read() == b"something much longer than before"
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_file(tmp_path / "a.txt", b"x")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_other_threads_files_stay_closed(tmp_path, monkeypatch):
    """To ask for the umask is to change it, for every thread: here one makes a file just then."""
    real, modes = os.umask, []

    def umask(mask):
        before, other = real(mask), tmp_path / "other"
        os.close(os.open(other, os.O_CREAT | os.O_WRONLY, 0o666))
        modes.append(stat.S_IMODE(other.stat().st_mode))
        other.unlink()
        return before

    before = os.umask(0o077)
    monkeypatch.setattr(os, "umask", umask)
    try:
        write_file(tmp_path / "a.txt", b"x")
    finally:
        real(before)
    assert set(modes) <= {0o600}
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o600


def test_a_full_disk_leaves_no_partial_file(tmp_path, disk_full_after):
    with disk_full_after(MEBIBYTE), pytest.raises(OSError, match="too large"):
        write_file(tmp_path / "a.bin", bytes(3 * MEBIBYTE))
    assert files_below(tmp_path) == []


def test_a_full_disk_keeps_the_old_file(tmp_path, disk_full_after):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with disk_full_after(MEBIBYTE), pytest.raises(OSError, match="too large"):
        write_file(path, bytes(3 * MEBIBYTE))
    assert files_below(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"old"


def test_a_parent_may_not_be_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises((NotADirectoryError, FileExistsError)):
        write_file(tmp_path / "a" / "b.txt", b"x")


@pytest.mark.parametrize("length", [240, 255])
def test_the_longest_names_can_be_written(tmp_path, length):
    write_file(tmp_path / ("x" * length), b"1")
    assert files_below(tmp_path) == ["x" * length]


def test_a_rename_that_fails_leaves_nothing_beside(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path / "taken", b"x")
    assert files_below(tmp_path) == []
