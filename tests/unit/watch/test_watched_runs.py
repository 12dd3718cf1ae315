"""Runs are seen while they go on, when they are over, and when they end without a word."""

import json
import math

import pytest
from watched_place import fill, finished, over, running, write_live

from flame_flwr.errors import StoreError
from flame_flwr.results.live_state import BEAT
from flame_flwr.results.runs_place import RunsPlace
from flame_flwr.watch import watched_runs
from flame_flwr.watch.watched_runs import WatchedRuns

NEWEST = "2026-12-30T03-40-00Z-9"


class Clock:
    """Time, as this machine's two clocks say it."""

    def __init__(self):
        self.seconds = 0.0

    def wall(self):
        return 1_000_000.0 + self.seconds

    def steady(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watched(tmp_path, clock):
    return WatchedRuns(str(tmp_path), clock.wall, clock.steady)


def status(watched, clock, after):
    """Return the state of the newest run after so many seconds, looked at all the while."""
    for _ in range(int(after)):
        clock.seconds += 1
        (run, *_) = watched.runs()
    return run.status


def test_runs_come_the_newest_first(tmp_path, watched):
    names = fill(tmp_path, 12)
    write_live(tmp_path / NEWEST, running(), 1_000_000.0)
    runs = watched.runs()
    assert [run.name for run in runs] == [NEWEST, *sorted(names, reverse=True)]
    assert [run.status for run in runs] == ["running", *["completed"] * 12]
    assert watched.newest() == NEWEST
    assert runs[0].doing == "round 9"


def test_a_run_is_seen_from_start_to_end(tmp_path, watched, clock):
    assert watched.runs() == []
    record = running(rounds=1)
    write_live(tmp_path / NEWEST, record, clock.wall())
    clock.seconds += 1
    assert watched.runs()[0].rounds == 1
    over(record)
    write_live(tmp_path / NEWEST, record, clock.wall())
    clock.seconds += 1
    run = watched.run(NEWEST)
    assert (run.rounds, run.history[-1].number, run.ended) == (2, 2, None)
    assert run.history[-1].metrics["loss"] == pytest.approx((2.0 + 2.1 + 2.2) / 3)
    name = finished(tmp_path, 1)
    (tmp_path / name / "run.json").replace(tmp_path / NEWEST / "run.json")
    clock.seconds += 1
    run = watched.run(NEWEST)
    assert (run.status, run.doing, run.rounds) == ("completed", "", 5)
    assert [file.name for file in run.files] == ["mean.txt"]


def test_a_dead_writers_run_ended_silently(tmp_path, watched, clock):
    write_live(tmp_path / NEWEST, running(), clock.wall())
    assert status(watched, clock, 3 * BEAT) == "running"
    assert status(watched, clock, 2) == "ended without a word"
    run = watched.run(NEWEST)
    assert run.ended == 1_000_000.0
    assert "stopped writing" in run.said
    write_live(tmp_path / NEWEST, running(), clock.wall())  # it was only away
    assert status(watched, clock, 2) == "running"


def test_an_old_run_needs_no_right_clock(tmp_path, clock):
    write_live(tmp_path / NEWEST, running(), clock.wall() - 3600)
    watched = WatchedRuns(str(tmp_path), clock.wall, clock.steady)
    assert watched.runs()[0].status == "ended without a word"
    write_live(tmp_path / NEWEST, running(), clock.wall() - 3595)  # an hour late, and alive
    assert status(watched, clock, 1) == "running"
    ahead = WatchedRuns(str(tmp_path), clock.wall, clock.steady)
    write_live(tmp_path / NEWEST, running(), clock.wall() + 3600)
    assert status(ahead, clock, 3 * BEAT) == "running"
    assert status(ahead, clock, 2) == "ended without a word"


def test_what_cannot_be_read_is_said(tmp_path, watched, clock):
    (tmp_path / NEWEST).mkdir()
    assert watched.runs()[0].status == "unfinished"
    contents = {
        b'{"live": 1, "wri': "live.json is torn",
        b'{"live": 2, "written": 1}': "live.json is of version 2",
        b'{"live": 1, "written": "x"}': "live.json is damaged",
    }
    for content, said in contents.items():
        (tmp_path / NEWEST / "live.json").write_bytes(content)
        clock.seconds += 1
        (run,) = watched.runs()
        assert run.status == "unreadable"
        assert said in run.said
    (tmp_path / NEWEST / "run.json").write_bytes(b"[1]")
    clock.seconds += 1
    assert "run.json is damaged" in watched.runs()[0].said


@pytest.mark.parametrize(
    "change",
    [
        {"history": 5},
        {"history": [{"round": 1}]},
        {"history": [{"round": 1, "seconds": 1, "node_metrics": {"a": 5}}]},
        {"history": [{"round": 1, "seconds": 1, "node_metrics": []}]},
        {"nodes": {"a": 1}},
        {"nodes": [5]},
        {"secure": [1]},
        {"sizes": 7, "nodes": ["a"]},
        {"heading": "a title"},
        {"files": [{"name": 5, "bytes": 1}]},
        {"status": ["completed"]},
        {"rounds": -1},
        {"failures": [{}]},
    ],
)
def test_a_hostile_run_json_is_only_damage(tmp_path, watched, clock, change):
    name = finished(tmp_path, 50)
    path = tmp_path / name / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert watched.runs()[0].status == "unreadable"
    fill(tmp_path, 3)
    clock.seconds += 1
    assert "completed" in {run.status for run in watched.runs()}


def test_a_run_ended_between_reads_has_ended(tmp_path, watched, clock, monkeypatch):
    """It is looked for run.json, then for live.json, which has gone by then."""
    name = finished(tmp_path, 1)
    read, asked = watched._place.read, []

    def late(run, *file):
        asked.append(file)
        return None if len(asked) == 1 else read(run, *file)

    monkeypatch.setattr(watched._place, "read", late)
    monkeypatch.setattr(watched._place, "names", lambda: [name])
    assert [run.status for run in watched.runs()] == ["completed"]


def test_what_is_over_is_read_once(tmp_path, watched, clock, monkeypatch):
    fill(tmp_path, 5)
    watched.runs()
    read = []
    monkeypatch.setattr(watched, "_read", lambda name, about: read.append(name))
    for _ in range(5):
        clock.seconds += 1
        assert len(watched.runs()) == 5
    assert read == []


def test_a_finished_run_is_read_once(tmp_path, watched, clock):
    name = finished(tmp_path, 1)
    first = watched.run(name)
    clock.seconds += 1
    assert watched.run(name) is first
    path = tmp_path / name / "run.json"
    about = json.loads(path.read_text()) | {"reason": "has_converged returned True"}
    path.write_text(json.dumps(about))
    clock.seconds += 1
    assert watched.run(name).said == "a check that the study has of its own said so"
    path.unlink()
    write_live(tmp_path / name, running(), clock.wall())
    clock.seconds += 1
    assert watched.run(name).status == "running"


def test_a_stored_run_is_polled_to_its_end(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(watched_runs, "is_url", lambda place: True)  # which says no times
    watched = WatchedRuns(str(tmp_path), clock.wall, clock.steady)
    name = finished(tmp_path, 1)
    record = (tmp_path / name / "run.json").rename(tmp_path / "run.json")
    write_live(tmp_path / name, running(), clock.wall())
    assert watched.run(name).status == "running"
    record.rename(tmp_path / name / "run.json")
    asked, read = [], watched._place.read
    monkeypatch.setattr(watched._place, "read", lambda *which: asked.append(which) or read(*which))
    clock.seconds += 1.5
    assert [watched.run(name).status for _ in range(9)] == ["running"] * 9
    assert asked == []  # each is a request, and many pages may be open
    clock.seconds += 1  # now all runs are looked at, before the one that is shown
    assert [watched.run(name).status for _ in range(2)] == ["completed"] * 2


def test_an_absent_store_ends_no_page(tmp_path, watched, clock, monkeypatch):
    name = finished(tmp_path, 1)
    write_live(tmp_path / NEWEST, running(), clock.wall())
    assert [run.status for run in watched.runs()] == ["running", "completed"]

    def away(*which):
        raise StoreError("the store cannot be reached")

    with monkeypatch.context() as patched:
        patched.setattr(watched._place, "names", away)
        patched.setattr(watched._place, "read", away)
        clock.seconds += 1
        write_live(tmp_path / NEWEST, running(), clock.wall())
        said = [(run.name, run.status, run.said) for run in watched.runs()]
        assert said[0] == (NEWEST, "unreadable", "the store cannot be reached")
        assert said[1][:2] == (name, "completed")
    clock.seconds += 1
    write_live(tmp_path / NEWEST, running(), clock.wall())
    assert [run.status for run in watched.runs()] == ["running", "completed"]
    monkeypatch.setattr(RunsPlace, "names", away)
    with pytest.raises(StoreError, match="cannot be reached"):
        WatchedRuns(str(tmp_path)).runs()


def test_a_run_here_is_the_places_own(tmp_path, clock):
    record = running()
    record.nodes = ["node-0"]
    write_live(tmp_path / "out", record, clock.wall())
    watched = WatchedRuns(str(tmp_path / "out"), clock.wall, clock.steady)
    (run,) = watched.runs()
    assert (run.name, run.status) == ("out", "running")
    assert [node.name for node in watched.run("out").nodes] == ["node-0"]


def test_the_end_is_estimated_from_the_last_rounds(tmp_path, watched, clock):
    record = running(rounds=8, most=20)
    for entry in record.history:
        entry.seconds = 10.0
    record.stage.since = clock.wall() - 4
    write_live(tmp_path / NEWEST, record, clock.wall())
    assert watched.run(NEWEST).left == pytest.approx(11 * 10 + 6)
    record.stage.most = None
    write_live(tmp_path / NEWEST, record, clock.wall())
    clock.seconds += 1
    assert watched.run(NEWEST).left is None


def test_a_node_that_ended_the_run_failed(tmp_path, watched):
    name = finished(tmp_path, 1)
    path = tmp_path / name / "run.json"
    failures = [{"round": 2, "node": "hospital-a", "why": "timeout"}]
    failures.append({"round": 6, "node": "hospital-b", "why": "ValueError at study.py:7"})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"failures": failures}))
    nodes = watched.run(name).nodes
    assert [(node.state, node.why) for node in nodes] == [
        ("done", ""),
        ("failed", "ValueError at study.py:7"),
    ]


