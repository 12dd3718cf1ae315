"""Results in a store: what a run says of a bucket that is not there, and what the command says.

``test_simulation.py`` lists and fetches a run; ``test_filters.py`` has one on a deployment.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flame_flwr.cli.submit import simulation

MODEL = "StarModel(Analyzer, Aggregator, 's3', simple_analysis=False, filename='result.txt')"


@pytest.fixture
def federation(object_store):
    """Where the app runs: a SuperLink that knows the store's address and key."""
    with simulation(2) as place:
        yield place


def command(*arguments, **environment):
    """Run ``flame-flwr results`` as an analyst does."""
    program = str(Path(sys.executable).with_name("flame-flwr"))
    return subprocess.run(
        [program, "results", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.simulation
@pytest.mark.exhaustive
def test_a_missing_bucket_ends_before_round_1(run_app):
    """``tests/servers/test_object_store.py`` has this and what else a store may lack."""
    missing = run_app("", MODEL, results="s3://other/study")
    assert not missing.succeeded
    assert "is there a bucket other on http://127.0.0.1" in missing.log
    assert "round 1" not in missing.log


@pytest.mark.exhaustive
def test_a_folder_is_listed_and_fetched_alike(tmp_path):
    """``tests/unit/results/test_fetch.py`` has this without the command's process."""
    assert "there is no folder" in command(tmp_path / "none").stderr
    assert command(tmp_path).stdout == "no runs here\n"
