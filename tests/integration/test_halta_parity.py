"""The Long COVID study: in process, in the simulation runtime, and a loop without the framework.

``test_provision.py`` has it on a deployment.
"""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from deployment import Deployment
from halta_study import in_process as run_in_process
from halta_study import plain_loop, write_app

from flame_flwr.cli.submit import submit

DEPLOYED_ROUNDS = 2
pytestmark = pytest.mark.simulation


@pytest.fixture(scope="module")
def simulated(halta, federation, tmp_path_factory):
    """The study in the simulation runtime, with its last aggregate beside the four files."""
    folder = tmp_path_factory.mktemp("halta")
    halta[1].main([str(folder / "hospitals")])
    config = {
        "data": f"{folder}/hospitals/hospital-{{partition-id}}",
        "results": str(folder / "results"),
    }
    log = []
    run = submit(write_app(folder / "app"), federation, config, on_line=log.append)
    assert run.succeeded, "\n".join(log)
    [results] = (folder / "results").iterdir()
    return results


@pytest.fixture(scope="module")
def in_process(halta):
    return run_in_process(halta, 3)


@pytest.fixture(scope="module")
def reference(halta):
    return plain_loop(halta, 3)


@pytest.mark.exhaustive
def test_a_simulation_gives_the_same_coefficients(simulated, in_process):
    """To the last digit; what the demo writes shows three of them."""
    there = pickle.loads((simulated / "last.pkl").read_bytes())["last"]
    here = in_process.aggregate
    assert there["features"] == here["features"]
    np.testing.assert_allclose(there["coef"], here["coef"], rtol=1e-12)
    np.testing.assert_allclose(there["intercept"], here["intercept"], rtol=1e-12)


def test_in_process_coefficients_are_the_plain_loops(in_process, reference):
    here = in_process.aggregate
    features, coef, intercept, scores = reference
    assert here["features"] == features
    np.testing.assert_allclose(here["coef"], coef, rtol=1e-12)
    np.testing.assert_allclose(here["intercept"], intercept, rtol=1e-12)
    tests = in_process.evaluations.values()
    hits = [(round(t["accuracy"] * t["n_test"]), t["n_test"]) for t in tests]
    assert hits == scores


@pytest.fixture(scope="module")
def shown(demo):
    """The folder of the demo's run in the simulation runtime."""
    return Path(demo.splitlines()[-1].strip()).parent


def test_the_demos_files_equal_this_processs_bytes(halta, shown, in_process):
    analysis, _, _ = halta
    for name, content in zip(analysis.RESULT_FILENAMES, in_process.result, strict=True):
        expected = content.encode() if isinstance(content, str) else content
        assert (shown / name).read_bytes() == expected, name


def test_the_demos_record_names_files_nodes_and_rounds(shown):
    run = json.loads((shown / "run.json").read_text())
    assert run["nodes"] == ["node-0", "node-1", "node-2"]
    assert (run["rounds"], run["converged"]) == (11, True)
    assert [file["bytes"] for file in run["files"]] == [
        (shown / file["name"]).stat().st_size for file in run["files"]
    ]


@pytest.mark.exhaustive
def test_three_supernodes_give_the_same_coefficients(halta, tmp_path):
    """A deployment of its own; ``test_provision.py`` has two hospitals."""
    halta[1].main([str(tmp_path / "hospitals")])
    names = [f"site-{i}" for i in range(3)]
    app = write_app(tmp_path / "app", max_iterations=DEPLOYED_ROUNDS)
    with Deployment(tmp_path / "deployment") as deployment:
        for i, name in enumerate(names):
            deployment.start_node(name, data=str(tmp_path / "hospitals" / f"hospital-{i}"))
        results = str(tmp_path / "results")
        ended, log = deployment.run(app, nodes=",".join(names), results=results, data="")
        assert ended.succeeded, log + deployment.logs()
    [folder] = (tmp_path / "results").iterdir()
    there = pickle.loads((folder / "last.pkl").read_bytes())["last"]
    here = run_in_process(halta, 3, max_iterations=DEPLOYED_ROUNDS).aggregate
    assert there["features"] == here["features"]
    for key in ("coef", "intercept"):
        np.testing.assert_allclose(there[key], here[key], rtol=1e-12)
