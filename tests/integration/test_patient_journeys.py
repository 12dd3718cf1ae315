"""Patient journeys: in process, in the simulation runtime and on three SuperNodes."""

import csv
import json
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from deployment import Deployment
from safetensors.numpy import load_file
from snippets import block

from flame_flwr.cli.submit import submit
from flame_flwr.star import StarModelTester

EXAMPLE = Path(__file__).parents[2] / "examples" / "patient_journeys"
ROUNDS = 2
pytestmark = pytest.mark.simulation


@pytest.fixture(scope="module")
def journeys():
    """The example's modules, importable for the length of these tests."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        from patient_journeys import analysis, synthetic

        yield analysis, synthetic
    finally:
        sys.path.remove(str(EXAMPLE))


@pytest.fixture(scope="module")
def place(journeys, tmp_path_factory):
    """A folder with the app, told to train for two rounds, and the three centres' folders."""
    folder = tmp_path_factory.mktemp("journeys")
    app = folder / "app"
    shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns("tests", "pictures", "__pycache__"))
    analysis = app / "patient_journeys" / "analysis.py"
    text = analysis.read_text()
    assert "\nROUNDS = 10\n" in text
    analysis.write_text(text.replace("\nROUNDS = 10\n", f"\nROUNDS = {ROUNDS}\n"))
    journeys[1].main([str(folder / "centres")])
    return folder


@pytest.fixture(scope="module")
def in_process(journeys, place):
    """The same, in this process: its weights, and its table of rounds."""
    analysis, synthetic = journeys
    StarModelTester(
        [[dict(synthetic.centre_files(number))] for number in range(3)],
        analysis.JourneyAnalyzer,
        analysis.JourneyStrategy(rounds=ROUNDS),
        "s3",
        filename=str(place / "here"),
    )
    return place / "here"


def compare(folder, here, names):
    """Compare a run's files with those of the run in process, to 1e-5."""
    ours, theirs = (load_file(each / "model.safetensors") for each in (here, folder))
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-5, atol=1e-7)
    assert (folder / "codes.csv").read_text() == (here / "codes.csv").read_text()
    tables = [
        list(csv.DictReader((each / "rounds.csv").read_text().splitlines()))
        for each in (here, folder)
    ]
    assert len(tables[0]) == len(tables[1]) == 3 * ROUNDS
    for one, two in zip(*tables, strict=True):
        assert two["centre"] == names[int(one["centre"].removeprefix("node-"))]
        assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=1e-5)
        assert float(two["accuracy"]) == pytest.approx(float(one["accuracy"]))
    run = json.loads((folder / "run.json").read_text())
    assert (run["nodes"], run["rounds"]) == (names, ROUNDS + 1)


def commands(name):
    """Return a block of the example's README."""
    return block(EXAMPLE / "README.md", name)


@pytest.mark.exhaustive
def test_the_simulation_gives_the_same(place, in_process, federation):
    """With what the README's command says; the demo has a study's files in a simulation."""
    command = shlex.split(commands("simulation"))
    assert command[:6] == ["flame-flwr", "submit", ".", "--simulate", "3", "--run-config"]
    key, _, value = command[6].partition("=")
    log = []
    config = {key: value.replace("/tmp/", f"{place}/")}
    run = submit(place / "app", federation, config, on_line=log.append)
    assert run.succeeded, "\n".join(log)
    [folder] = (place / "journeys").iterdir()
    compare(folder, in_process, ["node-0", "node-1", "node-2"])


@pytest.mark.exhaustive
def test_three_nodes_with_tagged_data_give_the_same(place, in_process):
    """A deployment of its own; ``test_data_sources.py`` has registries and tags."""
    names = [f"centre-{number}" for number in range(3)]
    said = commands("deployment")
    assert "/tmp/centres/nodes/center_$i/datasets.toml" in said
    assert "--run-config data=\n" in said
    (place / "deployment").mkdir()
    with Deployment(place / "deployment") as deployment:
        for number, name in enumerate(names):
            registry = place / "centres" / "nodes" / f"center_{number}" / "datasets.toml"
            deployment.start_node(name, datasets=str(registry))
        results = str(place / "deployed")
        ended, log = deployment.run(place / "app", results=results, data="", node_timeout=300)
        assert ended.succeeded, log + deployment.logs()
    [folder] = (place / "deployed").iterdir()
    compare(folder, in_process, names)
