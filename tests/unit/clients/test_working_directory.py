"""Where user code works on a node: what it leaves there is removed."""

import os
import subprocess
import sys
from pathlib import Path

from hanging import HANGS
from node_messages import train

from flame_flwr.clients.local_grid import LocalGrid

from .leaking_plans import SECRET, plan


def writes(self, data, result):
    """Careless: writes where it stands."""
    before = sorted(os.listdir())
    Path("plots").mkdir()
    Path("plots/a.png").write_text(SECRET)
    Path("b.csv").write_text(SECRET)
    Path("link").symlink_to("/etc")
    if result == "fail":
        raise ValueError(os.getcwd())
    return {"before": before, "where": os.getcwd(), "mode": os.stat(".").st_mode & 0o777}


def test_relative_files_of_user_code_are_removed(deployed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LocalGrid(plan(writes), [None]) as grid:
        for number in (1, 2):
            said = train(grid, number, 0)
            assert said["before"] == []  # also after a round that failed
            assert said["where"] != str(tmp_path)
            assert said["mode"] == 0o700
            assert Path.cwd() == tmp_path
            assert list(tmp_path.iterdir()) == []
            folder = Path(said["where"])
            assert not folder.exists() or list(folder.iterdir()) == []
            assert train(grid, number, "fail").type == "ValueError"
            assert not (folder / "b.csv").exists()
    assert Path("/etc/hostname").exists()


def test_removing_ones_working_directory_costs_no_answer(deployed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def removes(self, data, result):
        os.rmdir(os.getcwd())
        return 5

    with LocalGrid(plan(removes), [None]) as grid:
        assert [train(grid, 1), train(grid, 2)] == [5, 5]
    assert Path.cwd() == tmp_path


def test_in_process_the_working_directory_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LocalGrid(plan(writes), [None]) as grid:
        assert train(grid, 1)["where"] == str(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "link", "plots"]


HELLO = """
from flwr.app import Context, RecordDict
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.flower import GetPropertiesIns
from flame_flwr.star import StarAnalyzer

class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1

context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
client = StarClient(NodePlan(Analyzer), context).to_client()
print(client.get_properties(GetPropertiesIns({})).properties)
"""


def test_a_process_leaves_no_temporary_folder(tmp_path):
    """On a deployment every message is a process: an empty folder each would fill the disk."""
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", HELLO],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "FLWR_HOME": str(tmp_path / "flwr")},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert "'wire'" in done.stdout, done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
