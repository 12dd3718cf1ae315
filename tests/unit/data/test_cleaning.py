"""What analyses leave on a node is removed when nobody has gone on with it for long."""

import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.data.cleaning import clean, expire, leftovers
from flame_flwr.data.kept_files import FolderFiles
from flame_flwr.errors import ConfigError

OLD, NEW = "0" * 32, "1" * 32
VALUE = f"{1:020d}_01234567-89ab-cdef-0123-456789abcdef_.value"


@pytest.fixture
def state_dir(tmp_path):
    """Two analyses, 40 and 2 days old, and a project's data, 100 days old."""
    age(tmp_path / "analyses" / OLD / "a" / "after-00000001.state", 40)
    age(tmp_path / "analyses" / NEW / "a" / "run.json", 2)
    age(tmp_path / "local-storage" / "project" / "a" / VALUE, 100)
    return tmp_path


def age(file, days):
    """Make a file of 1,000 bytes that is so many days old, as its two folders are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(1000))
    then = time.time() - days * 86400
    for path in (file, file.parent, file.parent.parent):
        os.utime(path, (then, then))


def there(state_dir):
    files = [path for path in state_dir.rglob("*") if path.is_file()]
    return sorted(path.parent.parent.name for path in files)


def test_old_analyses_are_removed_but_kept_data(state_dir):
    [removed] = clean(state_dir, 30)
    assert (removed.path.name, removed.bytes) == (OLD, 1000)
    assert removed.days == pytest.approx(40, abs=0.1)
    assert there(state_dir) == [NEW, "project"]


def test_a_node_removes_them_itself(state_dir):
    expire(state_dir, 30)
    assert there(state_dir) == [NEW, "project"]
    expire(state_dir / "nowhere", 30)


def test_a_file_written_lately_keeps_its_analysis(state_dir):
    os.utime(state_dir / "analyses" / OLD / "a" / "after-00000001.state")
    assert clean(state_dir, 30) == []


def test_oldest_come_first(state_dir):
    found = leftovers(state_dir, kept_data=True)
    assert [leftover.path.name for leftover in found] == ["project", OLD, NEW]


def test_what_is_no_state_dir_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a `state-dir`"):
        clean(tmp_path, 30)


def test_the_command_says_what_it_removes(state_dir, tmp_path_factory):
    def run(*arguments):
        return (
            CliRunner().invoke(commands._app, ["node", "clean", str(state_dir), *arguments]).output
        )

    assert (
        run("--dry-run")
        == f"analyses/{OLD}: 40.0 days old, 1.0 kB\nwould remove 1, older than 30 days\n"
    )
    assert there(state_dir) == [OLD, NEW, "project"]
    node = tmp_path_factory.mktemp("node")
    (node / "node.toml").write_text(f'state-dir = "{state_dir}"')
    named = CliRunner().invoke(commands._app, ["node", "clean", "--node", str(node), "--dry-run"])
    assert named.output == run("--dry-run")
    assert "removed 2, older than 30 days" in run("--kept-data")
    assert "removed 1, older than 1 days" in run("--older-than", "1")
    assert there(state_dir) == []


def test_the_days_are_a_number(state_dir):
    result = CliRunner().invoke(
        commands._app, ["node", "clean", str(state_dir), "--older-than", "nan"]
    )
    assert result.exit_code == 2
    assert there(state_dir) == [OLD, NEW, "project"]


@pytest.mark.parametrize(
    "stray",
    [
        "analyses/radiology/2024/scan.dcm",
        f"analyses/{OLD}/a/notes.txt",
        f"analyses/{OLD}/after-00000001.state",
        f"analyses/{OLD}/a/deeper/after-00000001.state",
        "analyses/notes.txt",
        "local-storage/photos/a/1.jpg",
        "local-storage/project/a/mine.value",
    ],
)
def test_what_others_have_made_is_left_alone(state_dir, stray, caplog):
    file = state_dir / stray
    age(file, 100)
    above = state_dir / Path(stray).parts[0] / Path(stray).parts[1]
    removed = clean(state_dir, 0.1, kept_data=True)
    assert file.read_bytes() == bytes(1000)
    assert above not in [leftover.path for leftover in removed]
    assert f"{above} was not made by an analysis: left alone; with --node" in caplog.text


def test_nothing_is_removed_through_a_link(state_dir, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    age(elsewhere / OLD / "a" / "run.json", 100)
    (state_dir / "analyses" / ("2" * 32)).symlink_to(elsewhere / OLD)
    (state_dir / "analyses" / OLD / "a" / "link").symlink_to(elsewhere)
    expire(state_dir, 30)
    assert (state_dir / "analyses" / OLD).is_dir()
    (elsewhere / "linked").mkdir()
    (elsewhere / "linked" / "analyses").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="is a link, or another user's folder"):
        clean(elsewhere / "linked", 30)
    assert (elsewhere / OLD / "a" / "run.json").exists()


def test_two_nodes_may_remove_the_same_folder(state_dir, monkeypatch):
    walk = os.walk

    def slow(path):
        for found in walk(path):
            shutil.rmtree(state_dir / "analyses" / OLD, ignore_errors=True)
            yield found

    monkeypatch.setattr(os, "walk", slow)
    expire(state_dir, 30)
    assert there(state_dir) == [NEW, "project"]


def test_a_nodes_own_state_dir_may_be_empty(tmp_path):
    """As that of a node which has refused every app so far: it is the folder that is named."""
    (tmp_path / "state").mkdir()
    (tmp_path / "node.toml").write_text(f'state-dir = "{tmp_path}/state"')
    done = CliRunner().invoke(commands._app, ["node", "clean", "--node", str(tmp_path)])
    assert (done.exit_code, done.output) == (0, "removed 0, older than 30 days\n")


@pytest.fixture
def filled(tmp_path):
    """A node's folder with what an app has left in those that were made for it."""
    for kind, owner in (("analyses", (OLD, "project")), ("local-storage", "project")):
        files = FolderFiles(tmp_path / "state", kind, owner, "a")
        files.make()
        files.write("own", [bytes(5_000_000)])
        (files.folder / "link").symlink_to(tmp_path)
        (files.folder / "closed" / "below").mkdir(parents=True)
        (files.folder / "closed").chmod(0)
        os.utime(files.folder / "own", (2**33, 2**33))  # of the year 2242
    (tmp_path / "node.toml").write_text(f'state-dir = "{tmp_path}/state"')
    return tmp_path


def test_what_apps_left_goes_under_any_name(filled):
    named = ["node", "clean", "--node", str(filled), "--older-than", "0"]
    said = CliRunner().invoke(commands._app, [*named, "--kept-data", "--dry-run"]).output
    assert said.count("5.0 MB") == 2
    assert "removed 1, " in CliRunner().invoke(commands._app, named).output
    assert os.listdir(filled / "state" / "analyses") == []
    assert "removed 1, " in CliRunner().invoke(commands._app, [*named, "--kept-data"]).output
    assert os.listdir(filled / "state" / "local-storage") == []
    assert (filled / "node.toml").exists()


@pytest.mark.parametrize("stray", ["local-storage/project/notes.txt", "analyses/mine/a/notes.txt"])
def test_a_node_removes_no_persons_files(filled, stray):
    file = filled / "state" / stray
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("of a person's own")
    clean(filled / "state", 0, kept_data=True, is_nodes=True)
    assert file.exists()
