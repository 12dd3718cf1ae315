"""A model goes from hospital to hospital: as a plain loop, in any runtime, with nodes that fail."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Error, Message
from keeping_client import keeps

from flame_flwr.aggregation import DeltaNorm, MaxRounds
from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import AnswerError, ModelError
from flame_flwr.flower import OFFLINE
from flame_flwr.results.report_tables import rounds_table
from flame_flwr.star import StarAnalyzer, StarModel, StarModelTester
from flame_flwr.strategies import CyclicTraining, WeightedFedAvg
from flame_flwr.transport import grid as grid_module
from flame_flwr.transport import reconnecting
from flame_flwr.transport.grid import GridTransport

from .regression import RATE, SPLITS, Regression, over_messages, start
from .test_reduce_strategy import rounds_of

SKIP = {"on-failure": "skip", "min-nodes": 2}


def trained(coef, split):
    x, y = split
    for _ in range(3):
        coef = coef - RATE * x.T @ (x @ coef - y) / len(y)
    return coef


def line(number, seed):
    """Return the order of a round by its definition: the smallest of three numbers drawn first."""
    drawn = random.Random(f"{seed}/{number}")
    return [node for _, node in sorted((drawn.random(), node) for node in range(3))]


def loop(rounds, order=lambda number: [0, 1, 2], away=()):
    """Hand the model on in a plain loop; `away` are rounds and nodes that are left out."""
    coef = np.zeros(3)
    for number in range(1, rounds + 1):
        for node in order(number):
            if (number, node) not in away:
                coef = trained(coef, SPLITS[node])
    return coef


def bits(record):
    return (record.result or record.aggregate)["model"]["coef"].tobytes()


def test_it_is_a_plain_loop_in_every_runtime():
    strategy = CyclicTraining(rounds=4, metrics=["loss"])
    tester = StarModelTester(SPLITS, Regression, strategy, "s3")
    assert bits(tester) == bits(over_messages(strategy)) == loop(4).tobytes()
    assert (tester.rounds, tester.history[-1].reason) == (4, "4 rounds are done")
    assert [entry.order for entry in tester.record.history] == [["node-0", "node-1", "node-2"]] * 4
    at, losses = loop(3), []
    for x, y in SPLITS:
        losses.append(np.mean((y - x @ at) ** 2))
        at = trained(at, (x, y))
    sizes = [len(y) for _, y in SPLITS]
    assert tester.result["loss"] == pytest.approx(np.average(losses, weights=sizes), rel=1e-12)
    assert list(tester.evaluations) == ["node-0", "node-1", "node-2"]


def test_the_report_says_through_whom_a_round_went():
    with LocalGrid(NodePlan(Failing, {"how": "nan"}, data_type="s3"), SPLITS) as grid:
        shown = start(CyclicTraining(rounds=2), grid, SKIP).to_json()
    table = rounds_table(shown["history"], {})
    assert table.header[:3] == ["round", "nodes", "through"]
    assert [row[:3] for row in table.rows] == [
        ["1", "3", "node-0, node-1, node-2"],
        ["2", "2", "node-0, node-2"],
    ]
    older = [{k: v for k, v in entry.items() if k != "order"} for entry in shown["history"]]
    assert "through" not in rounds_table(older, {}).header


@pytest.mark.parametrize("seed", [0, 7])
def test_a_random_order_is_seeded_per_round(seed):
    strategy = CyclicTraining("random", 5, seed=seed)
    record = over_messages(strategy)
    assert bits(record) == bits(StarModelTester(SPLITS, Regression, strategy, "s3"))
    assert bits(record) == loop(5, lambda number: line(number, seed)).tobytes()
    orders = [tuple(entry.order) for entry in record.history]
    assert orders == [tuple(f"node-{k}" for k in line(n, seed)) for n in range(1, 6)]
    assert len(set(orders)) > 1


class OneByOne(LocalGrid):
    """Counts messages of rounds that wait for their answers."""

    most = 0

    def push_messages(self, messages):
        ids = super().push_messages(messages)
        kinds = [message.metadata.message_type for message in self.messages.values()]
        OneByOne.most = max(OneByOne.most, kinds.count("train"))
        return ids


def test_one_message_is_under_way_at_a_time():
    for strategy, most in ((CyclicTraining(rounds=2), 1), (WeightedFedAvg(), 3)):
        OneByOne.most = 0
        over_messages(strategy, grid_class=OneByOne)
        assert OneByOne.most == most


class Moving(LocalGrid):
    """Once node 0 has trained, the last one has another address, as after a restart."""

    transport = None

    def pull_messages(self, message_ids):
        replies = super().pull_messages(message_ids)
        if replies and replies[0].metadata.message_type == "train" and 4 not in self.apps:
            self.apps[4], self.contexts[4] = self.apps.pop(3), self.contexts.pop(3)
            Moving.transport.addresses["node-2"] = 4
        return replies


def test_a_node_may_move_before_its_turn(monkeypatch):
    begun = GridTransport.__init__

    def noted(self, *arguments, **more):
        begun(self, *arguments, **more)
        Moving.transport = self

    monkeypatch.setattr(GridTransport, "__init__", noted)
    record = over_messages(CyclicTraining(rounds=2), grid_class=Moving)
    assert bits(record) == loop(2).tobytes()


class Dying(LocalGrid):
    """Node 1 is gone when its turn in round 2 comes, and back later, under another address."""

    gone = None
    looks = 0

    def get_nodes(self):
        self.looks += self.gone is not None
        if self.looks == 3:
            self.apps[4], self.contexts[4] = self.gone, self.contexts.pop(2)
        return [
            SimpleNamespace(node_id=n, last_activated_at="9:00", online_until=0, name="")
            for n in self.apps
        ]

    def answer(self, message):
        """Answer, but for the one that dies."""
        asked = message.content.get("fitins.config", {}).get("round")
        if (message.metadata.dst_node_id, asked, self.gone) == (2, 2, None):
            self.gone = self.apps.pop(2)
            return Message(Error(OFFLINE, "gone"), reply_to=message)
        return super().answer(message)


def test_a_missing_node_is_waited_for(monkeypatch):
    monkeypatch.setattr(grid_module, "runtime", lambda: "deployment")
    monkeypatch.setattr(reconnecting, "_LOOK_EVERY", 0.0)
    with Dying(NodePlan(Regression, data_type="s3"), SPLITS) as grid:
        record = start(CyclicTraining(rounds=3), grid, {"on-failure": "wait"})
        assert grid.looks >= 3
        assert sorted(grid.apps) == [1, 3, 4]
    assert bits(record) == loop(3).tobytes()
    assert [entry.order for entry in record.history] == [["node-0", "node-1", "node-2"]] * 3
    assert record.to_json()["failures"] == []


class Failing(Regression):
    """Node 1 fails in round 2 as `how` says."""

    def __init__(self, flame, how="raises"):
        super().__init__(flame)
        self.how = how

    def analysis_method(self, data, aggregator_results):
        answer = super().analysis_method(data, aggregator_results)
        if (self.num_iterations, self.id) != (1, "node-1"):
            return answer
        if self.how == "raises":
            raise ValueError("no")
        odd = {"nan": np.array([0.0, np.nan, 0.0]), "shape": np.zeros(4)}
        if self.how in odd:
            return {**answer, "model": {"coef": odd[self.how]}}
        return {**answer, "loss": "low"} if self.how == "text" else {"loss": 1.0}


@pytest.mark.parametrize("how", ["raises", "nan", "shape", "text", "nothing"])
def test_a_failing_node_is_skipped(how):
    """Also one whose model has arrived and cannot go on."""
    with LocalGrid(NodePlan(Failing, {"how": how}, data_type="s3"), SPLITS) as grid:
        record = start(CyclicTraining(rounds=3, metrics=["loss"]), grid, SKIP)
    assert bits(record) == loop(3, away=[(2, 1)]).tobytes()
    assert [entry.order for entry in record.history][1] == ["node-0", "node-2"]
    shown = record.to_json()
    assert [failure["node"] for failure in shown["failures"]] == ["node-1"]
    assert shown["history"][1]["order"] == ["node-0", "node-2"]


def test_a_failure_ends_the_run_by_default():
    for how, said in {"shape": "another form than the one", "nan": "sent NaN or infinity"}.items():
        with pytest.raises(AnswerError, match=f"round 2, key .?model.*node-1: .*{said}"):
            StarModelTester(
                SPLITS, Failing, CyclicTraining(rounds=3), "s3", analyzer_kwargs={"how": how}
            )


@pytest.mark.parametrize("order", ["as given", "random"])
def test_a_resumed_run_gives_the_same_bits(order, tmp_path):
    def kind():
        return CyclicTraining(order, 5, seed=2)

    with LocalGrid(NodePlan(Regression, data_type="s3"), SPLITS, keeps()) as grid:
        rounds_of(kind, grid, 2, tmp_path / "kept")
        _, record = rounds_of(kind, grid, 5, tmp_path / "kept", resume=True)
    orders = (lambda n: line(n, 2)) if order == "random" else (lambda n: [0, 1, 2])
    assert record.resumed_after == 2
    assert bits(record) == loop(5, orders).tobytes()
    assert len(record.history) == 5


def test_a_convergence_ends_it_too():
    strategy = CyclicTraining(rounds=50, convergence=DeltaNorm("model.coef", 0.01))
    tester = StarModelTester(SPLITS, Regression, strategy, "s3")
    path = [loop(n) for n in range(51)]
    expected = next(n for n in range(2, 51) if np.linalg.norm(path[n] - path[n - 1]) <= 0.01)
    assert tester.rounds == expected < 50


def test_it_begins_with_the_initial_model():
    class Damped(CyclicTraining):
        rounds = 2
        initial = {"model": {"coef": np.ones(3)}}

        def update(self, merged, last):
            coef = (merged["model"]["coef"] + last["model"]["coef"]) / 2
            return {"model": {"coef": coef}}

    coef = np.ones(3)
    for _ in range(2):
        before = coef
        for split in SPLITS:
            coef = trained(coef, split)
        coef = (coef + before) / 2
    assert bits(over_messages(Damped())) == coef.tobytes()


def test_anything_that_travels_may_be_the_model():
    class Names(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            known = [] if aggregator_results is None else aggregator_results["model"]
            return {"model": [*known, self.id]}

    result = StarModelTester(SPLITS, Names, CyclicTraining(rounds=2), "s3").result
    assert result == {"model": ["node-0", "node-1", "node-2"] * 2}


def test_a_wrong_declaration_is_found_when_built():
    with pytest.raises(ModelError, match="order must be one of 'as given', 'random'"):
        CyclicTraining("by name")
    with pytest.raises(ModelError, match="MaxRounds"):
        CyclicTraining(rounds=0)
    with pytest.raises(ModelError, match="seed must be a whole number"):
        CyclicTraining(seed="0")
    with pytest.raises(ModelError, match="CyclicTraining: metrics must be a list"):
        CyclicTraining(metrics="loss")
    with pytest.raises(ModelError, match="model"):
        StarModel(Regression, CyclicTraining(rounds=2), "s3", secure=True)
    with pytest.raises(ModelError, match=r"convergence=MaxRounds\(10\)"):
        StarModelTester(SPLITS, Regression, CyclicTraining(), "s3", simple_analysis=False)


def test_a_subclass_must_go_on_one_by_one():
    class Listed(CyclicTraining):
        def configure_train(self, server_round, arrays, config, grid):
            return list(super().configure_train(server_round, arrays, config, grid))

    with pytest.raises(ModelError, match=r"Listed.configure_train, round 1: .* yield each message"):
        over_messages(Listed(rounds=2))

    class Said(CyclicTraining):
        def configure_train(self, server_round, arrays, config, grid):
            config["more"] = 1
            yield from super().configure_train(server_round, arrays, config, grid)

    strategy = Said(convergence=MaxRounds(2))
    assert bits(StarModelTester(SPLITS, Regression, strategy, "s3")) == loop(2).tobytes()
