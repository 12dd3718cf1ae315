"""The working directory of a check's process, and what is seen of it around a user's method."""

import os
import shutil
from pathlib import Path

import pytest

from flame_flwr.testing.observer import Observer
from flame_flwr.testing.working_folder import WorkingFolder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's folder of some files."""
    home = tmp_path / "home"
    (home / "lists" / "deep").mkdir(parents=True)
    for name in ("settings.ini", "lists/a.csv", "lists/deep/b.json", ".hidden"):
        (home / name).write_text("1")
    monkeypatch.chdir(tmp_path)
    return home


def findings_of(home, method, name="analysis_method", node="node-0", homes=()):
    """Call a user's method as a run does, in an empty folder."""
    mine = type("Mine", (), {"id": node, name: method})
    folder = WorkingFolder(home.parent / "own" / "run", homes or [home])
    observer = Observer(lambda at: None, folder, iterative=False)
    observer.round = 1
    observer.wrap(mine)
    getattr(mine(), name)()
    return observer.findings


@pytest.mark.parametrize("own", [True, False])
def test_small_files_are_copied_where_they_are_wanted(home, own):
    folder = WorkingFolder(
        home.parent / "own" / "run", [home], home.parent / "own" if own else None
    )
    assert Path.cwd() == folder.path
    copies = sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())
    assert copies == (["lists/a.csv", "lists/deep/b.json", "settings.ini"] if own else [])


def test_what_is_written_is_found_and_nothing_else(home):
    folder = WorkingFolder(home.parent / "own" / "run", [home], home.parent / "own")
    before = folder.entries()
    assert folder.written_since(before) == []
    Path("plots/deep").mkdir(parents=True)
    Path("plots/deep/figure.png").touch()
    Path("lists/a.csv").write_text("longer")
    shutil.rmtree("lists/deep")
    written = ["lists/a.csv", "plots", "plots/deep", "plots/deep/figure.png"]
    assert folder.written_since(before) == written


def test_analyzers_do_not_write_here(home):
    def writes(self):
        Path("cache.db").touch()

    [finding] = findings_of(home, writes)
    assert (finding.check, finding.location) == ("folder", "Mine.analysis_method")
    assert finding.severity == "warning"
    assert (
        "it writes 'cache.db' relative to the working directory (node-0, round 1)" in finding.seen
    )


def test_what_is_removed_again_is_no_write(home):
    def writes(self):
        Path("scratch").touch()
        Path("scratch").unlink()

    assert findings_of(home, writes) == []


def test_an_aggregator_may_write_here(home):
    def writes(self):
        Path("figure.png").touch()

    assert findings_of(home, writes, "aggregation_method", "aggregator") == []


def test_a_move_is_reported_by_where_it_leads(home):
    [warning] = findings_of(home, lambda self: os.chdir(home.parent))
    assert warning.severity == "warning"
    assert f"it changes the working directory to {home.parent} (node-0" in warning.seen


def test_moving_to_the_users_folder_is_an_error(home):
    [error] = findings_of(home, lambda self: os.chdir(home))
    assert error.severity == "error"
    assert f"{home}, a folder of this machine (node-0, round 1)" in error.seen


def test_the_checks_own_folder_is_not_the_users(home):
    def moves(self):
        Path("deep").mkdir()
        os.chdir("deep")

    around = [home.parent]
    [moved] = findings_of(home, moves, "aggregation_method", "aggregator", around)
    assert moved.severity == "warning"


MISSED = {
    "by a relative path": (lambda: Path("lists/a.csv").read_text(), "lists/a.csv"),
    "by a path that was made absolute": (lambda: Path("a.csv").absolute().read_text(), "a.csv"),
    "listed": (lambda: os.listdir(Path("lists")), "lists"),
    "elsewhere": (lambda: Path("/nowhere/a.csv").read_text(), ""),
    "above": (lambda: Path("../a.csv").read_text(), ""),
}


@pytest.mark.parametrize("way", MISSED)
def test_a_missing_file_is_known_by_its_error(home, way):
    read, named = MISSED[way]
    folder = WorkingFolder(home.parent / "own" / "run", [home])
    with pytest.raises(FileNotFoundError) as missed:
        read()
    assert folder.missing_file(missed.value) == named


def test_a_missing_file_is_known_behind_another_error(home):
    def reads():
        try:
            Path("settings.ini").read_text()
        except OSError as error:
            raise ValueError("no settings") from error

    folder = WorkingFolder(home.parent / "own" / "run", [home])
    with pytest.raises(ValueError, match="no settings") as missed:
        reads()
    assert folder.missing_file(missed.value) == "settings.ini"
    assert folder.missing_file(FileNotFoundError("settings.ini not found.")) == ""
