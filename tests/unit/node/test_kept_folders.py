"""An app has put something else in the place of a folder that its node looks through afterwards."""

import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord

from flame_flwr.config import NodeSettings
from flame_flwr.data.kept_files import LOCAL_STORAGE, FolderFiles, analysis_files
from flame_flwr.errors import FlameError
from flame_flwr.node.kept_folders import KeptFolders

SESSION, OTHER = "0" * 32, "1" * 32
PLACES = {
    "the project's": "local-storage/covid/a",
    "the project's parent": "local-storage/covid",
    "all projects'": "local-storage",
    "the analysis's": f"analyses/{SESSION}-covid/a",
    "the analysis's parent": f"analyses/{SESSION}-covid",
    "another analysis's": f"analyses/{OTHER}-covid/a",
    "another analysis's parent": f"analyses/{OTHER}-covid",
    "all analyses'": "analyses",
    "the node's": "",
}


def kept_at(root, size):
    """Make what a project and two analyses of it keep."""
    for files in (
        FolderFiles(root, LOCAL_STORAGE, "covid", "a"),
        analysis_files(root, SESSION, "covid", "a"),
        analysis_files(root, OTHER, "covid", "a"),
    ):
        files.make()
        for number in range(3):
            files.write(f"after-{number:08d}.state", [bytes(size)])


def seen(folder):
    return {path: (path.lstat().st_mode, path.lstat().st_ino) for path in folder.rglob("*")}


@pytest.fixture
def precious(tmp_path):
    """Folders that are none of the node's, though they look like it: all of them must survive."""
    kept_at(tmp_path / "precious", 600_000)  # more than may be kept
    for path in [*(tmp_path / "precious").glob("*/*/a")]:
        (path / "own").mkdir()
        (path / "own" / "file").touch()
    for path in (tmp_path / "precious").rglob("*"):
        path.chmod(0o500)
    before = seen(tmp_path / "precious")
    yield tmp_path / "precious"
    assert seen(tmp_path / "precious") == before


@pytest.fixture
def kept(tmp_path):
    """Before an app runs, and what settles what it has left."""
    if not (tmp_path / "state").exists():
        kept_at(tmp_path / "state", 1000)
    settings = NodeSettings.from_config(
        {"state-dir": str(tmp_path / "state"), "state-mb": 0.1, "name": "a"}
    )
    context = SimpleNamespace(run_config={"project-id": "covid"}, node_id=1)
    content = {"fitins.config": ConfigRecord({"session": SESSION})}
    asked = SimpleNamespace(context=context, message=SimpleNamespace(content=content))
    return lambda: KeptFolders.of(settings, asked)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_link_leads_to_survives(tmp_path, kept, precious, place):
    before, there = kept(), tmp_path / "state" / PLACES[place]
    there.rename(tmp_path / "away")
    there.symlink_to(precious / PLACES[place])
    assert before.settle()
    assert there.is_symlink() == (place == "the node's")  # which an administrator may move
    if place != "the node's":
        assert not kept().settle()  # the next message has its folders again


@pytest.mark.parametrize("place", ["the project's", "the analysis's parent", "another analysis's"])
@pytest.mark.parametrize("odd", [os.mkfifo, Path.touch, lambda path: os.mknod(path, 0o140600)])
def test_what_is_no_folder_goes(tmp_path, kept, place, odd):
    before, there = kept(), tmp_path / "state" / PLACES[place]
    shutil.rmtree(there)
    odd(there)
    assert before.settle()
    assert there.is_dir() or place == "another analysis's"
    assert not kept().settle()


def test_another_folder_in_its_place_goes(tmp_path, kept, caplog):
    before, there = kept(), tmp_path / "state" / PLACES["the project's"]
    there.rename(tmp_path / "away")
    there.mkdir(0)
    assert before.settle()
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1
    assert there.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(there)
    assert kept().settle() == ""


def test_a_pipe_is_not_waited_for(tmp_path):
    files = FolderFiles(tmp_path / "state", LOCAL_STORAGE, "covid", "a")
    files.make()
    os.mkfifo(files.folder / "a")
    with pytest.raises(FlameError, match="cannot be read"):
        files.read("a")


MOVE = """
import os, tempfile
for there in ({kept!r}, tempfile.gettempdir()):
    os.rename(there, os.path.join({away!r}, os.path.basename(there)))
    os.symlink({precious!r}, there)
if not os.fork():
    os.setsid()
    while True:  # goes on until somebody ends it
        try:
            os.rmdir({kept!r})
            os.symlink({precious!r}, {kept!r})
        except OSError:
            pass
"""


def test_an_app_that_moves_its_folders_is_refused(obey, tmp_path, precious):
    """Also where it goes on doing so after its answer; without the sandbox only can it do so."""
    state = tmp_path / "state"
    kept = state / "local-storage" / "long-covid" / "a"
    (tmp_path / "away").mkdir()
    code = MOVE.format(kept=str(kept), away=str(tmp_path / "away"), precious=str(precious))
    error = obey(code, state_dir=str(state), sandbox="off")
    assert "node a: the analysis has put something else in the place of a folder" in error.reason
    assert list(kept.iterdir()) == []
    assert obey("told['on'] = 1", state_dir=str(state), sandbox="off") == {"on": 1}
    [scratch] = (tmp_path / "away").glob("flame-flwr-message-*")  # gone before the next message
    assert not (Path(tempfile.gettempdir()) / scratch.name).is_symlink()
