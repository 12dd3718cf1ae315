"""What is kept on a node: values, ids, tags, order; a folder that is whole, private and safe."""

import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from forked_python import run_python
from hanging import HANGS

from flame_flwr.data import clear_local_storage, open_kept_values
from flame_flwr.data.kept_values import kept_in_memory
from flame_flwr.errors import ConfigError, DataError, PayloadError


class Mine:
    """Something only pickle can carry."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Mine and other.value == self.value

    __hash__ = None


def folder_store(root, project="cohort", node="node-0", **more):
    return open_kept_values(str(root), project, node, where="this node's config", **more)


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    yield (
        folder_store(tmp_path / "state") if request.param == "folder" else kept_in_memory("p", "n")
    )
    clear_local_storage()


def files(root):
    return sorted(path for path in root.rglob("*") if path.is_file())


# ---- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, 0, float("inf"), 2**200, "ä", b"\x00", [1, (2, {3: {4}})], {}, Mine([1, Mine(2)])],
)
def test_a_value_comes_back_as_it_was(store, value):
    found = store.load(store.save(value))
    assert found == value
    assert type(found) is type(value)


def test_arrays_and_frames_come_back_as_copies(store):
    big = np.asfortranarray(np.arange(60_000.0).reshape(200, 300))
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    key = store.save({"big": big, "frame": frame, "plain": Mine(big[:2])})
    big[:] = -1
    for _ in range(2):
        found = store.load(key)
        assert found["big"][1].tolist() == [*map(float, range(300, 600))]
        assert found["big"].flags.f_contiguous
        assert found["plain"].value[0, 1] == 1
        pd.testing.assert_frame_equal(found["frame"], frame)
        found["big"][:] = -2


def test_what_not_even_pickle_takes_is_refused(store):
    with pytest.raises(PayloadError, match="cannot be kept on the node") as raised:
        store.save({"file": threading.Lock()}, "a")
    assert raised.value.detail.startswith("$.file")
    assert store.tags() == []


# ---- ids, tags, order -----------------------------------------------------------------------


def test_a_tag_has_its_values_in_order(store, monkeypatch):
    keys = []
    for i, now in enumerate((10**18, 5, 10**18, 7)):  # whatever the clock says
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        keys += [store.save(i, "a"), store.save(-i, "b")]
    store.save("untagged")
    assert len(set(keys)) == 8
    assert store.load(keys[3]) == -1
    assert store.load_tag("a") == [0, 1, 2, 3]
    assert store.load_tag("b") == [0, -1, -2, -3]
    assert (store.load_tag("a", "first"), store.load_tag("a", "last")) == (0, 3)
    assert store.tags() == ["a", "b"]


def test_an_unknown_tag_has_no_values(store):
    assert store.load_tag("a") == []
    for option in ("first", "last"):
        with pytest.raises(DataError, match="ask get_local_tags first") as raised:
            store.load_tag("a", option)
        assert raised.value.detail == "'a'"


@pytest.mark.parametrize("key", ["", "x", "../../etc/passwd", None, 3])
def test_an_unknown_id_is_an_error(store, key):
    store.save(1)
    with pytest.raises(DataError, match="keeps nothing under this id"):
        store.load(key)


# ---- memory ---------------------------------------------------------------------------------


def test_memory_is_per_project_and_node():
    kept_in_memory("p", "n").save(1, "a")
    assert kept_in_memory("p", "n").load_tag("a") == [1]
    assert kept_in_memory("p", "m").tags() == kept_in_memory("q", "n").tags() == []
    clear_local_storage()
    assert kept_in_memory("p", "n").tags() == []


# ---- the folder -----------------------------------------------------------------------------


def test_two_processes_at_once_lose_nothing(tmp_path):
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from flame_flwr.data import open_kept_values\n"
        "store = open_kept_values(sys.argv[1], 'cohort', 'node-0', where='')\n"
        "for i in range(20):\n"
        "    store.save((sys.argv[2], i, np.full(5000, i)), 'a')\n"
        "    for who, number, values in store.load_tag('a'):\n"
        "        assert values.sum() == 5000 * number\n"
    )
    with ThreadPoolExecutor(2) as pool:
        both = pool.map(lambda who: run_python("-c", code, tmp_path, who, timeout=HANGS), "xy")
    assert [(done.returncode, done.stderr) for done in both] == [(0, "")] * 2
    found = [(who, number) for who, number, _ in folder_store(tmp_path).load_tag("a")]
    for who in "xy":
        assert [pair for pair in found if pair[0] == who] == [(who, i) for i in range(20)]
    assert len(files(tmp_path)) == 40


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "n"), ("b", "n")),
        (("p", "a"), ("p", "b")),
        (("p", "A"), ("p", "a")),
        (("a/b", "c"), ("a", "b/c")),
        (("..", "n"), ("p", "n")),
        (("p", ""), ("p", " ")),
        (("p", "x" * 300), ("p", "x" * 301)),
        (("p", "Klinik Süd"), ("p", "Klinik Sud")),
        (("p", "a.b"), ("p", "a-b")),
        (("p", "nul\x00"), ("p", "nul")),
    ],
)
def test_projects_and_nodes_never_meet(tmp_path, one, other):
    root = tmp_path / "state"
    folder_store(root, *one).save("mine", "a")
    assert folder_store(root, *other).tags() == []
    assert folder_store(root, *one).load_tag("a") == ["mine"]
    [file] = files(tmp_path)
    assert file.parents[2] == root / "local-storage"


def test_the_folder_is_this_users_alone(tmp_path):
    before = os.umask(0)
    try:
        folder_store(tmp_path / "deep" / "state").save(1, "a")
    finally:
        os.umask(before)
    root = tmp_path / "deep" / "state"
    for path in [root, *root.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_looking_makes_nothing(tmp_path):
    store = folder_store(tmp_path / "state")
    assert store.tags() == store.load_tag("a") == []
    assert not (tmp_path / "state").exists()


def give_away(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize("use", [lambda s: s.save(1), lambda s: s.tags(), lambda s: s.check()])
@pytest.mark.parametrize("change", [lambda folder: folder.chmod(0o777), give_away])
def test_a_folder_open_to_others_is_refused(tmp_path, use, change):
    """It holds pickles."""
    store = folder_store(tmp_path)
    store.save(1, "a")
    change(tmp_path / "local-storage")
    words = r"may be written by others|belongs to another user"
    with pytest.raises(ConfigError, match=words) as raised:
        use(store)
    assert str(tmp_path) not in raised.value.message


def test_a_full_disk_leaves_nothing_half_written(tmp_path, disk_full_after):
    store = folder_store(tmp_path / "state")
    store.save(1, "a")
    with disk_full_after(1000), pytest.raises(DataError) as raised:
        store.save(np.zeros(5000), "a")
    assert raised.value.message == (
        "File too large: the folder of what is kept on this node cannot be written (OSError)"
    )
    assert len(files(tmp_path)) == 1
    assert store.load_tag("a") == [1]


def test_what_is_half_written_is_not_seen(tmp_path):
    store = folder_store(tmp_path)
    store.save(1, "a")
    folder = files(tmp_path)[0].parent
    (folder / ".part-x7f").write_bytes(b"half")
    (folder / "notes.txt").write_text("of the hospital's own")
    assert store.load_tag("a") == [1]
    assert store.tags() == ["a"]


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"\xff" * 40]
)
def test_an_error_of_a_file_hides_its_content(tmp_path, change):
    store = folder_store(tmp_path)
    key = store.save(["Maria Muster"] * 10, "a")
    [file] = files(tmp_path)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match="cannot be read: it was damaged") as raised:
        store.load_tag("a")
    assert raised.value.detail.startswith(key)
    assert "Maria" not in raised.value.message


def test_an_error_of_reading_keeps_the_path_here(tmp_path):
    store = folder_store(tmp_path)
    store.save(1, "a")
    [file] = files(tmp_path)
    file.unlink()
    file.symlink_to("nowhere")
    file.parent.with_name("node-1").write_text("a file where a folder should be")
    for broken in (store, folder_store(tmp_path, node="node-1")):
        with pytest.raises(DataError, match="kept on this node cannot be read") as raised:
            broken.load_tag("a")
        assert str(tmp_path) not in raised.value.message
        assert str(tmp_path) in raised.value.detail


def test_check_finds_that_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    store = folder_store(tmp_path / "file" / "state")
    for use in (store.check, lambda: store.save(1)):
        with pytest.raises(ConfigError, match="`state-dir`: no folder can be made there") as raised:
            use()
        assert str(tmp_path) not in raised.value.message
        assert str(tmp_path) in raised.value.detail


def test_without_a_folder_errors_name_the_key():
    store = folder_store("")
    store.check()
    for use in (
        lambda: store.save(1),
        store.tags,
        lambda: store.load("x"),
        lambda: store.load_tag("x"),
    ):
        with pytest.raises(ConfigError) as raised:
            use()
        assert raised.value.message == (
            "keeping data on a node needs a folder: set `state-dir` in this node's config, to an "
            "absolute path"
        )


def test_keeping_under_a_changing_name_is_warned_of(tmp_path, caplog):
    caplog.set_level("WARNING", logger="flame_flwr")
    store = folder_store(tmp_path, lasting=False)
    assert store.tags() == []
    assert caplog.records == []
    store.save(1)
    assert "this node has no `name` in its config" in caplog.text


SESSION = "ab" * 16


def test_a_repeated_round_keeps_nothing_twice(store):
    store.save("of an earlier analysis", tag="t")
    store.enter_round(SESSION, 1, after=0)
    store.save("round 1", tag="t")
    for _ in range(2):  # its first answer was lost
        store.enter_round(SESSION, 2, after=1)
        key = store.save("round 2", tag="t")
    assert store.load_tag("t") == ["of an earlier analysis", "round 1", "round 2"]
    assert store.load(key) == "round 2"
    store.enter_round("cd" * 16, 1, after=0)
    assert len(store.load_tag("t")) == 3


def test_a_session_from_the_wire_is_no_path(tmp_path):
    store = folder_store(tmp_path / "state")
    store.enter_round("../../x", 1, after=0)
    key = store.save(1)
    assert store.load(key) == 1
