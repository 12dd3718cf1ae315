"""The study in Flower's runtimes: the plain loop's numbers, and what one sees of it."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cross_site_reference import assert_weights, reference_run
from deployment import Deployment

from cross_site.hospitals import main
from flame_flwr.cli.submit import submit

EXAMPLE = Path(__file__).parents[1]
pytestmark = pytest.mark.simulation


@pytest.mark.exhaustive
def test_in_simulation_it_is_the_plain_loop_too(files, table, contents, federation, tmp_path):
    """``tests/integration/test_halta_parity.py`` has a study's files in a simulation."""
    log = []
    four = replace(federation, nodes=4)
    ended = submit(EXAMPLE, four, {"results": str(tmp_path)}, on_line=log.append)
    assert ended.succeeded, "\n".join(log)
    [folder] = tmp_path.iterdir()
    assert_weights(table((folder / "weights.csv").read_text()), reference_run(contents)[0])
    for name, content in files.items():
        written = content.encode() if isinstance(content, str) else content
        assert (folder / name).read_bytes() == written, name
    record = json.loads((folder / "run.json").read_text())
    assert (record["rounds"], record["converged"]) == (11, True)
    beside = {path.name for path in folder.iterdir()} - set(files)
    assert beside - {"report.html", "tensorboard"} == {"history.csv", "run.json"}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """Two rounds at two hospitals, as every answer is a process: the run's folder and its log.

    The first hospital lets everybody know how much data it has. A deployment of its own:
    ``tests/integration/test_provision.py`` has the Long COVID study and the same report.
    """
    place = tmp_path_factory.mktemp("cross-site")
    main([str(place / "hospitals")])
    app = place / "app"
    ignored = shutil.ignore_patterns("tests", "pictures", "__pycache__")
    shutil.copytree(EXAMPLE, app, ignore=ignored)
    pyproject = (app / "pyproject.toml").read_text()
    for key, value in (("data", ""), ("report", "on"), ("tensorboard", "on")):
        pyproject = re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', pyproject)
    (app / "pyproject.toml").write_text(pyproject)
    analysis = app / "cross_site" / "analysis.py"
    analysis.write_text(analysis.read_text().replace("ROUNDS = 10", "ROUNDS = 2"))
    results = place / "results"
    with Deployment(place / "deployment") as made:
        for k, more in enumerate(({"share_size": True}, {})):
            data = str(place / "hospitals" / f"hospital-{k}")
            made.start_node(f"site-{k}", data=data, **more)
        ended, log = made.run(app, nodes="site-0,site-1", results=str(results))
        assert ended.succeeded, log + made.logs()
    [folder] = results.iterdir()
    return folder, log


@pytest.mark.exhaustive
def test_a_deployment_gives_the_plain_loop_too(contents, table, deployed):
    weights, _, _ = reference_run(contents[:2], rounds=2)
    assert_weights(table((deployed[0] / "weights.csv").read_text()), weights)


@pytest.mark.exhaustive
def test_a_deployment_shows_rounds_and_leaves_a_report(deployed):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, log = deployed
    nodes = ["site-0", "site-1"]
    for number in (2, 3):
        found = rf"round {number}: 2 of 2 nodes, [0-9.]+ s, [0-9.]+ kB received, accuracy"
        assert re.search(found, log), log
    assert re.search(r"round 3: .*: 3 rounds are done", log)
    assert re.search(r"evaluation: 2 of 2 nodes, .*common/full/accuracy", log)
    assert "━" not in log
    rows = list(csv.DictReader((folder / "history.csv").open(newline="")))
    assert [(row["round"], row["node"]) for row in rows] == [
        (number, node) for number in "123" for node in nodes
    ]
    about = json.loads((folder / "run.json").read_text())
    assert set(about["evaluations"]) == set(about["left"]) == set(nodes)
    assert list(about["sizes"]) == ["site-0"]
    assert re.fullmatch(r"2 files, [0-9.]+ kB", about["sizes"]["site-0"])
    events = accumulators.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    for k, node in enumerate(nodes):
        shown = {event.step: event.value for event in events.Scalars(f"auc/{node}")}
        assert sorted(shown) == [2, 3]
        assert shown[3] == pytest.approx(float(rows[4 + k]["auc"]), rel=1e-6)
    page = (folder / "report.html").read_text()
    for shown in (*nodes, "3 rounds are done", "data:image/svg+xml;base64,", "common/full/auc"):
        assert shown in page, shown
