"""What an analysis may keep on a node's disk, in the sandbox and without it."""

import os
from pathlib import Path

import pytest
from flwr.app import Error

from flame_flwr.data.kept_files import analysis_files
from flame_flwr.flower_node_state import RAISED
from flame_flwr.folder_trees import remove_tree


def test_one_file_gets_no_larger(obey, sandbox):
    told = obey(
        "import tempfile\n"
        "with tempfile.TemporaryFile() as file:\n"
        "    try:\n"
        "        for _ in range(40): file.write(bytes(10_000_000)); file.flush()\n"
        "    except OSError as error: told['file'] = error.errno\n",
        sandbox=sandbox,
        memory_gb=0.25,
    )
    if isinstance(told, Error):  # without a sandbox a busy node may have looked at the sum first
        assert "more in temporary files" in told.reason
    else:
        assert told["file"] in (27, 28)  # too large, or the file system is full


def test_what_it_keeps_has_a_limit(obey):
    code = "import sys; sys._getframe(1).f_locals['self'].kept = bytes({})"
    error = obey(code.format(3_000_000), state_mb=2)
    assert "node a: the analysis keeps more from round to round" in error.reason
    assert "`state-mb` in the node config" in error.reason
    assert obey(code.format(1_000_000), state_mb=2) == {}


FILL = """
import os
for number in range({files}):
    with open(os.path.join({folder!r}, {name!r}.format(number)), "wb") as file:
        file.write(bytes({size}))
"""

VALUE = "{:020d}_01234567-89ab-cdef-0123-456789abcdef_.value"


def taken(folder):
    return sum(512 * path.lstat().st_blocks for path in Path(folder).rglob("*"))


def kept_in(state):
    """Return the folder of the project that `obey` asks for."""
    return str(state / "local-storage" / "long-covid" / "a")


@pytest.mark.parametrize("name", [VALUE, "own-{}", "after-{:08d}.state"])
def test_what_lies_on_disk_has_a_limit(obey, sandbox, tmp_path, name):
    """Of many files, each small enough; also where it ends before anybody looks."""
    config = {"state_dir": str(tmp_path), "state_mb": 1, "sandbox": sandbox}
    fill = FILL.format(files=100, folder=kept_in(tmp_path), name=name, size=1_000_000)
    error = obey(fill, **config)
    if name != "own-{}" or not isinstance(error, dict):  # these go, and it may be answered
        assert error.code == RAISED
        assert "keeps more on its node's disk" in error.reason
        assert "`state-mb` in the node config" in error.reason
    assert taken(tmp_path) < 2_000_000
    assert obey("told['on'] = 1", **config) == {"on": 1}


def test_little_under_own_names_is_removed(obey, sandbox, tmp_path):
    """The framework's files stay, with what other messages have kept."""
    config = {"state_dir": str(tmp_path), "state_mb": 1, "sandbox": sandbox}
    kept = kept_in(tmp_path)
    assert obey(FILL.format(files=3, folder=kept, name=VALUE, size=1000), **config) == {}
    odd = f"import os; os.symlink('/', {kept!r} + '/link'); os.chmod({kept!r}, 0)"
    assert obey(FILL.format(files=2, folder=kept, name="own-{}", size=9) + odd, **config) == {}
    assert sorted(os.listdir(kept)) == [VALUE.format(number) for number in range(3)]
    error = obey(
        FILL.format(files=9, folder=kept, name=VALUE.replace("_0", "_f"), size=10**6), **config
    )
    assert "keeps more" in error.reason
    assert sorted(os.listdir(kept)) == [VALUE.format(number) for number in range(3)]


def test_a_hidden_folder_is_found_and_removed(obey, sandbox, tmp_path):
    """However deep it is, and whatever its rights are."""
    config = {"state_dir": str(tmp_path), "state_mb": 1, "sandbox": sandbox}
    code = f"""
import os, time
os.chdir({kept_in(tmp_path)!r})
for number in range(3000):
    os.mkdir("deep")
    os.chdir("deep")
with open("large", "wb") as file:
    file.write(bytes(3_000_000))
os.chmod({kept_in(tmp_path)!r} + "/deep", 0)
"""
    try:
        obey(code, **config)  # ended, where it is looked at just then
        assert os.listdir(kept_in(tmp_path)) == []
        error = obey(code + "time.sleep(600)", **config)
        assert "or folders of its own there" in error.reason
        assert os.listdir(kept_in(tmp_path)) == []
    finally:  # for others, who remove it level by level
        remove_tree(tmp_path)


def test_temporary_files_have_a_limit(obey, sandbox):
    """Without the sandbox they are on the machine's disk, and go however they lie there."""
    code = FILL.format(files=9, folder="SCRATCH", name="deep/{}", size=50_000_000)
    code = "import tempfile\n" + code.replace("'SCRATCH'", "tempfile.gettempdir()")
    code = code.replace("for number", "os.mkdir(tempfile.gettempdir() + '/deep')\nfor number")
    told = obey(
        f"{code}\nimport time; time.sleep(600)", sandbox=sandbox, memory_gb=0.25, message_timeout=60
    )
    if sandbox == "off":
        assert "has more in temporary files" in told.reason
    else:
        assert told.type == "OSError"  # a file system of its own, of that size


def test_a_projects_analyses_have_a_limit_together(obey, sandbox, tmp_path):
    """A run chooses the session of each message; those unused for longest go."""
    config = {"state_dir": str(tmp_path), "state_mb": 1, "sandbox": sandbox}
    left = []
    for number in range(9):
        session = f"{number:032x}"
        folder = analysis_files(tmp_path, session, "long-covid", "a").folder
        fill = FILL.format(files=1, folder=str(folder), name="after-{:08d}.state", size=900_000)
        assert obey(fill, session=session, **config) == {}
        left.append(folder)
    assert obey("", project="another", session=f"{9:032x}", **config) == {}
    there = [folder.is_dir() for folder in left]
    assert there == sorted(there)
    assert there[-3:] == [True, True, True]
    assert taken(tmp_path) < 5_000_000


def test_files_without_a_name_have_a_limit(obey, sandbox, tmp_path):
    """They are gone after the message, and until then as large as any."""
    code = f"""
import os, time
kept = []
for number in range(4):
    kept.append(open(os.path.join({kept_in(tmp_path)!r}, str(number)), "wb"))
    os.unlink(kept[-1].name)
    for _ in range(10):
        kept[-1].write(bytes(10_000_000))
    kept[-1].flush()
time.sleep(600)
"""
    error = obey(code, state_dir=str(tmp_path), sandbox=sandbox, memory_gb=0.3, message_timeout=60)
    assert "has more in temporary files" in error.reason
