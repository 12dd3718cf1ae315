"""What has left of frozen data in earlier runs counts as published in later ones."""

import io
import itertools
import json
import threading

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from node_messages import gated_fit

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.filter_counts import counted_figures
from flame_flwr.config import NodeSettings
from flame_flwr.data.frozen_figures import FIGURES
from flame_flwr.data.frozen_reads import frozen_reads
from flame_flwr.data.frozen_store import FrozenStore
from flame_flwr.errors import ConfigError
from flame_flwr.privacy.figure_account import FigureAccount
from flame_flwr.privacy.published_sets import PublishedSets
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import Moments

pytest.importorskip("duckdb")
RUNS = itertools.count(7000)
AGES = np.random.default_rng(7).integers(30, 95, 100)


class MeanAge(StarAnalyzer):
    def __init__(self, flame, first, last):
        super().__init__(flame)
        self.first, self.last = first, last

    def analysis_method(self, data, aggregator_results):
        table = pd.read_csv(io.BytesIO(data[0]["ward.csv"])).set_index("person")
        return Moments.from_data(table["age"].iloc[self.first : self.last])


@pytest.fixture
def ward(tmp_path):
    """A node, of which runs ask for the mean age of some of its people."""
    (tmp_path / "ward").mkdir()
    pd.DataFrame({"person": range(100), "age": AGES}).to_csv(
        tmp_path / "ward" / "ward.csv", index=False
    )

    class Ward:
        node = {
            "name": "a",
            "state-dir": str(tmp_path / "state"),
            "data": str(tmp_path / "ward"),
            "disclosure": "MinCount(5)",
            "share-tracebacks": False,
        }

        def ask(self, first, last, freeze="2026", project="covid"):
            """Return of how many people a new run gets the mean."""
            run = {"project-id": project, "freeze": freeze}
            context = Context(next(RUNS), 5, self.node, RecordDict(), run)
            plan = NodePlan(MeanAge, {"first": first, "last": last}, "s3", subject="person")
            self.state = context.state
            value, self.said = gated_fit(StarClient(plan, context), 1)
            self.failure = value
            return getattr(value, "n", None)

        def store(self):
            return FrozenStore.of(NodeSettings.from_config(self.node))

        @property
        def file(self):
            [file] = (tmp_path / "state" / FIGURES).rglob("left.json")
            return file

    return Ward()


def test_two_runs_do_not_tell_of_three(ward):
    live = [ward.ask(0, 100, freeze=""), ward.ask(3, 100, freeze="")]
    assert live == [100, 97]  # the attack: of data that is read anew, runs are not compared
    assert [ward.ask(*some) for some in ((0, 100), (3, 100), (0, 50), (50, 97), (0, 100))] == [
        100,
        0,
        50,
        0,
        100,
    ]


def test_names_and_queries_share_people_projects_do_not(ward):
    assert ward.ask(0, 100) == 100
    assert ward.ask(3, 100, freeze="2027") == 0
    assert ward.ask(3, 100, project="flu") == 97


def test_repeated_runs_do_not_tell_five_ages(ward):
    class Power(MeanAge):
        def analysis_method(self, data, aggregator_results):
            table = pd.read_csv(io.BytesIO(data[0]["ward.csv"])).set_index("person")
            return Moments.from_data(table["age"].iloc[: self.first] ** self.last)

    plan = NodePlan(Power, {"first": 5, "last": 2}, "s3", subject="person")
    assert ward.ask(0, 5) == 5
    context = Context(
        next(RUNS), 5, ward.node, RecordDict(), {"project-id": "covid", "freeze": "2026"}
    )
    assert gated_fit(StarClient(plan, context), 1)[0].n == 0


def test_it_is_the_nodes_alone(ward):
    ward.ask(0, 100)
    assert ward.file.stat().st_mode & 0o777 == 0o600
    assert {each.stat().st_mode & 0o077 for each in ward.file.parents[:3]} == {0}
    packed = json.loads(ward.file.read_text())["sets"]["people"]
    assert packed not in repr(ward.state)
    assert ward.said["frozen"] == ward.state["flame_flwr.frozen"]["digests"][0]


def test_it_goes_with_the_last_frozen_data(ward):
    ward.ask(0, 100)
    ward.ask(0, 100, freeze="2027")
    store = ward.store()
    (first, second) = store.all()
    store.drop(*first)
    assert ward.file.exists()
    store.drop(*second)
    with pytest.raises(ValueError, match="not enough values"):
        _ = ward.file
    assert ward.ask(3, 100) == 97


@pytest.mark.parametrize(
    "damage",
    [
        b"[",
        b"\xff",
        b"{}",
        b'{"sums": {}, "sets": {"people": "", "left": [["age", "AAAA"]]}}',
        b'{"sums": {"a": [1]}, "sets": {"people": "", "left": []}}',
        b'{"sums": {}, "sets": {"people": "AAAAAAAAAAA=", "left": [[3, "eJxjAAAAAQAB"]]}}',
        json.dumps({"sums": {}, "sets": {"people": "", "left": [["a", ""]] * 5000}}).encode(),
    ],
)
def test_what_is_damaged_lets_nothing_leave(ward, damage):
    ward.ask(0, 100)
    ward.file.write_bytes(damage)
    assert ward.ask(0, 100) is None
    assert "what has left of the frozen data before cannot be read" in str(ward.failure)
    assert str(ward.file) not in str(ward.failure)


def test_a_round_without_data_is_counted_too(ward):
    """An analysis may answer from what it has kept of an earlier round."""
    ward.ask(0, 100)
    context = Context(
        next(RUNS), 5, ward.node, RecordDict(), {"project-id": "covid", "freeze": "2026"}
    )
    digests = [ward.said["frozen"]]
    for frozen in (digests, []):
        account = FigureAccount()
        with counted_figures(context, account, frozen):
            assert account  # of the first run
    assert not frozen_reads(context)


def test_two_answers_at_once_are_compared(ward):
    ward.ask(0, 100)
    figures = ward.store().figures([ward.said["frozen"]])
    order, inside = [], threading.Event()

    def first():
        with figures.added_to(FigureAccount()):
            inside.set()
            order.append("first in")
            threading.Event().wait(0.1)
            order.append("first out")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with ward.store().figures([ward.said["frozen"]]).added_to(FigureAccount()):
        order.append("second in")
    thread.join(5)
    assert order == ["first in", "first out", "second in"]


def test_who_waits_for_too_long_is_told_so(ward, monkeypatch):
    monkeypatch.setattr("flame_flwr.data.frozen_figures._LOCK_LIMIT", 0.0)
    ward.ask(0, 100)
    figures = ward.store().figures([ward.said["frozen"]])
    with (
        figures.added_to(FigureAccount()),
        pytest.raises(ConfigError, match="another answer"),
        figures.added_to(FigureAccount()),
    ):
        pass


def test_sets_of_several_datasets_are_reread():
    """An answer about three of them is kept with each, and may be of more than one may have."""
    together = FigureAccount()
    for dataset in range(3):
        sets = PublishedSets()
        for start in range(10_000 * dataset, 10_000 * dataset + 6_000, 10):
            assert sets.takes(np.arange(start, start + 10, dtype=np.uint64), f"{start}", 5)
        sums = {f"9000 {dataset} =": [f"sum {number}" for number in range(9_000)]}
        said = {"sums": sums, "sets": sets.to_json(), "rows": PublishedSets().to_json()}
        together.add(FigureAccount.from_json(json.dumps(said)))
    text = together.to_json()
    assert FigureAccount.from_json(text).to_json() == text
