"""The Long COVID study: in process, in the simulation runtime, and a loop without the framework."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from deployment import Deployment

from flame_flwr.engine.submit import submit
from flame_flwr.star import StarModelTester

EXAMPLE = Path(__file__).parents[2] / "examples" / "halta"
DEPLOYED_ROUNDS = 2
pytestmark = pytest.mark.simulation

WATCHED = """
from flame_flwr.star import StarModel
from halta.analysis import RESULT_FILENAMES, HaltaAggregator, HaltaAnalyzer


class Watched(HaltaAggregator):
    '''Also hands over the last aggregate, which the study's four files show in part only.'''

    def final_method(self, result, evaluations):
        return [*super().final_method(result, evaluations), {"last": result, "tests": evaluations}]


model = StarModel(
    analyzer=HaltaAnalyzer,
    aggregator=Watched,
    data_type="s3",
    multiple_results=True,
    simple_analysis=False,
    output_type=["bytes", "str", "bytes", "bytes", "pickle"],
    filename=[*RESULT_FILENAMES, "last.pkl"],
)
client_app = model.client_app
server_app = model.server_app
"""


@pytest.fixture(scope="module")
def halta():
    """The example's modules, importable for the length of these tests."""
    sys.path[:0] = [str(EXAMPLE), str(EXAMPLE / "tests")]
    try:
        from halta import analysis, synthetic
        from halta_reference import reference_run

        yield analysis, synthetic, reference_run
    finally:
        del sys.path[:2]


@pytest.fixture(scope="module")
def study(halta, tmp_path_factory):
    """A folder with the app and three folders of CSV files."""
    folder = tmp_path_factory.mktemp("halta")
    app = folder / "app"
    ignored = shutil.ignore_patterns("tests", "pictures", "__pycache__")
    shutil.copytree(EXAMPLE, app, ignore=ignored)
    (app / "halta" / "watched.py").write_text(WATCHED)
    pyproject = (app / "pyproject.toml").read_text()
    (app / "pyproject.toml").write_text(pyproject.replace("halta.app:", "halta.watched:"))
    _, synthetic, _ = halta
    synthetic.main([str(folder / "hospitals")])
    return folder


@pytest.fixture(scope="module")
def simulated(study, federation):
    """The study in the simulation runtime."""
    config = {
        "data": f"{study}/hospitals/hospital-{{partition-id}}",
        "results": str(study / "results"),
    }
    log = []
    run = submit(study / "app", federation, config, on_line=log.append)
    assert run.succeeded, "\n".join(log)
    [results] = (study / "results").iterdir()
    return results


@pytest.fixture(scope="module")
def deployment(study):
    """A SuperLink and three SuperNodes, each with a folder of its own."""
    (study / "deployment").mkdir()
    with Deployment(study / "deployment") as made:
        for i in range(3):
            made.start_node(f"site-{i}", data=str(study / "hospitals" / f"hospital-{i}"))
        yield made


@pytest.fixture(scope="module")
def deployed(study, deployment):
    """The study on two and on three SuperNodes: the folders of their results.

    It has fewer rounds there, of which each is a new process at every node, and names no data.
    """
    app = shutil.copytree(study / "app", study / "app-of-deployment")
    pyproject, watched = app / "pyproject.toml", app / "halta" / "watched.py"
    text = pyproject.read_text()
    pyproject.write_text(text.replace('data = "halta.synthetic:node_files"', 'data = ""'))
    kwargs = f"    aggregator_kwargs={{'max_iterations': {DEPLOYED_ROUNDS}}},\n"
    watched.write_text(WATCHED.replace("    data_type=", kwargs + "    data_type="))

    def run(nodes):
        names = ",".join(f"site-{i}" for i in range(nodes))
        results = study / f"results-{nodes}"
        ended, log = deployment.run(app, nodes=names, results=str(results))
        assert ended.succeeded, log + deployment.logs()
        [folder] = results.iterdir()
        return folder

    return {nodes: run(nodes) for nodes in (2, 3)}


@pytest.fixture(scope="module")
def in_process(halta):
    return run_in_process(halta, 3)


def run_in_process(halta, nodes, **aggregator_kwargs):
    analysis, synthetic, _ = halta
    return StarModelTester(
        [[dict(synthetic.hospital_files(i))] for i in range(nodes)],
        analysis.HaltaAnalyzer,
        analysis.HaltaAggregator,
        "s3",
        simple_analysis=False,
        multiple_results=True,
        output_type=["bytes", "str", "bytes", "bytes"],
        aggregator_kwargs=aggregator_kwargs,
    )


@pytest.fixture(scope="module")
def reference(halta):
    return run_reference(halta, 3)


def run_reference(halta, nodes, rounds=10):
    _, synthetic, reference_run = halta
    files = [synthetic.hospital_files(i)["hospital_labeled.csv"] for i in range(nodes)]
    return reference_run(files, rounds)


def test_all_three_give_the_same_coefficients(simulated, in_process, reference):
    there = pickle.loads((simulated / "last.pkl").read_bytes())["last"]
    here = in_process.aggregate
    features, coef, intercept, _ = reference
    assert there["features"] == here["features"] == features
    for ours in (there, here):
        np.testing.assert_allclose(ours["coef"], coef, rtol=1e-12)
        np.testing.assert_allclose(ours["intercept"], intercept, rtol=1e-12)
    np.testing.assert_allclose(there["coef"], here["coef"], rtol=1e-12)


def test_all_three_are_right_as_often(simulated, in_process, reference):
    there = pickle.loads((simulated / "last.pkl").read_bytes())["tests"]
    here = list(in_process.evaluations.values())
    *_, scores = reference
    for tests in (there, here):
        hits = [(t["true_positive"] + t["true_negative"], t["n_test"]) for t in tests]
        assert hits == scores


def test_the_four_files_are_the_same_byte_for_byte(halta, simulated, in_process):
    analysis, _, _ = halta
    for name, content in zip(analysis.RESULT_FILENAMES, in_process.result, strict=True):
        expected = content.encode() if isinstance(content, str) else content
        assert (simulated / name).read_bytes() == expected, name


def test_the_runs_record_names_files_nodes_and_rounds(simulated):
    run = json.loads((simulated / "run.json").read_text())
    assert run["nodes"] == ["node-0", "node-1", "node-2"]
    assert (run["rounds"], run["converged"]) == (11, True)
    assert [file["bytes"] for file in run["files"]] == [
        (simulated / file["name"]).stat().st_size for file in run["files"]
    ]


@pytest.mark.parametrize("nodes", [2, 3])
def test_a_deployment_gives_the_same_coefficients_and_four_files(halta, deployed, nodes):
    folder, (analysis, _, _) = deployed[nodes], halta
    there = pickle.loads((folder / "last.pkl").read_bytes())["last"]
    assert json.loads((folder / "run.json").read_text())["rounds"] == DEPLOYED_ROUNDS + 1
    here = run_in_process(halta, nodes, max_iterations=DEPLOYED_ROUNDS)
    features, coef, intercept, _ = run_reference(halta, nodes, DEPLOYED_ROUNDS)
    assert there["features"] == here.aggregate["features"] == features
    for key, plain in (("coef", coef), ("intercept", intercept)):
        np.testing.assert_allclose(there[key], here.aggregate[key], rtol=1e-12)
        # One coefficient of two hospitals is a difference of larger numbers, near zero.
        np.testing.assert_allclose(there[key], plain, rtol=1e-12, atol=1e-15)
    for name in analysis.RESULT_FILENAMES:
        assert (folder / name).stat().st_size > 0
