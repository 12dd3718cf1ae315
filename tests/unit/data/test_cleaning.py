"""What analyses leave on a node is removed when nobody has gone on with it for long."""

import os
import time

import pytest
from typer.testing import CliRunner

from flame_flwr import cli
from flame_flwr.data.cleaning import clean, expire, leftovers
from flame_flwr.errors import ConfigError


@pytest.fixture
def state_dir(tmp_path):
    """Two analyses, 40 and 2 days old, and a project's data, 100 days old."""
    for name, days in (("analyses/old", 40), ("analyses/new", 2), ("local-storage/project", 100)):
        file = tmp_path / name / "a" / "file"
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(1000))
        then = time.time() - days * 86400
        for path in (file, file.parent, file.parent.parent):
            os.utime(path, (then, then))
    return tmp_path


def there(state_dir):
    return sorted(path.parent.parent.name for path in state_dir.rglob("file"))


def test_old_analyses_are_removed_and_kept_data_is_not(state_dir):
    [removed] = clean(state_dir, 30)
    assert (removed.path.name, removed.bytes) == ("old", 1000)
    assert removed.days == pytest.approx(40, abs=0.1)
    assert there(state_dir) == ["new", "project"]


def test_a_node_removes_them_itself(state_dir):
    expire(state_dir, 30)
    assert there(state_dir) == ["new", "project"]
    expire(state_dir / "nowhere", 30)


def test_a_file_written_lately_keeps_its_analysis(state_dir):
    os.utime(state_dir / "analyses" / "old" / "a" / "file")
    assert clean(state_dir, 30) == []


def test_oldest_come_first(state_dir):
    found = leftovers(state_dir, kept_data=True)
    assert [leftover.path.name for leftover in found] == ["project", "old", "new"]


def test_a_folder_that_is_no_state_dir_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no `state-dir`"):
        clean(tmp_path, 30)


def test_the_command_says_what_it_removes(state_dir):
    def run(*arguments):
        return CliRunner().invoke(cli._app, ["node", "clean", str(state_dir), *arguments]).output

    assert (
        run("--dry-run")
        == "analyses/old: 40.0 days old, 0.0 MB\nwould remove 1, older than 30 days\n"
    )
    assert there(state_dir) == ["new", "old", "project"]
    assert "removed 2, older than 30 days" in run("--kept-data")
    assert "removed 1, older than 1 days" in run("--older-than", "1")
    assert there(state_dir) == []
