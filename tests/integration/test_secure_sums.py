"""Secure sums in real runtimes: the same bits masked and not, and nobody's part at the server."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from deployed_app import KEYS
from flower_app import write_package
from summed_app import APP, HEAD, HOSPITALS, TAIL, result_of

from flame_flwr.statistics import Moments

STRICT = HOSPITALS[-1]


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
