"""The lines by which a run is followed: written, read, and told from what user code says."""

import pytest

from flame_flwr.results import RoundRecord, RunRecord
from flame_flwr.results.followed_lines import (
    FolderLine,
    ParticipantsLine,
    ResultsLine,
    RoundLine,
    parse_line,
)
from flame_flwr.results.log_lines import log_round
from flame_flwr.results.metric_means import summary

LEVELS = {
    "nothing": "",
    "Flower": "INFO :      ",
    "the end of a colour": "\x1b[0m",
    "Flower in colour": "\x1b[92mINFO \x1b[0m:      ",
    "Python": "INFO:flame_flwr:",
}
LINES = [
    ParticipantsLine(1, "a"),
    ParticipantsLine(3, "a, b, c"),
    *(kind(p) for kind in (FolderLine, ResultsLine) for p in ("/a b/x", "s3://b/x", "https://s/x")),
    RoundLine(3, 1, 2, 0.25, "1.2 kB"),
    RoundLine(3, 2, 2, 0.0, "68 B", "300 rows x 13 columns", "loss 1 (0 to 2)", "max: it said so"),
]


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_a_line_is_read_as_it_was_written(level):
    assert [parse_line(f"{level}{line}") for line in LINES] == LINES


@pytest.mark.parametrize("reason", ["", "4 rounds are done", "AnyOf(x: 3) said so"])
@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"a": {"err": 3.178, "loss": 11.99}, "b": {"err": 3.5, "loss": 16.11}},
        {"a": {"f1: macro, of 2": 1e-9}},
        {"a": {"loss": float("nan")}},
        {"a": {"loss": float("-inf")}},
        {"a": {"loss": float("inf")}, "b": {"loss": 0.5}},
        {"a": {f"metric {i}": i / 7 for i in range(9)}},
    ],
)
def test_a_logged_round_is_read_with_its_metrics(caplog, metrics, reason):
    caplog.set_level("INFO", "flame_flwr")
    entry = RoundRecord(3, node_metrics=metrics, node_bytes={"a": 1_234_567}, reason=reason)
    log_round(entry, RunRecord(nodes=["a", "b"]))
    [text] = caplog.messages
    said = summary(metrics.values())
    assert parse_line(text) == RoundLine(3, 0, 2, 0.0, "1.2 MB", "", said, reason)
    assert str(parse_line(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "dropping empty rows results in 38 patients",
        "results in 38 patients",
        "[node-0, round 1] dropping empty rows results in /tmp/38 patients",
        "(ClientAppActor pid=94) results in /tmp/x",
        "INFO :      [node-0, round 1] 5 nodes take part: a, b",
        "of these, 5 nodes take part: a, b",
        "node-0: the run's files go into /tmp/x",
        "[node-0, round 1] round 9: 3 of 3 nodes, 0.10 s, 68 B received",
        "WARNING: round 9: 3 of 3 nodes, 0.10 s, 68 B received",
        "WARNING: round 2: going on without node b: timeout",
    ],
)
def test_what_user_code_says_is_no_such_line(text):
    assert parse_line(text) is None
