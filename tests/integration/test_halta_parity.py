"""The Long COVID study: in process, in the simulation runtime, and a loop without the framework.

``test_provision.py`` has it on a deployment.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from halta_study import in_process as run_in_process
from halta_study import plain_loop

pytestmark = pytest.mark.simulation


@pytest.fixture(scope="module")
def in_process(halta):
    return run_in_process(halta, 3)


@pytest.fixture(scope="module")
def reference(halta):
    return plain_loop(halta, 3)


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
