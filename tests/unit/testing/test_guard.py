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


def watched(guard, node="node-0", furnished=False):
    """Enter a folder and a user's method; return the findings to come."""
    guard.watch = Inside(At("Mine", "a_method", node, 1))
    guard.enter(guard._own / f"run-{node}", furnished=furnished)
    return guard.watch.findings


def opens(guard, path, mode="r"):
    guard._on_event("open", (str(path), mode, 0))


def test_writes_into_the_users_folder_are_refused(guarded):
    findings = watched(guarded, "aggregator")
    made = guarded.home / "made.txt"
    for event in [
        ("open", (str(made), "w", 0)),
        ("open", (str(made), None, os.O_CREAT | os.O_WRONLY)),
        ("open", (os.fsencode(made), "a", 0)),
        ("os.mkdir", (made, 511, -1)),
        ("os.remove", (str(guarded.home / "settings.ini"), -1)),
        ("os.rename", ("a", str(guarded.home / "settings.ini"), -1, -1)),
    ]:
        with pytest.raises(RefusedWriteError, match="a check lets nothing be written into"):
            guarded._on_event(*event)
    [finding] = findings
    assert (finding.check, finding.location) == ("folder", "Mine.a_method")
    assert f"it writes made.txt into {guarded.home} (test_guard.py:" in finding.seen


def test_writes_elsewhere_are_nobodys_business(guarded, tmp_path):
    findings = watched(guarded)
    for path in (tmp_path / "other.txt", guarded._own / "x", guarded.home / ".cache" / "fonts"):
        opens(guarded, path, "w")
    guarded._on_event("open", (3, "w", 0))  # a descriptor
    opens(guarded, "nowhere.ini")
    assert findings == []


@pytest.mark.parametrize("furnished", [True, False])
def test_reading_the_users_files_here_is_reported(guarded, furnished):
    findings = watched(guarded, furnished=furnished)
    opens(guarded, "settings.ini")
    assert "it reads 'settings.ini' relative to the working directory" in findings[0].seen
    copies = sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())
    assert copies == (["lists/a.csv", "lists/deep/b.json", "settings.ini"] if furnished else [])


def test_what_an_aggregator_writes_it_may_read(guarded):
    findings = watched(guarded, "aggregator")
    guarded._on_event("os.mkdir", ("results", 511, -1))
    for path in ("results/figure.png", "settings.ini"):
        opens(guarded, path, "wb")
        opens(guarded, path, "rb")
    guarded._on_event("os.listdir", (".",))
    assert findings == []


def test_analyzers_neither_write_nor_list_here(guarded):
    findings = watched(guarded)
    guarded._on_event("os.listdir", (".",))
    guarded._on_event("sqlite3.connect", ("cache.db",))
    guarded._on_event("sqlite3.connect", (":memory:",))
    listed, written = findings
    assert "it lists the working directory" in listed.seen
    assert "it writes 'cache.db' relative to the working directory" in written.seen


def test_only_what_flower_bundles_is_read_beside_code(guarded):
    findings = watched(guarded)
    opens(guarded, guarded.home / "lists" / "deep" / "b.json")
    assert findings == []
    opens(guarded, guarded.home / "lists" / "a.csv")
    assert "it reads lists/a.csv in " in findings[0].seen


def test_an_import_makes_topmost_names(guarded):
    guarded.enter(guarded._own / "import", furnished=True)
    for name in ("plots/deep", "made"):
        Path(name).mkdir(parents=True)
    for event in ("plots", "plots/deep", "made", "gone", "../elsewhere"):
        guarded._on_event("os.mkdir", (event, 511, -1))
    assert [path.name for path in guarded.made()] == ["made", "plots"]


def test_writes_are_refused_outside_of_methods_too(guarded):
    guarded.enter(guarded._own / "import", furnished=False)
    opens(guarded, "settings.ini")
    with pytest.raises(RefusedWriteError):
        opens(guarded, guarded.home / "made.txt", "w")


def test_a_move_is_reported_by_where_it_leads(guarded):
    findings = watched(guarded)
    guarded._on_event("os.chdir", (".",))
    guarded._on_event("os.chdir", (str(guarded.home),))
    warning, error = findings
    assert (warning.severity, error.severity) == ("warning", "error")
    assert "it changes the working directory to " in warning.seen
    assert f"{guarded.home}, a folder of this machine (test_guard.py:" in error.seen
    guarded.watch = None
    assert guarded.moved == ""
    guarded._on_event("os.chdir", (str(guarded.home),))
    assert guarded.moved.startswith("test_guard.py:")


def test_relative_paths_begin_where_code_has_gone(guarded, monkeypatch):
    findings = watched(guarded, "aggregator")
    monkeypatch.chdir(guarded.home)
    with pytest.raises(RefusedWriteError):
        opens(guarded, "made.txt", "w")
    Path(guarded._here, "deep").mkdir()
    monkeypatch.chdir(guarded._here / "deep")
    opens(guarded, "made.txt", "w")
    assert guarded._written == {"deep/made.txt"}
    opens(guarded, "../../../home/lists/a.csv")
    [finding] = findings  # the first of its kind in the method
    assert "it writes made.txt into" in finding.seen
