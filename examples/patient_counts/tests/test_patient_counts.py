"""The counts are those of the bundles, the noise is there, and what the README shows happens."""

import json
import re
import subprocess
import sys
from pathlib import Path

from forked_python import run_python
from report_text import python_in
from snippets import block, texts

from flame_flwr.star.script import run_script

EXAMPLE = Path(__file__).parents[1]
README = EXAMPLE / "README.md"
HOSPITALS = sorted((EXAMPLE / "hospitals").iterdir())
FAR = 40  # noise of scale 1 is larger once in 10^17 runs


def patients(folder):
    """Count the entries themselves, which `total` must agree with."""
    bundle = json.loads((folder / "Patient.json").read_text())
    return len({entry["resource"]["id"] for entry in bundle["entry"]})


def test_the_sum_is_there_with_noise_on_it(tmp_path):
    expected = sum(map(patients, HOSPITALS))
    assert expected == 118
    folders = [str(folder) for folder in HOSPITALS]
    numbers = []
    for run in range(3):
        run_script(EXAMPLE / "count.py", folders, results=tmp_path / str(run))
        numbers.append(float((tmp_path / str(run) / "patients.txt").read_text()))
        assert python_in((tmp_path / str(run) / "report.html").read_text()) == []
    assert all(abs(number - expected) < FAR for number in numbers)
    assert len(set(numbers)) == 3


def test_the_folders_are_what_their_script_writes(tmp_path):
    assert run_python(EXAMPLE / "make_hospitals.py", tmp_path).returncode == 0
    for folder in HOSPITALS:
        written = tmp_path / folder.name / "Patient.json"
        assert written.read_bytes() == (folder / "Patient.json").read_bytes()


def steady(printed):
    """Take out what is another in every run: the noise, seconds and the folder."""
    printed = re.sub(r"Final result: -?[0-9.]+", "Final result: 118", printed)
    printed = re.sub(r"[0-9.]+ s,", "0 s,", printed)
    return re.sub(r"written to \S+/results/", "written to results/", printed).splitlines()


def test_the_readmes_first_command_prints_what_it_shows(tmp_path):
    command = block(README, "folders")
    [shown] = texts(README, "text")
    programs = Path(sys.executable).parent
    done = subprocess.run(
        ["/bin/sh", "-ec", f"{programs}/{command.strip()} --results {tmp_path / 'results'}"],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert steady(done.stdout) == steady(shown)
    assert json.loads((tmp_path / "results" / "run.json").read_text())["privacy"]["epsilon"] == 1
