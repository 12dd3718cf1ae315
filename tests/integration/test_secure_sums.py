"""Secure sums in real runtimes: the same bits masked and not, and nobody's part at the server."""

import json
import pickle
import tomllib
from pathlib import Path
from threading import Thread

import halta_study
import numpy as np
import provisioned
import pytest
from deployed_app import KEYS
from flower_app import write_package

from flame_flwr.cli.submit import submit
from flame_flwr.statistics import Moments

HEAD = "from flame_flwr.star import StarAnalyzer, StarModel\n"
TAIL = """
model = StarModel(Steps, Sums, "s3", secure={secure})
client_app = model.client_app
server_app = model.server_app
"""
HOSPITALS = provisioned.IDENTIFIED
STRICT = HOSPITALS[-1]

APP = """
import numpy as np

from flame_flwr.aggregation import *
from flame_flwr.statistics import Moments
from flame_flwr.strategies import ReduceStrategy


def number(data):
    # of this process and of a simulation the number itself; on a deployment, files of it
    return float(data[0]["value"]) if isinstance(data, list) else data


class Steps(StarAnalyzer):
    # a linear regression of the last column on the others, by steps down its gradient
    def analysis_method(self, data, aggregator_results):
        data = number(data)
        at = np.zeros(3) if aggregator_results is None else aggregator_results["coef"]
        rows = np.random.default_rng(int(data)).normal(data, 1.0, (20 * int(data), 4))
        self.seen = getattr(self, "seen", 0) + len(rows)
        x, y = rows[:, :3], rows[:, 3]
        return {
            "coef": at - 0.02 * (x.T @ (x @ at - y)) / len(rows),
            "n": len(rows),
            "seen": self.seen,
            "first": Moments.from_data(rows[:, 0]),
        }

    def evaluation_method(self, data, result):
        data = number(data)
        return {"off": abs(float(result["coef"][0]) - data), "n": 20 * int(data)}


class Sums(ReduceStrategy):
    reductions = {"coef": WeightedMean("n"), "n": Sum(), "seen": Sum(), "first": Moments}
    score_sums = {"off": WeightedMean("n")}
    convergence = MaxRounds(3)
    outputs = [("all.pkl", "pickle", lambda final: final)]

    def finalize(self, aggregate, evaluations):
        coef, first = aggregate["coef"].tobytes(), aggregate["first"].to_json()
        return coef, aggregate["n"], aggregate["seen"], first, evaluations
"""


def result_of(folder):
    return pickle.loads((folder / "all.pkl").read_bytes())


def in_process(secure, nodes=3):
    """Return what the same two classes give in this process."""
    from flame_flwr import star

    names = vars(star) | {name: getattr(star, name) for name in star.__all__}
    exec(compile(APP, "app.py", "exec"), names)
    tester = star.StarModelTester(
        [k + 1.0 for k in range(nodes)],
        *(names["Steps"], names["Sums"], "s3"),
        secure=secure,
        quiet=True,
    )
    return tester.result[0]


@pytest.mark.simulation
def test_simulation_gives_the_bits_of_this_process(run_app):
    """Not in a run that there is: none declares sums.

    Those that are not masked are compared in this process, and on a deployment below.
    """
    wanted = in_process(False)
    assert in_process(True) == wanted
    done = run_app(APP, model="StarModel(Steps, Sums, 's3', secure=True)")
    assert done.succeeded, done.log
    assert result_of(done.folder) == wanted
    assert done.run["secure"]["masked"] is True
    assert np.frombuffer(wanted[0]).shape == (3,)
    assert done.run["secure"]["identities"] == "made up for this run"
    assert done.run["secure"]["grids"]["coef"] == [64, 32]
    assert sorted(done.run["secure"]["roster"]) == ["node-0", "node-1", "node-2"]
    assert all(not entry["node_metrics"] for entry in done.run["history"])
    json.dumps(done.run)


# ---- a deployment of three nodes -------------------------------------------------------------


def write_app(folder, secure):
    keys = KEYS | {"nodes": ",".join(HOSPITALS)}
    source = HEAD + APP + TAIL.format(secure=secure)
    return write_package(folder, f"summed{secure}".lower(), source, keys)


def own_parts():
    """Return each hospital's own numbers of the first round as they travel: by a plain loop."""
    for k in (1, 2, 3):
        rows = np.random.default_rng(k).normal(k, 1.0, (20 * k, 4))
        x, y = rows[:, :3], rows[:, 3]
        yield (np.zeros(3) - 0.02 * (x.T @ (x @ np.zeros(3) - y)) / len(rows)).tobytes()
        first = Moments.from_data(rows[:, 0]).to_json()
        yield from (first[name]["exact"].encode() for name in ("total", "squares"))


def at_the_server(deployment):
    """Return all that the SuperLink has written: its database, and what lies beside it."""
    files = [each for each in (deployment.folder / "var" / "server").rglob("*") if each.is_file()]
    assert any(each.name.startswith("superlink.db") for each in files)
    return b"".join(file.read_bytes() for file in sorted(files))


