"""The cache of what was read from a store: size, rights, files that are not whole."""

import os
import stat
import time

import pytest

from flame_flwr.data.cache import OBJECTS, Cache
from flame_flwr.errors import ConfigError


@pytest.fixture
def cache(tmp_path):
    made = Cache(tmp_path / "deep" / "cache", 10_000)
    made.check()
    return made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "cache"


def kept(folder):
    """Return the files of a cache's objects."""
    return list((folder / OBJECTS).glob("*.data"))


def test_the_next_process_finds_what_was_put(cache, folder):
    cache.put(("store", "a", "1"), b"content")
    again = Cache(folder, 10_000)
    assert again.get(("store", "a", "1"), 7) == b"content"
    assert again.get(("store", "a", "2"), 7) is None
    assert again.get(("store", "b", "1"), 7) is None
    assert again.get(("store", "a", "1"), 8) is None


def test_names_that_run_together_are_two_objects(cache):
    cache.put(("ab", "c"), b"1")
    assert cache.get(("a", "bc"), 1) is None


@pytest.mark.parametrize("damage", [b"", b"conten", b"Content", b"content and more"])
def test_a_file_that_is_not_whole_is_missing(cache, folder, damage):
    cache.put(("a",), b"content")
    [path] = kept(folder)
    digest = path.read_bytes()[7:]
    path.write_bytes(damage + digest)
    assert cache.get(("a",), 7) is None


def test_what_was_not_used_for_longest_goes(cache, folder):
    for name in "abc":
        cache.put((name,), bytes(3000))
    past = time.time() - 100
    for path in kept(folder):
        os.utime(path, (past, past))
    assert cache.get(("a",), 3000) is not None
    for name in "de":
        cache.put((name,), bytes(3000))
        assert sum(path.stat().st_size for path in kept(folder)) <= 10_000
    there = {name for name in "abcde" if cache.get((name,), 3000) is not None}
    assert there == {"a", "d", "e"}


def test_too_large_an_object_pushes_nothing_out(cache):
    cache.put(("a",), bytes(3000))
    cache.put(("large",), bytes(10_001))
    assert cache.get(("large",), 10_001) is None
    assert cache.get(("a",), 3000) is not None


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_for_this_user_alone(cache, folder):
    cache.put(("a",), b"1")
    assert [mode(path) for path in (folder, folder / OBJECTS)] == [0o700, 0o700]
    assert {mode(path) for path in (folder / OBJECTS).iterdir()} == {0o600}
    (folder / OBJECTS).chmod(0o755)
    Cache(folder, 10_000).check()
    assert mode(folder / OBJECTS) == 0o700


def test_a_folder_of_others_files_keeps_them(tmp_path):
    tmp_path.chmod(0o755)
    others = [tmp_path / "results.csv", tmp_path / ("0" * 64 + ".data"), tmp_path / OBJECTS / "b"]
    cache = Cache(tmp_path, 10_000)
    cache.check()
    for path in others:
        path.write_bytes(bytes(9000))
        os.utime(path, (0, 0))
    for name in "abcdefgh":
        cache.put((name,), bytes(3000))
    assert [path.stat().st_size for path in others] == [9000] * 3
    assert sum(path.stat().st_size for path in kept(tmp_path)) > 3000
    assert mode(tmp_path) == 0o755


def test_only_old_unfinished_files_are_removed(cache, folder):
    left, written = (folder / OBJECTS / f".part-{name}" for name in ("old", "new"))
    for path in (left, written):
        path.write_bytes(b"1")
    os.utime(left, (0, 0))
    cache.put(("a",), b"1")
    assert (left.exists(), written.exists()) == (False, True)


def test_all_who_share_a_folder_share_its_bound(folder):
    sharing = [Cache(folder, 10_000) for _ in range(3)]
    for cache in sharing:
        cache.check()
    for number in range(12):
        sharing[number % 3].put((str(number),), bytes(2000))
        assert sum(path.stat().st_size for path in kept(folder)) <= 10_000
    assert sharing[0].get(("11",), 2000) is not None


def test_a_wrong_count_of_bytes_is_made_anew(cache, folder):
    cache.put(("a",), bytes(3000))
    for text in ("", "no number", "99999999"):
        (folder / OBJECTS / ".size").write_text(text)
        cache.put(("b",), bytes(3000))
        assert int((folder / OBJECTS / ".size").read_text()) in (6064, 9096)
        assert cache.get(("a",), 3000) is not None


def test_a_lock_is_waited_for_within_a_bound(cache, folder, monkeypatch, caplog):
    monkeypatch.setattr("flame_flwr.data.cache._WAIT", 0.05)
    other = Cache(folder, 10_000)
    with other._opened() as opened, other._counting(opened):
        for key in "abc":  # once, and not for every object
            cache.put((key,), b"1")
    assert cache.get(("a",), 1) is None
    assert caplog.text.count("another process has held `cache-dir`") == 1
    later = Cache(folder, 10_000)
    later.put(("a",), b"1")
    assert later.get(("a",), 1) == b"1"


def test_an_error_of_the_folder_keeps_its_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as raised:
        Cache(tmp_path / "file" / "cache", 10).check()
    assert "`cache-dir`: the folder cannot be made" in raised.value.message
    assert str(tmp_path) not in raised.value.message


def link_of(folder):
    (folder / "elsewhere").mkdir(mode=0o755)
    (folder / OBJECTS).symlink_to(folder / "elsewhere")


def of_another_user(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (folder / OBJECTS).mkdir()
    os.chown(folder / OBJECTS, 65534, 65534)


@pytest.mark.parametrize("make", [link_of, of_another_user])
def test_a_folder_of_others_is_refused(tmp_path, make):
    make(tmp_path)
    with pytest.raises(ConfigError, match="`cache-dir`: the folder objects in it must be a folder"):
        Cache(tmp_path, 10).check()


def test_a_full_disk_is_no_error(cache, disk_full_after, caplog):
    with disk_full_after(1000):
        cache.put(("a",), bytes(3000))
    assert cache.get(("a",), 3000) is None
    assert "`cache-dir` cannot be written to" in caplog.text
    cache.put(("b",), bytes(3000))
    assert cache.get(("b",), 3000) is not None


def test_a_link_in_its_place_is_not_followed(cache, folder, tmp_path, caplog):
    """As an analysis without a sandbox may put there, while the node runs."""
    (folder / OBJECTS).rename(tmp_path / "precious")
    (folder / OBJECTS).symlink_to(tmp_path / "precious")
    for name in (64 * "0" + ".data", ".size"):
        (tmp_path / "precious" / name).write_bytes(bytes(9000))
    cache.put(("a",), bytes(3000))
    assert {path.stat().st_size for path in (tmp_path / "precious").iterdir()} == {9000}
    assert "`cache-dir` cannot be written to" in caplog.text
