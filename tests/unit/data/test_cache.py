"""The cache of what was read from a store: size, rights, files that are not whole."""

import os
import stat
import time

import pytest

from flame_flwr.data.cache import Cache
from flame_flwr.errors import ConfigError


@pytest.fixture
def cache(tmp_path):
    made = Cache(tmp_path / "deep" / "cache", 10_000)
    made.check()
    return made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "cache"


def test_what_is_put_is_there_for_the_next_process(cache, folder):
    cache.put(("store", "a", "1"), b"content")
    again = Cache(folder, 10_000)
    assert again.get(("store", "a", "1"), 7) == b"content"
    assert again.get(("store", "a", "2"), 7) is None
    assert again.get(("store", "b", "1"), 7) is None
    assert again.get(("store", "a", "1"), 8) is None


def test_a_name_that_runs_into_the_next_is_another_object(cache):
    cache.put(("ab", "c"), b"1")
    assert cache.get(("a", "bc"), 1) is None


@pytest.mark.parametrize("damage", [b"", b"conten", b"Content", b"content and more"])
def test_a_file_that_is_not_whole_is_missing(cache, folder, damage):
    cache.put(("a",), b"content")
    [path] = folder.iterdir()
    digest = path.read_bytes()[7:]
    path.write_bytes(damage + digest)
    assert cache.get(("a",), 7) is None


def test_what_was_not_used_for_longest_goes_first_and_the_bound_holds(cache, folder):
    for name in "abc":
        cache.put((name,), bytes(3000))
    past = time.time() - 100
    for path in folder.iterdir():
        os.utime(path, (past, past))
    assert cache.get(("a",), 3000) is not None
    for name in "de":
        cache.put((name,), bytes(3000))
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000
    there = {name for name in "abcde" if cache.get((name,), 3000) is not None}
    assert there == {"a", "d", "e"}


def test_what_is_larger_than_the_cache_is_not_kept_and_pushes_nothing_out(cache):
    cache.put(("a",), bytes(3000))
    cache.put(("large",), bytes(10_001))
    assert cache.get(("large",), 10_001) is None
    assert cache.get(("a",), 3000) is not None


def test_the_folder_is_for_this_user_alone(cache, folder):
    cache.put(("a",), b"1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(next(folder.iterdir()).stat().st_mode) == 0o600
    folder.chmod(0o755)
    Cache(folder, 10_000).check()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_an_error_that_keeps_the_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as raised:
        Cache(tmp_path / "file" / "cache", 10).check()
    assert "`cache-dir`: the folder cannot be made" in raised.value.message
    assert str(tmp_path) not in raised.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(ConfigError, match="must belong to the user that runs the SuperNode"):
        Cache(tmp_path / "theirs", 10).check()


def test_a_full_disk_is_no_error(cache, disk_full_after, caplog):
    with disk_full_after(1000):
        cache.put(("a",), bytes(3000))
    assert cache.get(("a",), 3000) is None
    assert "`cache-dir` cannot be written to" in caplog.text
    cache.put(("b",), bytes(3000))
    assert cache.get(("b",), 3000) is not None