def run(deployment, tmp_path, secure, nodes=HOSPITALS):
    app, results = write_app(tmp_path / f"app {secure}", secure), tmp_path / f"results {secure}"
    ended, log = deployment.run(app, ",".join(nodes), results=str(results))
    return ended, f"{log}\n{deployment.logs()}", results


@pytest.mark.deployed
def test_deployment_gives_the_bits_of_this_process(identified, tmp_path):
    wanted = in_process(True)
    with identified.nodes(STRICT):
        ended, log, results = run(identified, tmp_path, secure=True)
        assert ended.succeeded, log
        refused, log, _ = run(identified, tmp_path / "refused", secure=False)
        assert not refused.succeeded
        assert "this hospital lets nothing out but secure sums" in log
    [folder] = results.glob("*")
    assert result_of(folder) == wanted
    about = json.loads((folder / "run.json").read_text())["secure"]
    assert set(about["masked by"]) == set(HOSPITALS)
    assert set(about["masked by"].values()) == {"the node"}
    assert about["identities"] == "the hospitals' own"
    assert not [part for part in own_parts() if part in at_the_server(identified)]
    assert_audited(identified)
    # and were they not masked, they could be read there
    others = HOSPITALS[:-1]
    ended, log, results = run(identified, tmp_path, secure=False, nodes=others)
    assert ended.succeeded, log
    [folder] = results.glob("*")
    assert result_of(folder) == in_process(False, len(others))
    there = at_the_server(identified)
    assert [part in there for part in own_parts()] == [True] * 6 + [False] * 3


def assert_audited(deployment):
    # where its config says now: the tests before this one share the node
    config = tomllib.loads((deployment.parties / "near" / "node.toml").read_text())
    lines = [json.loads(line) for line in Path(config["audit-log"]).read_text().splitlines()]
    masked = [line for line in lines if line.get("masked")]
    assert [line["answer_to"] for line in masked] == ["train", "train", "train", "evaluate"]
    assert {line["words"] for line in masked[:3]} == {1 + 1 + 3 + 1 + 1 + 2 + 2 * 4}
    assert masked[0]["structure"][1] == ["number", "int"]
    assert masked[0]["records"]["fitres.metrics"] == []  # no seconds, no size


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
    from flame_flwr.privacy.secure.stores import FolderStore

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
def test_node_that_died_gives_the_bytes_that_it_kept(identified, tmp_path):
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


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_study_of_sums_alone_gives_its_files_also_from_a_stock_node(identified, halta, tmp_path):
    """The Long COVID study; one hospital masks in the app's process, as Flower's SuperNode does.

    The other nodes' own process masks in the test above, and the study in this process beside it.
    """
    files = [identified.parties / name / "node.toml" for name in HOSPITALS]
    before = [file.read_text() for file in files]
    for place, name in enumerate(HOSPITALS):
        party = identified.parties / name
        keys = {"identity_key": str(party / "own" / "identity.key")}
        keys |= {"peers": str(party / "peers.toml"), "secure": "require"}
        identified.configure(
            name, data=str(identified.folder / "data" / f"hospital-{place}"), **keys
        )
    app, results = halta_study.write_summed_app(tmp_path / "app"), tmp_path / "results"
    stock = identified.parties / "near" / "start-stock.sh"
    start = (identified.parties / "near" / "start.sh").read_text()
    stock.write_text(start.replace("flame-flwr node start ", "flame-flwr node start --stock "))
    for name in HOSPITALS[:-1]:
        identified.start_node(name)
    identified.start("near", "sh", stock)
    try:
        nodes = ",".join(HOSPITALS)
        ended, log = identified.run(app, nodes, results=str(results), data="")
        assert ended.succeeded, f"{log}\n{identified.logs()}"
    finally:  # as the modules after this one find them
        identified.stop("near")
        for file, text in zip(files, before, strict=True):
            file.write_text(text)
        for name in HOSPITALS[:-1]:
            identified.start_node(name)
    [folder] = results.glob("*")
    by = json.loads((folder / "run.json").read_text())["secure"]["masked by"]
    assert by == {"far": "the node", "hospital-a": "the node", "near": "the app's process"}
    assert_files(folder, halta_study.summed_in_process(halta))


@pytest.mark.simulation
@pytest.mark.exhaustive
def test_study_of_sums_alone_gives_its_files_in_a_simulation(halta, federation, tmp_path):
    """With the test above, the study is seen in all three runtimes; no other simulation has it."""
    halta[1].main([str(tmp_path / "identified")])
    config = {
        "data": f"{tmp_path}/identified/hospital-{{partition-id}}",
        "results": str(tmp_path / "results"),
    }
    log = []
    app = halta_study.write_summed_app(tmp_path / "app")
    ended = submit(app, federation, config, on_line=log.append)
    assert ended.succeeded, "\n".join(log)
    [folder] = (tmp_path / "results").iterdir()
    assert_files(folder, halta_study.summed_in_process(halta))


def assert_files(folder, wanted):
    for name, content in wanted.items():
        assert (folder / name).read_bytes() == content, name
