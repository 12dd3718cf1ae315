"""What the guard makes of the files that user code opens; its hook is called here by hand."""

import os

import pytest

from flame_flwr.testing.folder_guard import FolderGuard, RefusedWriteError
from flame_flwr.testing.observer import At, Observer


class Inside(Observer):
    """An observer that is always inside a user's method."""

    def __init__(self, at):
        super().__init__(lambda at: None, iterative=False)
        self._inside.append(at)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folder of some files; the working directory is the check's own."""
    home, own = tmp_path / "home", tmp_path / "own"
    (home / "lists" / "deep").mkdir(parents=True)
    (home / "settings.ini").write_text("quick")
    (home / "lists" / "a.csv").write_text("1")
    (home / "lists" / "deep" / "b.json").write_text("{}")
    own.mkdir()
    monkeypatch.chdir(own)
    return home


@pytest.fixture
def guard(home, tmp_path):
    """A guard within a user's method."""
    guard = FolderGuard([home], tmp_path / "own")
    guard.observer = Inside(At("Mine", "a_method", "node-0", 1))
    return guard


def opens(guard, path, mode="r"):
    guard._on_event("open", (str(path), mode, 0))


def test_writes_into_the_users_folder_are_refused(guard, home):
    made, there = home / "made.txt", str(home / "settings.ini")
    for event in [
        ("open", (str(made), "w", 0)),
        ("open", (str(made), None, os.O_CREAT | os.O_WRONLY)),
        ("open", (os.fsencode(made), "a", 0)),
        ("os.mkdir", (made, 511, -1)),
        ("os.remove", (there, -1)),
        ("os.rename", ("a", there, -1, -1)),
        ("os.rename", (there, "a", -1, -1)),
        ("os.truncate", (there, 0)),
        ("shutil.rmtree", (str(home / "lists"), None)),
        ("sqlite3.connect", (there,)),
    ]:
        with pytest.raises(RefusedWriteError, match="a check lets nothing be written into"):
            guard._on_event(*event)
    [finding] = guard.observer.findings
    assert (finding.check, finding.location) == ("folder", "Mine.a_method")
    assert f"it writes made.txt into {home} (test_folder_guard.py:" in finding.seen


def test_writes_elsewhere_are_nobodys_business(guard, home, tmp_path):
    for path in (tmp_path / "other.txt", tmp_path / "own" / "x", home / ".cache" / "fonts", "x"):
        opens(guard, path, "w")
    guard._on_event("open", (3, "w", 0))  # a descriptor
    guard._on_event("sqlite3.connect", (":memory:",))
    opens(guard, "nowhere.ini")
    assert guard.observer.findings == []


def test_only_what_flower_bundles_is_read_beside_code(guard, home):
    opens(guard, home / "lists" / "deep" / "b.json")
    assert guard.observer.findings == []
    opens(guard, home / "lists" / "a.csv")
    assert "it reads lists/a.csv in " in guard.observer.findings[0].seen


def test_writes_are_refused_outside_of_methods_too(guard, home):
    guard.observer = None
    opens(guard, home / "settings.ini")
    with pytest.raises(RefusedWriteError):
        opens(guard, home / "made.txt", "w")


def test_relative_paths_begin_where_code_has_gone(guard, home, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(RefusedWriteError):
        opens(guard, "made.txt", "w")


def test_a_link_is_followed_to_where_it_writes(guard, home, tmp_path):
    (tmp_path / "own" / "link").symlink_to(home)
    with pytest.raises(RefusedWriteError):
        opens(guard, "link/made.txt", "w")