def test_many_rounds_have_visible_points_only(tmp_path, watched):
    name = finished(tmp_path, 1, nodes=["a"], rounds=2000)
    points = [each.number for each in watched.run(name).history]
    assert points == sorted(set(points))
    assert 400 < len(points) <= 500
    assert points[-1] == 2000


def test_a_nodes_data_size_reads_as_words(tmp_path, watched):
    record = running(nodes=["a", "b"])
    record.sizes.update(a="ndarray float64 (10, 3)", b="3 files, 1.2 MB")
    write_live(tmp_path / "2026-12-30T03-40-00Z-9", record)
    [run] = [watched.run(each.name) for each in watched.runs()]
    assert [node.size for node in run.nodes] == ["array of 10 x 3 numbers", "3 files, 1.2 MB"]


def test_numbers_that_are_none_are_no_trouble(tmp_path, watched):
    record = running(rounds=1)
    record.history[0].node_metrics["hospital-a"]["loss"] = math.inf
    write_live(tmp_path / NEWEST, record, 1_000_000.0)
    assert math.isinf(watched.run(NEWEST).nodes[0].metrics["loss"])


def test_only_files_that_the_run_lists_are_given(tmp_path, watched):
    name = finished(tmp_path, 1)
    (tmp_path / name / "secret.txt").write_text("not listed")
    (tmp_path / "outside.txt").write_text("outside")
    assert b"".join(watched.content(name, "mean.txt")) == b"41.5\n"
    for run, file in (
        (name, "secret.txt"),
        (name, "../outside.txt"),
        ("..", "outside.txt"),
        ("nothing", "mean.txt"),
        (name, "run.json"),
    ):
        with pytest.raises(StoreError, match="has no file"):
            watched.content(run, file)


def test_a_run_that_is_not_there_is_said(watched):
    with pytest.raises(StoreError, match="there is no run 'nothing'"):
        watched.run("nothing")
