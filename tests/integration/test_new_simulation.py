"""Every template's app in Flower's simulation runtime, with the numbers of its run in process."""

import json
import pickle
import subprocess
import sys

import pytest

from flame_flwr.cli.new_app import create
from flame_flwr.cli.submit import submit
from flame_flwr.testing.kit import check_path

JSON = {"regression": "result.json", "table-one": "table-one.json"}

pytestmark = [pytest.mark.simulation, pytest.mark.exhaustive]

NAMES = {
    "analysis": "ward_stays",
    "training": "illness",
    "statistics": "blood",
    "regression": "mortality",
    "table-one": "who_they_are",
}


def in_process(app, name, shown="result"):
    """Run the app's own ``local`` over three hospitals, in a process of its own."""
    code = (
        f"import pickle, sys; from {name}.local import run; result = run(3, quiet=True).result; "
        f"sys.stdout.buffer.write(pickle.dumps({shown}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=app, capture_output=True, timeout=120, check=True
    )
    return pickle.loads(done.stdout)


@pytest.mark.parametrize("template", NAMES)
def test_a_simulation_of_an_app_gives_the_same(federation, tmp_path, template):
    name = NAMES[template]
    app = create(name, template, tmp_path)
    log = []
    done = submit(app, federation, {"results": str(tmp_path / "results")}, log.append)
    assert done.succeeded, "\n".join(log)
    [folder] = (tmp_path / "results").iterdir()
    here = in_process(app, name, "result.to_json()" if template in JSON else "result")
    if template in JSON:
        assert json.loads((folder / JSON[template]).read_text()) == here
    elif template == "analysis":
        assert (folder / "table.txt").read_text() == here
    elif template == "training":
        assert json.loads((folder / "model.json").read_text()) == json.loads(here[0])
        assert (folder / "report.txt").read_text() == here[1]
        assert json.loads((folder / "run.json").read_text())["rounds"] > 5
    else:
        assert (folder / "summary.txt").read_text() == here[0]
        assert (folder / "histogram.png").read_bytes() == here[1]
        assert repr(pickle.loads((folder / "statistics.pkl").read_bytes())) == repr(here[2])


@pytest.mark.parametrize("template", NAMES)
def test_the_check_finds_nothing_in_an_app(tmp_path, template):
    report = check_path(create(NAMES[template], template, tmp_path))
    assert report.findings == []
    assert report.about["nodes"] == 3
