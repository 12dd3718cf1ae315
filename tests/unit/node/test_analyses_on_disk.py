"""What a node keeps of analyses is each project's own, and goes with time."""

import os
import shutil
import time

import pytest

from flame_flwr.data.kept_files import ANALYSES, FolderFiles
from flame_flwr.node.linux import has_fence

pytestmark = pytest.mark.skipif(
    not shutil.which("bwrap"),
    reason="bubblewrap is not installed: `make test-sandbox` installs Debian's, as root",
)


@pytest.fixture
def node(tmp_path):
    """A node's folder, with data and nothing kept yet."""
    for name in ("data", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "data" / "patients.csv").write_text("age\n71\n")
    return tmp_path


def test_old_analyses_go_at_hello(obeying_host, obeying_fab, node, node_message, sandbox):
    """The node removes them: in the sandbox, an analysis does not see those of others."""
    then, places = time.time() - 31 * 86400, {}
    for name in ("old", "deep"):
        files = FolderFiles(node / "state", ANALYSES, name[0].encode().hex() * 16, "a")
        files.make()
        files.write("run.json", [b"{}"])
        places[name] = files.folder
    (places["deep"] / "not" / "an" / "analysis's").mkdir(parents=True)
    for path in (node / "state" / ANALYSES).rglob("*"):
        os.utime(path, (then, then))
    config = {"data": str(node / "data"), "state-dir": str(node / "state"), "sandbox": sandbox}
    asked = node_message(
        "obeying", obeying_fab, None, kind="get_properties", node=config, session="0" * 32
    )
    said = obeying_host.answer(asked).reply.content["getpropertiesres.properties"]
    assert "failure" not in said, said
    assert [name for name in places if places[name].exists()] == []
    assert [*(node / "state" / ANALYSES).glob(f"{'0' * 32}-*/a")]


@pytest.mark.parametrize("mode", ["bwrap", "landlock"])
def test_an_analysis_is_its_projects_only(obey, obeying_host, node, monkeypatch, mode):
    """Also for who knows its session: a run of another project has an empty folder of its own."""
    if mode == "landlock":
        if not has_fence():
            pytest.skip("this kernel has no Landlock")
        monkeypatch.setattr(obeying_host.sandbox, "_trouble", "there is no bubblewrap")
    state = node / "state"
    config = {"state_dir": str(state), "sandbox": mode if mode == "bwrap" else "auto"}
    assert obey("told['done'] = True", project="one", session="ab" * 16, **config)["done"]
    [kept] = (state / ANALYSES).glob("*/a/after-*.state")
    kept_before = kept.stat().st_size
    code = f"""
import os
for folder, _, names in os.walk({str(state / ANALYSES)!r}):
    told[folder] = [each for each in names if each.startswith("after")]
try:
    told["read"] = len(open({str(kept)!r}, "rb").read())
except OSError as error:
    told["read"] = type(error).__name__
try:
    told["written"] = open({str(kept)!r}, "a").write("x")
except OSError as error:
    told["written"] = type(error).__name__
"""
    told = obey(code, project="two", session="ab" * 16, **config)
    assert {told.pop("read"), told.pop("written")} <= {"FileNotFoundError", "PermissionError"}
    assert [*filter(None, told.values())] == []
    again = obey(code, project="one", session="ab" * 16, **config)
    assert again["read"] == kept_before


def test_states_without_a_project_are_refused(obey, node, sandbox):
    """As they lie there of an earlier version: nobody can tell whose they are."""
    old = FolderFiles(node / "state", ANALYSES, "ab" * 16, "a")
    old.make()
    old.write("after-00000001.state", [b"kept"])
    error = obey("", session="ab" * 16, state_dir=str(node / "state"), sandbox=sandbox)
    assert "start the analysis again" in error.reason
    assert obey("told['on'] = 1", state_dir=str(node / "state"), sandbox=sandbox) == {"on": 1}
