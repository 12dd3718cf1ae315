"""What the README shows is what happens."""

import re
import runpy
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from forked_python import run_python
from snippets import block, texts

from flame_flwr.data.registry import choose, read_registry
from patient_journeys.events import observation_data, read_journeys
from patient_journeys.synthetic import TAG, register

EXAMPLE = Path(__file__).parents[1]
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
PYTHON = texts(EXAMPLE / "README.md", "python")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The two snippets, run as they stand, in a folder of their own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "study.py").write_text("\n".join(PYTHON))
    environment = {"PYTHONPATH": f"{EXAMPLE}:{EXAMPLE.parents[1]}", "PATH": "/usr/bin:/bin"}
    done = run_python("study.py", cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return folder / "results", done.stdout


def test_the_snippets_write_what_the_study_writes(ran, folder):
    names = ["codes.csv", "model.pt", "model.safetensors", "rounds.csv", "training.png"]
    beside = {"history.csv", "run.json", "report.html", "tensorboard"}
    assert sorted({path.name for path in ran[0].iterdir()} - beside) == names
    for name in ("codes.csv", "model.safetensors", "rounds.csv"):
        assert (ran[0] / name).read_bytes() == (folder / name).read_bytes()
    assert all(f"| `{name}` |" in README for name in names)


def test_the_log_quoted_is_the_runs(ran):
    """To a digit of the loss and one patient: another processor may round otherwise."""
    [quoted] = texts(EXAMPLE / "README.md", "text", starts="3 nodes take part")
    quoted = quoted.splitlines()
    printed = [line for line in ran[1].splitlines() if line.startswith(("[agg", "3 nodes"))]
    assert len(quoted) == len(printed)
    for one, two in zip(quoted, printed, strict=True):
        assert re.sub(r"[\d.]+%?", "#", one) == re.sub(r"[\d.]+%?", "#", two)
        numbers = [re.findall(r"0\.\d{4}", line) for line in (one, two)]
        np.testing.assert_allclose(*[np.array(each, float) for each in numbers], atol=2e-4)
        shares = [re.findall(r"(\d+)%", line) for line in (one, two)]
        np.testing.assert_allclose(*[np.array(each, float) for each in shares], atol=8)


def test_what_one_centre_prints_is_quoted(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["local.py"])
    runpy.run_path(str(EXAMPLE / "local.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    quoted = block(EXAMPLE / "README.md", "local").splitlines()
    assert quoted
    for line in quoted:
        near = [other for other in printed if other[:-1] == line[:-1]]
        assert near, line


def test_one_centre_from_a_folder(tmp_path, capsys, monkeypatch, splits):
    for name, content in splits[1][0].items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["local.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLE / "local.py"), run_name="__main__")
    assert f"Observations : {observation_data(splits[1]).shape}" in capsys.readouterr().out


@pytest.mark.exhaustive
def test_tanat_itself_builds_the_same_events(capsys, splits):
    """`make test` has TanaT's absence; where it is installed, its tensor of the common codes."""
    pytest.importorskip("tanat")
    from patient_journeys.stage_a import by_tanat

    x, y = by_tanat(splits[0][0])
    journeys = read_journeys(splits[0])
    ours = dict(zip(journeys.patients["PATIENT"], journeys.male, strict=True))
    assert x.shape == (60, 30)
    assert y.sum() == sum(ours.values())
    assert "Patients with events : 60 / 60" in capsys.readouterr().out


def test_a_missing_tanat_is_said_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tanat", None)
    monkeypatch.setattr(sys, "argv", ["local.py", "--tanat"])
    with pytest.raises(SystemExit, match=r"^error: --tanat needs TanaT: pip install '\.\[tanat\]'"):
        runpy.run_path(str(EXAMPLE / "local.py"), run_name="__main__")


def test_a_missing_folder_is_said_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["local.py", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match=r"^error: .*patients.csv cannot be read .*name a folder"):
        runpy.run_path(str(EXAMPLE / "local.py"), run_name="__main__")


def test_the_vocabularies_differ_as_is_quoted(study):
    import vocabulary

    common, own = vocabulary.vocabularies()
    assert common == study.aggregates[0]["codes"]
    quoted = block(EXAMPLE / "README.md", "vocabulary").removesuffix("\n")
    assert vocabulary.table(common, own) == quoted
    assert vocabulary.draw(common, own).axes


def test_the_registry_quoted_is_what_is_written(tmp_path):
    quoted = block(EXAMPLE / "README.md", "datasets.toml")
    register(Path("/tmp/centres/center_0"), 0, tmp_path / "datasets.toml")
    assert (tmp_path / "datasets.toml").read_text() == quoted
    assert choose(read_registry(tmp_path / "datasets.toml"), "s3", [TAG], "examples")


def test_the_run_config_finds_tag_and_project():
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    config = project["tool"]["flwr"]["app"]["config"]
    assert (config["tags"], config["project-id"]) == (TAG, "examples")
    assert "torch==2.13.0" in project["project"]["optional-dependencies"]["torch"]
    assert project["project"]["dependencies"] == []
