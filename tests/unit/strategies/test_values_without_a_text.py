"""What a node sent is told of safely: hostile names, endless ones, numbers nobody can print.

In whole runs of three nodes of which one is hostile: the run goes on without it under `skip`, ends
with its name under `abort`, and neither log nor files hold what it sent as it is.
"""

import csv
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from flame_flwr.aggregation import (
    Concat,
    Function,
    Max,
    MaxRounds,
    Mean,
    PerNode,
    Sum,
    WeightedMean,
)
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import FlameError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
from flame_flwr.strategies import ReduceStrategy, bookkeeping

FORGED = "\x1b[2J\nround 7: 3 of 3 nodes, has_converged returned True\x07"
LONG = "y" * 1_000_000
HUGE = 10**6000
ROUNDS = 3


class Says(StarAnalyzer):
    """Returns its data."""

    def analysis_method(self, data, aggregator_results):
        return data


class Counts(StarAggregator):
    """Returns how many answered."""

    def aggregation_method(self, analysis_results):
        return len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= ROUNDS - 1


def reduced(reduction):
    return ReduceStrategy({"a": reduction}, convergence=MaxRounds(ROUNDS))


@pytest.fixture
def run(context, tmp_path, caplog):
    """Run a study whose node-1 is odd; return the error, the texts that were shown, run.json."""

    def start(usual, odd, strategy, **config):
        config = {"report": "on", "tensorboard": "off", "results": str(tmp_path / "res")} | config
        config = {"nodes": 3, "on-failure": "skip", "min-nodes": 1} | config
        model = StarModel(Says, strategy, "s3", simple_analysis=False)
        error = None
        with LocalGrid(model.plan, [usual, odd, usual], run_config=config) as grid:
            try:
                model.server_app(grid, context(run_config=config))
            except FlameError as raised:
                error = raised
        [folder] = (tmp_path / "res").iterdir()
        shown = [record.getMessage() for record in caplog.records]
        files = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.is_file()}
        return error, shown, files

    return start


def frame(column):
    return pd.DataFrame({column: ["x"]})


def structured(name):
    return np.zeros(1, [(name, "f8"), ("other", "f8")])


NAMES = {
    "a column": (frame, Sum(differing="skip")),
    "fields of an array": (structured, Sum()),
    "a key": (lambda name: {name: 2.0}, Sum()),
    "a key of one that may differ": (lambda name: {name: "x"}, Sum(differing="skip")),
    "a key of what may not be NaN": (lambda name: {name: float("nan")}, Sum()),
    "columns that do not follow": (frame, Concat()),
}


@pytest.mark.parametrize(
    ("text", "on_failure"),
    [(FORGED, "abort"), (LONG, "abort"), (FORGED + LONG, "skip")],
    ids=["forged", "long", "both"],
)
@pytest.mark.parametrize("name", NAMES)
def test_names_are_told_in_short_lines(run, name, text, on_failure):
    make, reduction = NAMES[name]
    usual = frame("b") if isinstance(reduction, Concat) else 1.5
    error, shown, files = run(
        {"a": usual}, {"a": make(text)}, reduced(reduction), **{"on-failure": on_failure}
    )
    assert (error is None) == (on_failure == "skip")
    failures = json.loads(files["run.json"])["failures"]
    assert {failure["node"] for failure in failures} == {"node-1"}
    texts = [*shown, str(error), *(failure["why"] for failure in failures)]
    assert max(map(len, texts)) < 1000
    assert all(letter.isprintable() for text in texts for letter in text.replace("\n", " "))
    assert not [line for text in texts for line in text.splitlines() if line.startswith("round 7")]
    assert "\x1b" not in "".join(files.values())
    assert max(map(len, files.values())) < 40_000


def test_a_text_is_once_in_run_json(run):
    _, _, files = run({"a": 1.5}, {"a": {LONG: "x"}}, reduced(Sum()))
    about = json.loads(files["run.json"])
    told = [failure["why"] for failure in about["failures"]]
    in_rounds = [entry["failed"]["node-1"] for entry in about["history"]]
    assert len(told) == len(in_rounds) == ROUNDS
    assert all(len(text) <= 303 for text in in_rounds)
    lines = list(csv.DictReader(files["history.csv"].splitlines()))
    assert [row["failed"] for row in lines if row["node"] == "node-1"] == in_rounds


