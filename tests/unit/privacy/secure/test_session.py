"""Never two values under one mask, whatever dies and whatever is asked again."""

import fcntl
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import numpy as np
import pytest
from secure_federation import sum_of_parts

from flame_flwr.aggregation.grid import MODELS, OffGridError
from flame_flwr.errors import NodeFailedError
from flame_flwr.privacy.secure.identities import SecretIdentity
from flame_flwr.privacy.secure.masks import mask_words
from flame_flwr.privacy.secure.roster import Roster
from flame_flwr.privacy.secure.session import SecureSession
from flame_flwr.privacy.secure.session_stores import FILE, FolderStore

SESSION = "ab" * 16
NAMES = ("a", "b", "c")


@pytest.fixture(params=["on disk", "in memory"])
def sessions(request, tmp_path):
    made = {}
    for name in NAMES:
        store = None
        if request.param == "on disk":
            folder = tmp_path / name
            folder.mkdir()
            store = FolderStore(folder)
        made[name] = SecureSession(SESSION, name, SecretIdentity.new(), store)
    roster = Roster.of(SESSION, [session.hello() for session in made.values()])
    for session in made.values():
        session.take(roster, lambda entry: None)
    return made


def masking(value):
    def masked(keys):
        (words,) = mask_words([MODELS.to_words(np.array([value, 1.0]), 3)], keys(b"c" * 32))
        return words.tobytes()

    return masked


def never(keys):
    raise AssertionError("it is computed a second time")


def test_parts_sum_to_the_sum(sessions):
    total = None
    for value, session in zip((1.5, 2.0, -4.25), sessions.values(), strict=True):
        answer = session.answer(1, "train", b"x" * 32, masking(value))
        words = [np.frombuffer(answer, np.uint64).reshape(-1, 1)]
        assert abs(MODELS.from_words(words[0])[0]) > 100  # what leaves is no value
        total = words if total is None else sum_of_parts(total, words)
    assert MODELS.from_words(total[0]).tolist() == [-0.75, 3.0]


def test_who_asks_again_gets_the_same_bytes(sessions):
    first = sessions["a"].answer(1, "train", b"x" * 32, masking(1.0))
    assert sessions["a"].answer(1, "train", b"x" * 32, never) == first


@pytest.mark.parametrize(
    ("number", "kind", "context"),
    [(2, "train", b"y"), (1, "train", b"x"), (1, "evaluate", b"x")],
)
def test_nothing_else_is_masked_for_what_is_over(sessions, number, kind, context):
    session = sessions["a"]
    session.answer(1, "train", b"x" * 32, masking(1.0))
    session.answer(2, "train", b"x" * 32, masking(2.0))
    with pytest.raises(NodeFailedError, match=f"round {number}"):
        session.answer(number, kind, context * 32, never)


def test_evaluation_comes_after_its_round(sessions):
    session = sessions["a"]
    session.answer(1, "train", b"x" * 32, masking(1.0))
    session.answer(1, "evaluate", b"y" * 32, masking(1.0))
    with pytest.raises(NodeFailedError, match="is over"):
        session.answer(1, "train", b"x" * 32, never)
    session.answer(2, "train", b"x" * 32, masking(1.0))


def test_another_roster_is_refused(sessions):
    other = SecureSession(SESSION, "b", SecretIdentity.new()).hello()
    entries = [*sessions["a"].roster().entries[::2], other]
    with pytest.raises(NodeFailedError, match="another roster"):
        sessions["a"].take(Roster.of(SESSION, entries), lambda entry: None)
    sessions["a"].take(sessions["a"].roster(), lambda entry: None)


def test_check_is_asked_before_a_roster_is_taken(tmp_path):
    session = SecureSession(SESSION, "a", SecretIdentity.new(), FolderStore(tmp_path))
    entry = session.hello()

    def refuse(own):
        assert own == entry
        raise NodeFailedError("no")

    with pytest.raises(NodeFailedError, match="no"):
        session.take(Roster.of(SESSION, [entry]), refuse)
    with pytest.raises(NodeFailedError, match="has taken no roster"):
        session.roster()


def test_value_off_the_grid_ends_the_session(sessions):
    def off(keys):
        raise OffGridError("1e300 is too large")

    with pytest.raises(NodeFailedError, match="a value cannot be summed") as caught:
        sessions["a"].answer(1, "train", b"x" * 32, off)
    assert "1e300" not in caught.value.message
    with pytest.raises(NodeFailedError, match="has ended the session"):
        sessions["a"].answer(1, "train", b"x" * 32, never)


def test_code_that_raises_has_answered_nothing(sessions):
    def broken(keys):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sessions["a"].answer(1, "train", b"x" * 32, broken)
    sessions["a"].answer(1, "train", b"x" * 32, masking(1.0))


def test_hello_gives_the_same_key_each_time(sessions):
    assert sessions["a"].hello() == sessions["a"].hello()


