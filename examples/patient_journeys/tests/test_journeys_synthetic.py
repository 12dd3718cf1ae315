"""The invented centres, beside what the `tanat-synthea` package writes and reads."""

import io
from pathlib import Path
from unittest.mock import Mock
from urllib.error import URLError

import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from forked_python import run_python

from flame_flwr.data.registry import choose, read_registry
from flame_flwr.errors import ConfigError
from patient_journeys.events import (
    OBSERVATIONS,
    PATIENTS,
    observation_data,
    read_journeys,
    static_data,
)
from patient_journeys.synthetic import TAG, centre_files, node_files

EXAMPLE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tanat_synthea():
    """The package, which asks PyPI for its newest version while it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib.request.urlopen", Mock(side_effect=URLError("not in tests")))
        return pytest.importorskip("tanat_synthea")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder that the command writes."""
    out = tmp_path_factory.mktemp("centres")
    done = run_python("-m", "patient_journeys.synthetic", out, cwd=EXAMPLE)
    assert done.returncode == 0, done.stderr
    assert "Massachusetts General Hospital, 60 patients, " in done.stdout
    return out


def test_command_and_function_write_the_same_bytes(written):
    for number in range(3):
        files = centre_files(number)
        assert files
        for name, content in files.items():
            assert (written / f"center_{number}" / name).read_bytes() == content


def test_each_centre_has_60_patients(splits):
    for split in splits:
        assert static_data(split).shape == (60, 30)
        rows, columns = observation_data(split).shape
        assert columns == 12
        assert abs(rows - 57_000) < 1000


@pytest.mark.parametrize("number", range(3))
def test_tanat_synthea_reads_our_folders_as_its_own(written, number, tanat_synthea):
    journey = tanat_synthea.PatientJourney(written / f"center_{number}")
    static, observed = journey.static_data(), journey.temporal_data(record_types=["observation"])
    split = [centre_files(number)]
    assert list(static.columns) == static_data(split).columns
    assert list(observed.columns) == observation_data(split).columns
    assert (len(static), len(observed)) == (60, len(observation_data(split)))
    for table in (static["BIRTHDATE"], observed["DATE"]):
        assert table.notna().all()
    assert static["CENTER_ID"].eq(number).all()


def test_folders_of_tanat_synthea_are_read(tmp_path, splits, tanat_synthea):
    """Its own last step makes a folder of Synthea's raw tables, which the real Synthea writes."""
    from tanat_synthea.synthea.processor import process_output

    raw, folder = tmp_path / "csv", tmp_path / "center_0"
    raw.mkdir()
    for name, content in splits[0][0].items():
        table = pd.read_csv(io.BytesIO(content), dtype=str)
        table.drop(columns=["CENTER_ID", "CENTER_NAME"]).to_csv(raw / name, index=False)
    (raw / "claims.csv").write_text("Id\n1\n")
    journey = tanat_synthea.PatientJourney(folder, name="CHU", state="Massachusetts")
    assert process_output(journey.settings, 0, raw, folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == {PATIENTS, OBSERVATIONS, "center_meta.yaml"}
    ours, theirs = read_journeys(splits[0]), read_journeys([files])
    assert ours.patients.equals(theirs.patients)
    assert ours.events.equals(theirs.events)


def test_centres_have_codes_of_their_own(splits):
    codes = [set(observation_data(split)["CODE"]) for split in splits]
    assert codes[0] - codes[1]
    assert codes[0] - codes[2]


def test_a_registry_has_the_folder_under_the_tag(written):
    for number in range(3):
        datasets = read_registry(written / "nodes" / f"center_{number}" / "datasets.toml")
        [chosen] = choose(datasets, "s3", [TAG], "examples")
        assert chosen.url == str(written.resolve() / f"center_{number}")


def context(**node_config):
    return Context(run_id=1, node_id=1, node_config=node_config, state=RecordDict(), run_config={})


def test_a_simulated_node_has_its_partitions_files():
    assert node_files(context(**{"partition-id": 1})) == centre_files(1)
    for config, says in (({}, "partition-id"), ({"partition-id": 3}, "num-supernodes=3")):
        with pytest.raises(ConfigError, match=says):
            node_files(context(**config))
