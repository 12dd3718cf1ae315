"""The Long COVID study: in process, in the simulation runtime, and a loop without the framework."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from flame_flwr.engine.submit import submit
from flame_flwr.star import StarModelTester

EXAMPLE = Path(__file__).parents[2] / "examples" / "halta"
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
def simulated(halta, federation, tmp_path_factory):
    """The study in the simulation runtime, over three folders of CSV files."""
    folder = tmp_path_factory.mktemp("halta")
    app = folder / "app"
    ignored = shutil.ignore_patterns("tests", "pictures", "__pycache__")
    shutil.copytree(EXAMPLE, app, ignore=ignored)
    (app / "halta" / "watched.py").write_text(WATCHED)
    pyproject = (app / "pyproject.toml").read_text()
    (app / "pyproject.toml").write_text(pyproject.replace("halta.app:", "halta.watched:"))
    _, synthetic, _ = halta
    synthetic.main([str(folder / "hospitals")])
    config = {
        "data": f"{folder}/hospitals/hospital-{{partition-id}}",
        "results": str(folder / "results"),
    }
    log = []
    run = submit(app, federation, config, on_line=log.append)
    assert run.succeeded, "\n".join(log)
    [results] = (folder / "results").iterdir()
    return results


@pytest.fixture(scope="module")
def in_process(halta):
    analysis, synthetic, _ = halta
    return StarModelTester(
        [[dict(synthetic.hospital_files(i))] for i in range(3)],
        analysis.HaltaAnalyzer,
        analysis.HaltaAggregator,
        "s3",
        simple_analysis=False,
        multiple_results=True,
        output_type=["bytes", "str", "bytes", "bytes"],
    )


@pytest.fixture(scope="module")
def reference(halta):
    _, synthetic, reference_run = halta
    contents = [synthetic.hospital_files(i)["hospital_labeled.csv"] for i in range(3)]
    return reference_run(contents)


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