# ---- what lies on the disk ------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def on_disk(folder):
    identity = SecretIdentity.new()
    session = SecureSession(SESSION, "a", identity, FolderStore(folder))
    others = [SecureSession(SESSION, name, SecretIdentity.new()).hello() for name in ("b", "c")]
    session.take(Roster.of(SESSION, [session.hello(), *others]), lambda entry: None)
    return session, lambda: SecureSession(SESSION, "a", identity, FolderStore(folder))


def test_next_process_gives_the_same_answer(on_disk, folder):
    session, again = on_disk
    first = session.answer(1, "train", b"x" * 32, masking(1.0))
    assert again().answer(1, "train", b"x" * 32, never) == first
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("written", [False, True])
def test_node_may_die_at_every_write(folder, number, written):
    """Of its key, the roster and the answer: what is asked again is answered once and no other."""
    identity = SecretIdentity.new()
    others = [SecureSession(SESSION, name, SecretIdentity.new()).hello() for name in ("b", "c")]

    def answer(masked, dies=None):
        session, writes = SecureSession(SESSION, "a", identity, FolderStore(folder)), count(1)
        save = session._store.save

        def save_or_die(*kept):
            if next(writes) != dies:
                return save(*kept)
            if written:
                save(*kept)
            os._exit(9)

        session._store.save = save_or_die
        session.take(Roster.of(SESSION, [session.hello(), *others]), lambda entry: None)
        return session.answer(1, "train", b"x" * 32, masked)

    if (process := os.fork()) == 0:
        answer(masking(1.0), number)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    left = answer(never if number == 3 and written else masking(2.0))
    assert answer(never) == left


def test_two_that_ask_at_once_get_one_answer(on_disk):
    """Each draws other numbers, and the first is slow."""
    _, again = on_disk
    holds = Event()

    def slow(keys):
        holds.set()
        time.sleep(0.1)
        return masking(1.0)(keys)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(again().answer, 1, "train", b"x" * 32, slow)
        assert holds.wait(60)
        assert again().answer(1, "train", b"x" * 32, never) == first.result()


DAMAGES = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "cut": lambda data: data[:-1],
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "head": lambda data: data[:40] + b"x" + data[41:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_ends_the_session(on_disk, folder, damage):
    session, again = on_disk
    session.answer(1, "train", b"x" * 32, masking(1.0))
    (folder / FILE).write_bytes(DAMAGES[damage]((folder / FILE).read_bytes()))
    with pytest.raises(NodeFailedError, match="which ends it"):
        again().answer(1, "train", b"x" * 32, never)


def test_lost_file_ends_the_session(on_disk, folder):
    session, again = on_disk
    (folder / FILE).unlink()
    with pytest.raises(NodeFailedError, match="lost"):
        again().answer(1, "train", b"x" * 32, never)
    with pytest.raises(NodeFailedError, match="lost"):
        session.roster()


def test_full_disk_gives_no_answer(on_disk, folder):
    session, again = on_disk
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = (folder / FILE).read_bytes()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as bytes of a file, for a disk
        with pytest.raises(NodeFailedError, match="cannot keep what it would answer"):
            session.answer(1, "train", b"x" * 32, masking(1.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [each.name for each in folder.iterdir()] == [FILE]
    assert (folder / FILE).read_bytes() == before
    again().answer(1, "train", b"y" * 32, masking(2.0))  # nothing has left


def test_a_kept_lock_is_awaited_with_limit(on_disk, folder, monkeypatch):
    """As an analysis without a sandbox may keep it."""
    session, again = on_disk
    monkeypatch.setattr("flame_flwr.privacy.secure.session_stores._LOCK_LIMIT", 0.0)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(NodeFailedError, match=r"has held this node's folder .* try again"):
            session.answer(1, "train", b"x" * 32, never)
    finally:
        os.close(handle)
    assert again().answer(1, "train", b"x" * 32, masking(1.0))


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to(path.parent / "other")])
def test_its_file_is_no_pipe_and_no_link(tmp_path, put):
    """As an analysis without a sandbox may leave there; a pipe would be waited for."""
    (tmp_path / "other").touch()
    put(tmp_path / FILE)
    with pytest.raises(NodeFailedError, match=r"is damaged|cannot be read"):
        FolderStore(tmp_path).load()


def test_key_that_all_would_know_is_refused(tmp_path):
    session = SecureSession(SESSION, "a", SecretIdentity.new(), FolderStore(tmp_path))
    others = [SecureSession(SESSION, name, SecretIdentity.new()).hello() for name in ("b", "c")]
    forged = type(others[0])("b", others[0].identity, bytes(32), b"")
    session.take(Roster.of(SESSION, [session.hello(), forged, others[1]]), lambda entry: None)
    with pytest.raises(NodeFailedError, match="a key in the roster is none"):
        session.answer(1, "train", b"x" * 32, masking(1.0))
