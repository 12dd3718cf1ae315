"""Runs listed and fetched: from a folder and from S3, also where the store means harm."""

import hashlib
import json
import os

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.cli.results_table import show_runs
from flame_flwr.errors import StoreError
from flame_flwr.results import Outputs, RoundRecord, RunFolder, RunRecord
from flame_flwr.results.fetch import fetch, runs
from flame_flwr.results.runs_place import LARGEST_RECORD

OLD, NEW = "2025-01-02T03-04-05Z-111", "2026-01-02T03-04-05Z-1234"


def write(root, name=NEW, content=b"8.5", **changes):
    """Write a run with one file as a store may hold it; `changes` are those to its entry."""
    folder = root / name
    (folder / "scratch").mkdir(parents=True)
    (folder / "a.txt").write_bytes(content)
    (folder / "scratch" / "b").write_bytes(b"12345")
    entry = {"name": "a.txt", "bytes": 3, "sha256": hashlib.sha256(b"8.5").hexdigest()} | changes
    other = {"name": "scratch/b", "bytes": 5, "sha256": hashlib.sha256(b"12345").hexdigest()}
    about = {"status": "completed", "app": "me/ages 1.0.0", "rounds": 4}
    about |= {"files": [entry], "other_files": [other]}
    (folder / "run.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    """A store's place as a command names it, and the folder behind it."""
    if request.param == "folder":
        (tmp_path / "results").mkdir()
        return str(tmp_path / "results"), tmp_path / "results"
    bucket = request.getfixturevalue("object_store").bucket
    (bucket / "results").mkdir()
    return "s3://bucket/results", bucket / "results"


@pytest.fixture
def to(tmp_path):
    return tmp_path / "fetched"


def test_a_run_is_listed_and_fetched_whole(store, to, tmp_path, monkeypatch):
    place, behind = store
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = RunFolder(place, 77)
    (run.scratch / "plot ü.png").write_bytes(bytes(range(256)) * 20_000)
    record = RunRecord(["a"], [RoundRecord(1)], 7.25, {}, 8.5, True, app="me/ages 1.0.0")
    run.write_success(Outputs.declare("str", "a.txt", False), record, {})
    run.deliver()
    [listed] = runs(place)
    assert (listed.name, listed.status, listed.app) == (run.path.name, "completed", record.app)
    assert (listed.rounds, listed.files) == (1, 4)
    there = [path for path in (behind / run.path.name).rglob("*") if path.is_file()]
    assert listed.size == sum(path.stat().st_size for path in there)
    folder = fetch(place, "77", to)
    assert folder == to / run.path.name
    fetched = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    assert len(fetched) == len(there) == 4
    for path in there:
        copy = fetched[path.relative_to(behind / run.path.name)]
        assert copy.read_bytes() == path.read_bytes()
    assert list(to.iterdir()) == [folder]


def test_runs_are_listed_newest_first(store):
    place, behind = store
    write(behind, OLD)
    (write(behind, NEW) / "run.json").unlink()
    (behind / "something else").mkdir()
    (behind / "something else" / "file").touch()
    listed = runs(place)
    assert [(run.name, run.status) for run in listed] == [(NEW, "unfinished"), (OLD, "completed")]
    assert (listed[0].files, listed[0].size) == (2, 8)
    with pytest.raises(StoreError, match=f"{NEW} is not finished: it has no run.json"):
        fetch(place, NEW, behind.parent)


@pytest.mark.parametrize("end", ["", "/", "/run.json"])
@pytest.mark.parametrize("name", [NEW, "results of mine"])
def test_a_runs_own_folder_is_that_run(store, to, name, end):
    place, behind = store
    write(behind, name)
    write(behind / name, OLD)  # as `flame-flwr run --simulate` has it
    own = f"{place}/{name}{end}"
    first, second = runs(own)
    assert (first.name, first.status, first.rounds, first.files) == (name, "completed", 4, 3)
    assert first.started == ("2026-01-02 03:04" if name == NEW else "")
    assert (second.name, second.started) == (OLD, "2025-01-02 03:04")
    for run in (None, name, name[:6]):
        folder = fetch(own, run, to / f"{run}")
        assert folder == to / f"{run}" / name
        assert {path.name for path in folder.iterdir()} == {"a.txt", "scratch", "run.json"}
    assert fetch(own, "111", to) == to / OLD
    (behind / name / "a.txt").write_bytes(b"8.6")
    with pytest.raises(StoreError, match=f"a.txt of {name} is not the file that the run wrote"):
        fetch(own, None, to / "damaged")


def test_an_unfinished_runs_own_folder(store, to):
    place, behind = store
    (write(behind) / "run.json").unlink()
    [listed] = runs(f"{place}/{NEW}")
    assert (listed.name, listed.status, listed.files, listed.size) == (NEW, "unfinished", 2, 8)
    with pytest.raises(StoreError, match=f"{NEW} is not finished"):
        fetch(f"{place}/{NEW}", None, to)


def test_a_place_with_runs_is_no_run(store, to):
    write(store[1])
    with pytest.raises(StoreError, match="is no run's own folder: say which run of it"):
        fetch(store[0], None, to)


def test_the_command_fetches_a_runs_own_folder(tmp_path, monkeypatch):
    folder = write(tmp_path, "results")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "started": "2026-01-02T03:04:05+00:00"}))
    monkeypatch.chdir(folder)
    for place in ("results", ".", str(folder), "run.json"):
        monkeypatch.chdir(tmp_path if place == "results" else folder)
        done = CliRunner().invoke(commands._app, ["results", place], catch_exceptions=False)
        assert done.output.splitlines()[1].split()[:4] == [
            "results",
            "2026-01-02",
            "03:04",
            "me/ages",
        ]
    command = ["results", ".", "--to", str(tmp_path / "to")]
    done = CliRunner().invoke(commands._app, command, catch_exceptions=False)
    assert done.output == f"fetched and checked: {tmp_path / 'to' / 'results'}\n"


