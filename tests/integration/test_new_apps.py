"""The apps that ``flame-flwr new`` writes: they run in one process and pass their own tests."""

import os
from pathlib import Path

import pytest
from forked_checks import forked_checks
from forked_python import run_python

from flame_flwr.cli.new_app import create
from flame_flwr.testing.kit import check_path

HERE = Path(__file__).parent
NAMES = {
    "analysis": "ward_stays",
    "training": "illness",
    "statistics": "blood",
    "regression": "mortality",
    "table-one": "who_they_are",
}


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    """An app of every template, by its template; one in a folder whose name has hyphens."""
    where = tmp_path_factory.mktemp("apps")
    names = {**NAMES, "analysis": "ward-stays"}
    return {template: create(name, template, where) for template, name in names.items()}


def run(command, folder):
    environment = {key: text for key, text in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    path = os.pathsep.join([str(HERE), *filter(None, [environment.get("PYTHONPATH")])])
    environment["PYTHONPATH"] = path  # of `forked_checks`
    return run_python("-m", *command, cwd=folder, env=environment, timeout=120)


def test_the_tests_of_the_apps_pass(apps):
    """All in one process; ``test_new_simulation.py`` runs the checks that they hold too."""
    folders = [str(app) for app in apps.values()]
    chosen = ["-k", "not break_on_flower", "-p", "no:cacheprovider", "-p", "forked_checks", "-q"]
    pythonpath = ["-o", f"pythonpath={' '.join(folders)}"]
    done = run(["pytest", *chosen, *pythonpath, *folders], apps["analysis"])
    assert done.returncode == 0, done.stdout
    assert "22 passed" in done.stdout


def test_an_app_runs_in_process_by_one_command(apps):
    done = run(["ward_stays.local"], apps["analysis"])
    assert done.returncode == 0, done.stderr
    assert "Final result:\ntreatment    patients  mean days_in_hospital" in done.stdout


def test_an_app_is_checked_on_its_configs_data(apps):
    with forked_checks():
        report = check_path(apps["analysis"], skip=["repeats"])
    assert report.findings == []
    assert report.about == {"analyzer": "Analyzer", "server": "Aggregator", "nodes": 3, "rounds": 1}
