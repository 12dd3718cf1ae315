"""A node that was killed in a round of secure sums gives again the bytes that it kept."""

import json
import tomllib
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from deployed_app import KEYS
from flower_app import write_package
from summed_app import APP, HEAD, HOSPITALS, TAIL, result_of

DRAWN = APP.replace(
    "        self.seen =",
    """        import time
        from pathlib import Path

        rows = rows + np.random.default_rng().normal(size=rows.shape)  # others when run again
        folder = Path(files["folder"].decode()) if files else Path()
        while self.num_iterations == 1 and Path(folder, "hold").exists():
            time.sleep(0.05)
        self.seen =""",
).replace(
    "        data = number(data)\n        at",
    "        files, data = data[0] if isinstance(data, list) else {}, number(data)\n        at",
)

DIES = """
import os, signal, sys

if sys.argv[1:3] == ["node", "start"]:
    from flame_flwr.privacy.secure.session_stores import FolderStore

    save = FolderStore.save

    def save_and_die(self, head, answer):
        save(self, head, answer)
        if self.saved == 3 or os.getpid() != parent:  # key, roster, round 1, round 2
            os.kill(parent, signal.SIGKILL)
        FolderStore.saved += 1

    FolderStore.saved, parent = 0, os.getpid()
    FolderStore.save = save_and_die
"""

DIES_AFTER = """
import os, signal, sys

if sys.argv[1:3] == ["node", "start"]:
    import flwr.supernode.start_client_internal as node

    push, pushed = node.push_object_contents_from_iterable, []

    def push_and_die(*arguments, **options):
        push(*arguments, **options)
        pushed.append(1)
        if len(pushed) == 3:  # hello, round 1, round 2
            os.kill(os.getpid(), signal.SIGKILL)

    node.push_object_contents_from_iterable = push_and_die
"""


def begin(deployment, app, **config):
    """Run in a thread; return how to get the outcome."""
    outcome = []
    nodes = ",".join(HOSPITALS)
    config |= {"on-failure": "wait"}
    thread = Thread(target=lambda: outcome.append(deployment.run(app, nodes, **config)))
    thread.start()

    def end():
        thread.join(timeout=240)
        assert outcome, deployment.logs()
        return outcome[0]

    return end


def round_left(deployment, name, number, before):
    log = deployment.folder / "var" / name / "audit.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()[before[name] :]]
    return any(line["round"] == number and line.get("masked") for line in lines)


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_a_killed_node_repeats_its_kept_bytes(identified, tmp_path):
    """Killed between its state's write and the push, and one between push and exit; then the run.

    The SuperLink takes minutes to see it; ``tests/unit/privacy/secure/test_session.py`` has the
    same of a process alone.
    """
    app = write_package(
        tmp_path / "app", "drawn", HEAD + DRAWN + TAIL.format(secure=True),
        KEYS | {"nodes": ",".join(HOSPITALS)},
    )  # fmt: skip
    config = {"results": str(tmp_path / "results"), "checkpoint": str(tmp_path / "kept")}
    for name, text in (("far", DIES), ("hospital-a", DIES_AFTER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sitecustomize.py").write_text(text)
    logs = {name: identified.folder / "var" / name / "audit.jsonl" for name in HOSPITALS}
    before = {
        name: len(log.read_text().splitlines()) if log.exists() else 0 for name, log in logs.items()
    }
    held = data_of(identified, "near")
    (held / "hold").touch()
    die = ("far", "hospital-a")
    with identified.nodes("near"):
        for name in die:
            start = identified.parties / name / "start.sh"
            identified.start(name, start, PYTHONPATH=str(tmp_path / name))
        try:
            end = begin(identified, app, **config)
            died = [identified.processes[name] for name in die]
            identified.wait_for("both to die", lambda: None not in [each.poll() for each in died])
            kept = {
                state_of(identified, name): state_of(identified, name).read_bytes() for name in die
            }
            assert not round_left(identified, "far", 2, before)
            assert round_left(identified, "hospital-a", 2, before)
            # until then the SuperLink takes them for online, and does not let them in again
            gone = {"offline", "deactivated"}
            identified.wait_for(
                "both to be gone",
                lambda: {identified.states().get(name) for name in die} <= gone,
                180,
            )
            for name in die:
                identified.start_node(name)
            identified.wait_for("far's answer", lambda: round_left(identified, "far", 2, before))
            assert all(state.read_bytes() == data for state, data in kept.items())
            listed = json.loads(identified.analyst("flwr", "list", "study", "--format", "json"))
            [run_id] = [r["run-id"] for r in listed["runs"] if "running" in r["status"]]
            identified.analyst("flwr", "stop", "study", str(run_id), expect=None)
            stopped, _ = end()
            assert not stopped.succeeded
            (held / "hold").unlink()
            identified.wait_for("near's answer", lambda: round_left(identified, "near", 2, before))
            end = begin(identified, app, resume=True, **config)
            ended, log = end()
            assert ended.succeeded, f"{log}\n{identified.logs()}"
            assert "going on after round 1" in log
        finally:
            for name in die:
                identified.start_node(name)
    [folder] = (each.parent for each in (tmp_path / "results").glob("*/all.pkl"))
    coef, n, seen, _, _ = result_of(folder)
    assert (n, seen) == (120, 3 * 120)  # each analyzer went on once from each round
    assert np.isfinite(np.frombuffer(coef)).all()


def state_of(deployment, name):
    """Return the file of the newest session."""
    states = (deployment.folder / "var" / name / "state").glob(f"secure-sums/*/{name}/secure.state")
    return max(states, key=lambda path: path.stat().st_mtime)


def data_of(deployment, name):
    config = tomllib.loads((deployment.parties / name / "node.toml").read_text())
    return Path(config["data"])