@pytest.mark.parametrize("run", [NEW, "2026", "1234", "12"])
def test_a_name_or_its_beginning_is_enough(store, to, run):
    place, behind = store
    write(behind, OLD)
    write(behind, NEW)
    assert fetch(place, run, to) == to / NEW


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("20", "beginning of 2 runs"),
        ("1", "beginning of 2 runs"),
        ("3", "there is no run '3'"),
        ("", "there is no run"),
        ("../x", "there is no run"),
    ],
)
def test_a_run_that_is_not_one(store, to, run, text):
    place, behind = store
    write(behind, OLD)
    write(behind, NEW)
    with pytest.raises(StoreError, match=text):
        fetch(place, run, to)
    assert not to.exists()


def refused(place, to, text):
    with pytest.raises(StoreError) as raised:
        fetch(place, "1234", to)
    assert text in str(raised.value)
    assert not to.exists() or list(to.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"8.6", "is not the file that the run wrote (its SHA-256"),
        *(
            (wrong, "is not the file that the run wrote (its size")
            for wrong in (b"", b"8." * 10**6)
        ),
        (None, "is not in the store"),
    ],
    ids=["other", "empty", "longer", "gone"],  # a test's name is in its programs' environment
)
def test_a_damaged_or_missing_file_is_named(store, to, content, said):
    folder = write(store[1], content=content or b"")
    if content is None:
        (folder / "a.txt").unlink()
    refused(store[0], to, f"a.txt of {NEW} {said}")