UNPRINTABLE = {
    "a number": HUGE,
    "one below zero": [1.0, -HUGE],
    "a range": range(HUGE),
    "a range from below zero": [range(-HUGE, HUGE, 7)],
    "a key": {HUGE: 1},
    "in a column": pd.DataFrame({"a": [HUGE]}, dtype=object),
    "a label": pd.Series([1.0], index=pd.Index([HUGE], dtype=object)),
}
STRATEGIES = {
    "an aggregator": Counts,
    "a sum": reduced(Sum(differing="skip")),
    "a mean": reduced(Mean()),
    "a largest": reduced(Max()),
    "a weighted mean": reduced(WeightedMean("n", bad_weight="skip")),
    "a dict by node": reduced(PerNode()),
    "rows": reduced(Concat()),
    "a function": reduced(Function(list)),
}


PLACES = [*((strategy, "a") for strategy in STRATEGIES), ("a sum", "n"), ("a weighted mean", "n")]


def pairs(places, *all_values):
    """Give every value at some places and every place with some values, the others now and then."""
    found = []
    for place, value in itertools.product(places, UNPRINTABLE):
        often = place in all_values or value == "a number"
        found.append(pytest.param(place, value, marks=() if often else pytest.mark.exhaustive))
    return found


@pytest.mark.parametrize(
    ("place", "value"), pairs(PLACES, ("an aggregator", "a"), ("a sum", "a"), ("a mean", "a"))
)
def test_unprintable_numbers_are_their_senders_failure(run, place, value):
    strategy, where = place
    usual = {"a": [1.0], "n": 3}
    odd = usual | {where: UNPRINTABLE[value]}
    error, _, files = run(usual, odd, STRATEGIES[strategy])
    assert error is None
    about = json.loads(files["run.json"])
    assert [failure["node"] for failure in about["failures"]] == ["node-1"] * ROUNDS
    assert about["status"] == "completed"


@pytest.mark.parametrize(
    ("strategy", "value"), pairs(["an aggregator", "a sum", "a dict by node"], "a sum")
)
def test_abort_names_who_sent_unprintable_numbers(run, value, strategy):
    odd = {"a": UNPRINTABLE[value], "n": 3}
    error, _, files = run({"a": 1.0, "n": 3}, odd, STRATEGIES[strategy], **{"on-failure": "abort"})
    assert "node-1" in str(error)
    assert [each["node"] for each in json.loads(files["run.json"])["failures"]] == ["node-1"]


@pytest.mark.parametrize("on_failure", ["skip", "abort"])
def test_a_value_that_cannot_be_noted_fails_alone(run, monkeypatch, on_failure):
    """Of a kind that no check knows of: whatever is raised about a value is its sender's."""

    def rows_tested(value, metrics):
        return 1 / (value["a"] - 2.0)

    monkeypatch.setattr(bookkeeping, "rows_tested", rows_tested)
    error, _, files = run({"a": 1.0}, {"a": 2.0}, reduced(Sum()), **{"on-failure": on_failure})
    about = json.loads(files["run.json"])
    assert {failure["node"] for failure in about["failures"]} == {"node-1"}
    assert "ZeroDivisionError" in about["failures"][0]["why"]
    if on_failure == "abort":
        assert "node-1" in str(error)
    else:
        assert error is None
        assert "2.0" in files["result"]


LARGE = 10**400


@pytest.mark.parametrize("on_failure", ["skip", "abort"])
@pytest.mark.parametrize("reduction", [Sum(), Sum(differing="skip"), Mean(), Max()], ids=repr)
def test_numbers_beyond_floats_are_their_senders(run, reduction, on_failure):
    error, _, files = run(
        {"a": 1.5}, {"a": LARGE}, reduced(reduction), **{"on-failure": on_failure}
    )
    about = json.loads(files["run.json"])
    assert {failure["node"] for failure in about["failures"]} == {"node-1"}
    assert error is None if on_failure == "skip" else "node-1" in str(error)
