"""A checkpoint is complete or absent, and is gone on with only by what made it."""

import json
import os
import pickle

import numpy as np
import pytest

from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.payload import decode, encode
from flame_flwr.results import checkpoint_file
from flame_flwr.results.checkpoint import AnalysisState, Checkpoint
from flame_flwr.star import StarModel

from .small_runs import Average, Fits

ABOUT = {"app": "me/ages", "app version": "1.0.0"}


@pytest.fixture(params=["file", "object"])
def place(request, tmp_path):
    if request.param == "file":
        return str(tmp_path / "study.checkpoint")
    request.getfixturevalue("object_store")
    return "s3://bucket/folder/study.checkpoint"


def progress(**values):
    return AnalysisState(
        "abc", ("a", "b"), {"a": 3, "b": 2}, aggregate=encode([1.5, None]), **values
    )


def test_what_was_saved_is_gone_on_with(place):
    checkpoint = Checkpoint(place, ABOUT)
    assert checkpoint.open(resume=False) is None
    weights = np.arange(6.0).reshape(2, 3)
    checkpoint.save(progress(strategy={"momentum": weights}), 3)
    kept = Checkpoint(place, ABOUT).open(resume=True)
    assert (kept.session, kept.nodes, kept.after) == ("abc", ("a", "b"), {"a": 3, "b": 2})
    assert decode(kept.aggregate) == [1.5, None]
    assert np.array_equal(kept.strategy["momentum"], weights)


def test_a_later_round_replaces_an_earlier(place):
    checkpoint = Checkpoint(place, ABOUT)
    for number in (1, 2):
        checkpoint.save(AnalysisState("abc", after={"a": number}), number)
    assert Checkpoint(place, ABOUT).open(resume=True).after == {"a": 2}


def test_a_new_analysis_does_not_write_over_another(place):
    Checkpoint(place, ABOUT).save(progress(), 3)
    with pytest.raises(ConfigError, match="is there already"):
        Checkpoint(place, ABOUT).open(resume=False)


def test_a_complete_analysis_leaves_none(place):
    checkpoint = Checkpoint(place, ABOUT)
    checkpoint.save(progress(), 3)
    checkpoint.clear()
    with pytest.raises(ConfigError, match="there is no checkpoint"):
        Checkpoint(place, ABOUT).open(resume=True)
    assert Checkpoint(place, ABOUT).open(resume=False) is None


@pytest.mark.parametrize("key", ["app", "app version"])
def test_another_apps_or_versions_is_refused_with_both(place, key):
    Checkpoint(place, ABOUT).save(progress(), 3)
    with pytest.raises(ConfigError) as raised:
        Checkpoint(place, {**ABOUT, key: "other"}).open(resume=True)
    assert f"is of another {key}: {ABOUT[key]!r}, and this run has 'other'" in str(raised.value)


def test_another_frameworks_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "study.checkpoint")
    Checkpoint(path, ABOUT).save(progress(), 3)
    monkeypatch.setattr("flame_flwr.results.checkpoint.__version__", "99.0")
    with pytest.raises(ConfigError, match="is of another framework"):
        Checkpoint(path, ABOUT).open(resume=True)


def flipped(content):
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


DAMAGED = {
    **{
        f"cut at {length}": lambda content, n=length: content[:n] for length in (0, 10, 40, 200, -1)
    },
    "a changed byte": flipped,
    "a pickle of something else": lambda content: pickle.dumps(os.getcwd),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_never_unpickled(tmp_path, name):
    path = tmp_path / "study.checkpoint"
    Checkpoint(str(path), ABOUT).save(progress(), 3)
    path.write_bytes(DAMAGED[name](path.read_bytes()))
    with pytest.raises(ConfigError, match="is damaged, or no checkpoint"):
        Checkpoint(str(path), ABOUT).open(resume=True)


def test_a_file_others_may_write_is_refused(tmp_path):
    path = tmp_path / "study.checkpoint"
    Checkpoint(str(path), ABOUT).save(progress(), 3)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o620)
    with pytest.raises(ConfigError, match="others may write to it: it is not read"):
        Checkpoint(str(path), ABOUT).open(resume=True)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("study.checkpoint", "must be an absolute path or a URL"),
        ("s3://bucket", "names no object"),
        ("s3://bucket/folder/", "names no object"),
        ("s3://me:secret@bucket/name", "must hold no user, password"),
        ("https://example.org/name", "must be an absolute path or a URL"),
    ],
)
def test_a_wrong_place_is_refused(wrong, text):
    with pytest.raises(ConfigError) as raised:
        Checkpoint(wrong, ABOUT)
    assert text in str(raised.value)
    assert "secret" not in str(raised.value)


def test_missing_folders_are_made(tmp_path):
    checkpoint = Checkpoint(str(tmp_path / "a" / "b" / "study.checkpoint"), ABOUT)
    checkpoint.open(resume=False)
    checkpoint.save(progress(), 1)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["study.checkpoint"]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="names a folder"):
        Checkpoint(str(tmp_path), ABOUT)


def test_an_unwritable_place_is_refused_first(tmp_path):
    (tmp_path / "file").touch()
    checkpoint = Checkpoint(str(tmp_path / "file" / "study.checkpoint"), ABOUT)
    with pytest.raises(ConfigError, match="cannot be written"):
        checkpoint.open(resume=False)


def test_a_disk_filling_later_loses_no_checkpoint(tmp_path, caplog):
    path = tmp_path / "study.checkpoint"
    checkpoint = Checkpoint(str(path), ABOUT)
    checkpoint.save(progress(), 3)
    before = path.read_bytes()
    path.parent.rename(tmp_path.with_name("away"))
    checkpoint.save(progress(), 4)
    assert "round 4: the checkpoint" in caplog.text
    assert "could not be resumed from this round" in caplog.text
    assert (tmp_path.with_name("away") / path.name).read_bytes() == before
    tmp_path.with_name("away").rename(tmp_path)


def test_an_unremovable_checkpoint_leaves_a_run_completed(serve, tmp_path, monkeypatch, caplog):
    def refused(place):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint_file._File, "remove", refused)
    model = StarModel(Fits, Average, "s3", simple_analysis=False)
    place = str(tmp_path / "study.checkpoint")
    off = {"report": "off", "tensorboard": "off"}
    serve(model, str(tmp_path / "results"), checkpoint=place, **off)
    [folder] = (tmp_path / "results").iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "completed"
    assert f"the checkpoint {place} cannot be removed" in caplog.text


def test_what_cannot_be_pickled_is_an_error(tmp_path):
    checkpoint = Checkpoint(str(tmp_path / "study.checkpoint"), ABOUT)
    unsaved = progress(strategy={"rates": [0.1], "audit": (tmp_path / "x").open("w")})
    for keep in (checkpoint.check, lambda progress: checkpoint.save(progress, 1)):
        with pytest.raises(ModelError, match="so there can be no `checkpoint`") as raised:
            keep(unsaved)
        named = "the attribute 'audit' of the strategy (TextIOWrapper) cannot be pickled"
        assert named in str(raised.value)
    assert not (tmp_path / "study.checkpoint").exists()