@pytest.mark.parametrize(
    "name",
    [
        "../a.txt",
        "/etc/passwd",
        "x/../../a.txt",
        "..",
        ".",
        "",
        "a//b",
        "a\\b",
        "x\n.txt",
        "\x1b[2Jx",
        "\ud800",
        5,
        None,
        ["a"],
    ],
)
def test_a_name_leading_outside_is_refused(tmp_path, to, name):
    write(tmp_path / "results", name=NEW)
    path = tmp_path / "results" / NEW / "run.json"
    about = json.loads(path.read_text())
    about["files"][0]["name"] = name
    path.write_text(json.dumps(about))
    refused(str(tmp_path / "results"), to, "lists a file whose name leads out of its folder")


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": -1},
        {"bytes": True},
        {"bytes": "3"},
        {"bytes": None},
        {"sha256": "0" * 63},
        {"sha256": None},
        {"sha256": "G" * 64},
    ],
)
def test_an_entry_that_cannot_be_checked_is_refused(tmp_path, to, change):
    write(tmp_path / "results", **change)
    refused(str(tmp_path / "results"), to, "has no size or SHA-256 of a.txt")


@pytest.mark.parametrize("twice", ["scratch/b", "run.json"])
def test_a_file_that_is_listed_twice_is_refused(tmp_path, to, twice):
    folder = write(tmp_path / "results")
    about = json.loads((folder / "run.json").read_text())
    about["files"][0]["name"] = twice
    (folder / "run.json").write_text(json.dumps(about))
    refused(str(tmp_path / "results"), to, "lists a file twice")


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"files": 3}', b'{"files": [3]}']
)
def test_a_damaged_record_is_listed_and_refused(store, to, record):
    (write(store[1]) / "run.json").write_bytes(record)
    [listed] = runs(store[0])
    assert listed.status == "unreadable"
    with pytest.raises(StoreError, match=r"run\.json"):
        fetch(store[0], "1234", to)
    assert not to.exists() or list(to.iterdir()) == []


def test_what_is_there_is_not_overwritten(store, to):
    write(store[1])
    fetch(store[0], "1234", to)
    (to / NEW / "mine").write_text("mine")
    with pytest.raises(StoreError, match="is there already: remove it, or name another folder"):
        fetch(store[0], "1234", to)
    assert (to / NEW / "mine").read_text() == "mine"


def test_a_folder_that_cannot_be_written(tmp_path):
    write(tmp_path / "results")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="could not be written"):
        fetch(str(tmp_path / "results"), "1234", tmp_path / "file")


def test_fetched_files_have_the_users_own_rights(tmp_path, to):
    write(tmp_path / "results")
    mask = os.umask(0o027)
    try:
        folder = fetch(str(tmp_path / "results"), "1234", to)
    finally:
        os.umask(mask)
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_large_record_hides_no_run(tmp_path):
    write(tmp_path, OLD)
    with (write(tmp_path) / "run.json").open("wb") as file:
        file.truncate(LARGEST_RECORD + 2**20)
    assert [(run.name, run.status) for run in runs(str(tmp_path))] == [
        (NEW, "unreadable"),
        (OLD, "completed"),
    ]


def printed(listed, capsys):
    show_runs(listed)
    return capsys.readouterr().out.splitlines()


def test_the_table_has_a_line_per_run(tmp_path, capsys):
    write(tmp_path, OLD)
    (write(tmp_path, "2026-01-02T03-04-05Z-9876543210987654321") / "run.json").unlink()
    head, first, second = printed(runs(str(tmp_path)), capsys)
    assert head.split() == ["run", "started", "(UTC)", "app", "status", "rounds", "files", "size"]
    assert first.split() == [
        "2026-01-02T03-04-05Z-9876543210987654321",
        "2026-01-02",
        "03:04",
        "unfinished",
        "2",
        "8",
        "B",
    ]
    assert second.split()[:7] == [OLD, "2025-01-02", "03:04", "me/ages", "1.0.0", "completed", "4"]
    assert printed([], capsys) == ["no runs here"]


def test_a_stores_text_cannot_command_the_terminal(tmp_path, capsys):
    folder = write(tmp_path)
    about = json.loads((folder / "run.json").read_text())
    about |= {"status": "\x1b[2J[bold]x\n" + "y" * 9999, "app": ["\x07"], "rounds": "many"}
    (folder / "run.json").write_text(json.dumps(about))
    _, line = printed(runs(str(tmp_path)), capsys)
    assert "\x1b" not in line
    assert "[bold]x?yyy" in line
    assert len(line) <= 200
