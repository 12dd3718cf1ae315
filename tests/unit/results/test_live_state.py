"""What a run does is written beside its results, at most twice a second, and by a thread."""

import math
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.live_state import BEAT, FOLDER_EVERY, LiveWriter
from flame_flwr.results.run_record import RoundRecord, RunRecord
from flame_flwr.watch.parsed_runs import parse_live

from .live_file import written

STARTED = datetime(2026, 12, 1, tzinfo=UTC)


class Clock:
    """Stands for the time and for what a thread waits with; it ends after so many waits."""

    def __init__(self, waits, between=lambda: None):
        self.now, self.waited, self._left, self._between = 1000.0, [], waits, between

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now += seconds
        self._left -= 1
        self._between()
        return self._left < 0

    def set(self):
        self._left = 0


@pytest.fixture
def record():
    made = RunRecord(nodes=["a", "b"], app="me/ages 1.0.0", study={"analyzer": "Fit"})
    made.stage.enter("round", 1)
    made.stage.entry = RoundRecord(1)
    return made


@pytest.fixture
def writer(tmp_path, record, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.live_state.call_beside", lambda call, name: None)
    made = LiveWriter(tmp_path, STARTED, "7", now=Clock(0))
    made.opened(record)
    return made


def over(record, number, **about):
    """Finish a round."""
    entry = RoundRecord(number, seconds=0.5, **about)
    record.history.append(entry)
    record.stage.closed = number
    return entry


def test_every_event_is_in_the_next_file(tmp_path, record, writer):
    stage = record.stage
    writer.look()
    assert [(node.name, node.state) for node in written(tmp_path).nodes] == [
        ("a", "computing"),
        ("b", "waiting"),
    ]
    stage.asked = {"1": "a", "2": "b"}
    stage.entry.node_seconds["b"] = 0.25
    stage.gone = {"a": "its SuperNode is not online"}
    assert writer.look()
    a, b = written(tmp_path).nodes
    assert (a.state, a.why, a.seen) == ("gone", "its SuperNode is not online", None)
    assert (b.state, b.seconds, b.seen) == ("answered", 0.25, 1000.0)
    stage.entry.failed["a"] = "ValueError at study.py:7"
    record.failures.append({"round": 1, "node": "a", "why": "ValueError at study.py:7"})
    over(
        record,
        1,
        node_seconds={"b": 0.25},
        failed={"a": "ValueError"},
        node_metrics={"b": {"loss": 2.0}},
        change=0.125,
        reason="has_converged returned True",
    )
    stage.checkpoint = 1
    assert writer.look()
    said = written(tmp_path)
    assert (said.rounds, said.checkpoint, said.reason) == (1, 1, "has_converged returned True")
    assert said.nodes[0].state == "failed"
    assert said.nodes[1].metrics == {"loss": 2.0}
    assert said.failures == ((1, "a", "ValueError at study.py:7"),)
    (entry,) = said.history
    assert (entry.answered, entry.failed, entry.change) == (1, 1, 0.125)
    assert entry.metrics == {"loss": (2.0, "")}
    stage.enter("evaluation")
    stage.scores, stage.failed = {"b": {}}, {}
    assert writer.look()
    assert [node.state for node in written(tmp_path).nodes] == ["computing", "answered"]
    stage.enter("finishing")
    assert writer.look()
    assert (written(tmp_path).doing, written(tmp_path).app) == ("finishing", "me/ages 1.0.0")


def test_nodes_are_waited_for_before_the_first_round(tmp_path, record, writer):
    record.nodes = []
    record.stage.enter("hello")
    record.stage.here, record.stage.missing, record.stage.expected = ("b",), ("a", "c"), 3
    record.hospitals = {"b": "Klinikum Nord"}
    writer.look()
    said = written(tmp_path)
    assert {node.name: node.state for node in said.nodes} == {
        "b": "here",
        "a": "missing",
        "c": "missing",
    }
    assert (said.doing, said.expected, said.nodes[0].hospital) == ("hello", 3, "Klinikum Nord")


def test_an_unchanged_state_is_written_per_beat(tmp_path, writer):
    clock = writer._now
    assert writer.look()
    clock.now += BEAT / 2
    assert not writer.look()
    clock.now += BEAT / 2
    assert writer.look()
    assert written(tmp_path).written == 1000.0 + BEAT
    assert written(tmp_path).beat == BEAT


def test_a_silent_node_is_told_at_once(tmp_path, record, writer):
    stage, clock = record.stage, writer._now
    stage.asked, stage.signs = {"1": "a", "2": "b"}, {"a": 999.0, "b": 999.5}
    assert writer.look()
    assert [node.seen for node in written(tmp_path).nodes] == [999.0, 999.5]
    clock.now += 1
    stage.signs["a"] = 1000.5  # signs alone are no reason to write
    assert not writer.look()
    clock.now += 1
    stage.silent = ("b",)
    assert writer.look()
    a, b = written(tmp_path).nodes
    assert (a.state, b.state, b.seen) == ("computing", "silent", 999.5)
    assert b.why.startswith("no sign of it")
    clock.now += BEAT
    stage.entry.node_seconds["b"] = 1.0  # its answer was on its way
    assert writer.look()
    a, b = written(tmp_path).nodes
    assert (a.seen, b.state, b.why) == (1000.5, "answered", "")


def test_it_writes_at_most_twice_a_second(tmp_path, record, monkeypatch):
    writes = []

    def answers():  # between two looks, hundreds of rounds are over
        for _ in range(300):
            over(record, len(record.history) + 1, node_metrics={"a": {"loss": 1.0}})

    monkeypatch.setattr("flame_flwr.results.live_content._MOST_ROUNDS", 100)
    clock = Clock(40, answers)
    made = LiveWriter(tmp_path, STARTED, now=clock)
    monkeypatch.setattr("flame_flwr.results.live_state.call_beside", lambda call, name: None)
    made.opened(record)
    made._over = clock
    monkeypatch.setattr(made, "_write", lambda text: writes.append((clock.now, text)))
    made._run()
    times = [when for when, _ in writes]
    assert clock.waited[1:] == [FOLDER_EVERY] * 40
    assert len(times) == 41
    assert min(after - before for before, after in pairwise(times[:-1])) >= 0.5
    said = parse_live(writes[-1][1])
    assert said.rounds == 41 * 300
    numbers = [entry.round for entry in said.history]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == said.rounds
    assert 50 < len(numbers) <= 100


def test_a_resumed_run_has_its_earlier_rounds(tmp_path, record, writer):
    for number in range(1, 151):
        over(record, number)
    record.stage.closed = record.resumed_after = 150
    writer.look()
    said = written(tmp_path)
    assert (said.rounds, said.resumed_after, len(said.history)) == (150, 150, 150)


def test_a_mean_says_what_it_is_weighted_by(tmp_path, record, writer):
    record.weighted_by["auc"] = "n"
    values = {"a": {"auc": 0.5, "loss": 1.0}, "b": {"auc": 0.75, "loss": math.inf}}
    over(record, 1, node_metrics=values, metrics={"auc": 0.7})
    writer.look()
    (entry,) = written(tmp_path).history
    assert entry.metrics["auc"] == (0.7, "n")
    assert math.isnan(entry.metrics["loss"][0])
    assert written(tmp_path).nodes[1].metrics == {"auc": 0.75, "loss": math.inf}


def test_of_a_private_run_there_is_nothing_exact(tmp_path, record, writer):
    record.privacy = {"mechanism": "laplace", "epsilon": 1.0}
    over(record, 1, node_metrics={"a": {"loss": 412.5}}, metrics={"loss": 412.5}, change=77.25)
    writer.look()
    text = (tmp_path / LIVE).read_text()
    assert written(tmp_path).private
    assert "412" not in text
    assert "77.25" not in text


def test_metrics_that_the_study_hides_are_not_there(tmp_path, record, writer):
    record.shown = ("auc",)
    over(record, 1, node_metrics={"a": {"auc": 0.5, "deaths": 412}}, metrics={"deaths": 412.0})
    writer.look()
    assert "deaths" not in (tmp_path / LIVE).read_text()
    assert written(tmp_path).history[0].metrics == {"auc": (0.5, "")}


def test_masked_answers_leave_no_node_times(tmp_path, record, writer):
    record.stage.masked = True
    record.stage.entry.node_seconds["a"] = 3.75
    over(record, 1, node_seconds={"a": 3.75, "b": 2.5})
    writer.look()
    assert [node.seconds for node in written(tmp_path).nodes] == [None, None]


def test_a_full_disk_is_said_once(tmp_path, writer, caplog, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flame_flwr.results.live_state.write_whole", full)
    assert not writer.look()
    writer._now.now += BEAT
    assert not writer.look()
    assert caplog.text.count("live.json cannot be written (No space left on device)") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_no_run_wrote_stays(tmp_path, record):
    own = tmp_path / LIVE
    own.write_text('{"mine": true}')
    with with_callbacks(record, LiveWriter(tmp_path, STARTED)):
        time.sleep(0.05)
    assert own.read_text() == '{"mine": true}'


def test_after_its_end_nothing_is_written(tmp_path, writer):
    assert writer.look()
    writer.end()
    assert not (tmp_path / LIVE).exists()
    writer._look_until_over()  # as the thread that was about to look
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", ["end", "close"])
def test_a_look_beyond_the_end_writes_nothing(tmp_path, writer, stop, monkeypatch):
    """As on a busy machine: the run is over, and its folder may be gone."""
    look = writer._content.look

    def slow(now):
        said = look(now)
        getattr(writer, stop)()
        tmp_path.rmdir()
        return said

    monkeypatch.setattr(writer._content, "look", slow)
    writer.look()
    assert not tmp_path.exists()
    tmp_path.mkdir()
