"""What the guard makes of the files that user code opens; its hook is called here by hand."""

import os
from pathlib import Path

import pytest

from flame_flwr.testing.guard import Guard, RefusedWriteError
from flame_flwr.testing.observer import At, Watch


class Inside(Watch):
    """A watch that is always inside a user's method."""

    def __init__(self, at):
        super().__init__(lambda at: None, iterative=False)
        self._inside.append(at)


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A guard in an empty folder, with a user's folder of some files."""
    home, own = tmp_path / "home", tmp_path / "own"
    (home / "lists" / "deep").mkdir(parents=True)
    (home / "settings.ini").write_text("quick")
    (home / "lists" / "a.csv").write_text("1")
    (home / "lists" / "deep" / "b.json").write_text("{}")
    (home / ".hidden").write_text("secret")
    own.mkdir()
    monkeypatch.chdir(tmp_path)
    guard = Guard([home], own)
    guard.home = home
    return guard


def watched(guard, node="node-0", furnish=False):
    guard.watch = Inside(At("Mine", "a_method", node, 1))
    guard.enter(guard._own / f"run-{node}", furnish=furnish)
    return guard.watch.findings


def open_event(guard, path, mode="r"):
    guard._hear("open", (str(path), mode, 0))


def test_a_write_into_the_users_folder_is_refused_and_reported(guarded):
    findings = watched(guarded, "aggregator")
    for event in [
        ("open", (str(guarded.home / "made.txt"), "w", 0)),
        ("open", (str(guarded.home / "made.txt"), None, os.O_CREAT | os.O_WRONLY)),
        ("open", (os.fsencode(guarded.home / "made.txt"), "a", 0)),
        ("os.mkdir", (guarded.home / "made", 511, -1)),
        ("os.remove", (str(guarded.home / "settings.ini"), -1)),
        ("os.rename", ("a", str(guarded.home / "settings.ini"), -1, -1)),
    ]:
        with pytest.raises(RefusedWriteError, match="a check lets nothing be written into"):
            guarded._hear(*event)
    [finding] = findings
    assert finding.check == "folder"
    assert finding.where == "Mine.a_method"
    assert f"it writes made.txt into {guarded.home} (test_guard.py:" in finding.seen


def test_writing_elsewhere_is_nobodys_business(guarded, tmp_path):
    findings = watched(guarded)
    for path in (tmp_path / "other.txt", guarded._own / "x", guarded.home / ".cache" / "fonts"):
        open_event(guarded, path, "w")
    guarded._hear("open", (3, "w", 0))  # a descriptor
    assert findings == []


def test_a_file_of_the_user_is_copied_where_it_is_looked_for(guarded):
    findings = watched(guarded)
    open_event(guarded, "settings.ini")
    assert Path("settings.ini").read_text() == "quick"
    assert "it reads 'settings.ini' relative to the working directory" in findings[0].seen
    guarded._hear("os.listdir", ("lists",))
    assert sorted(path.name for path in Path("lists").rglob("*.*")) == ["a.csv", "b.json"]
    open_event(guarded, "../home/settings.ini")
    assert (guarded.home / "settings.ini").read_text() == "quick"


def test_a_file_that_is_nowhere_is_no_finding_but_an_error_of_its_own(guarded):
    findings = watched(guarded)
    open_event(guarded, "nowhere.ini")
    assert findings == []


def test_what_an_aggregator_writes_and_reads_itself_is_fine(guarded):
    findings = watched(guarded, "aggregator")
    guarded._hear("os.mkdir", ("results", 511, -1))
    open_event(guarded, "results/figure.png", "wb")
    open_event(guarded, "results/figure.png", "rb")
    open_event(guarded, "settings.ini", "w")
    open_event(guarded, "settings.ini")
    guarded._hear("os.listdir", (".",))
    assert findings == []


def test_an_analyzer_that_writes_or_lists_here_loses_it_on_flower(guarded):
    findings = watched(guarded)
    guarded._hear("os.listdir", (".",))
    assert "it lists the working directory" in findings[0].seen
    findings.clear()
    guarded._hear("sqlite3.connect", ("cache.db",))
    guarded._hear("sqlite3.connect", (":memory:",))
    [finding] = findings
    assert "it writes 'cache.db' relative to the working directory" in finding.seen


def test_beside_the_code_only_what_flower_bundles_is_on_other_machines(guarded):
    findings = watched(guarded)
    open_event(guarded, guarded.home / "lists" / "deep" / "b.json")
    assert findings == []
    open_event(guarded, guarded.home / "lists" / "a.csv")
    assert "it reads lists/a.csv in " in findings[0].seen


def test_a_furnished_folder_has_copies_of_what_is_small_and_not_hidden(guarded):
    watched(guarded, furnish=True)
    files = sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())
    assert files == ["lists/a.csv", "lists/deep/b.json", "settings.ini"]


def test_what_an_import_made_is_known_by_its_topmost_name(guarded):
    guarded.enter(guarded._own / "import", furnish=True)
    for name in ("plots/deep", "made"):
        Path(name).mkdir(parents=True)
    for event in ("plots", "plots/deep", "made", "gone", "../elsewhere"):
        guarded._hear("os.mkdir", (event, 511, -1))
    assert [path.name for path in guarded.made()] == ["made", "plots"]


def test_nothing_is_reported_outside_of_a_users_method(guarded):
    guarded.enter(guarded._own / "import", furnish=False)
    open_event(guarded, "settings.ini")
    assert Path("settings.ini").read_text() == "quick"
    with pytest.raises(RefusedWriteError):
        open_event(guarded, guarded.home / "made.txt", "w")


def test_a_change_of_the_working_directory_is_reported_by_where_it_leads(guarded):
    findings = watched(guarded)
    guarded._hear("os.chdir", (".",))
    guarded._hear("os.chdir", (str(guarded.home),))
    warning, error = findings
    assert (warning.check, warning.severity) == ("folder", "warning")
    assert "it changes the working directory to " in warning.seen
    assert error.severity == "error"
    assert f"{guarded.home}, a folder of this machine (test_guard.py:" in error.seen
    guarded.watch = None
    assert guarded.moved == ""
    guarded._hear("os.chdir", (str(guarded.home),))
    assert guarded.moved.startswith("test_guard.py:")


def test_relative_paths_are_taken_from_where_user_code_has_gone(guarded, monkeypatch):
    findings = watched(guarded, "aggregator")
    monkeypatch.chdir(guarded.home)
    with pytest.raises(RefusedWriteError):
        open_event(guarded, "made.txt", "w")
    Path(guarded._here, "deep").mkdir()
    monkeypatch.chdir(guarded._here / "deep")
    open_event(guarded, "made.txt", "w")
    assert guarded._written == {"deep/made.txt"}
    open_event(guarded, "../../../home/lists/a.csv")
    [finding] = findings  # the first of its kind in the method
    assert "it writes made.txt into" in finding.seen
