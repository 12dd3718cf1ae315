"""A run records what its filters have spent, of every answer that left."""

import json

import pytest

from flame_flwr.clients import Node, NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.data.source import SplitData
from flame_flwr.errors import ModelError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode
from flame_flwr.privacy import Clip, GaussianNoise, SparseVector, budget
from flame_flwr.privacy.budget import spent
from flame_flwr.results.filter_record import read_report
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarModel, StarModelTester
from flame_flwr.strategies import StarStrategy
from flame_flwr.text.foreign_json import OddReportError

from .filtered_study import ROUNDS, SPLITS, Average, Train


def test_the_budget_of_all_rounds_is_recorded():
    noise = GaussianNoise(1.0, 3.0, delta=1e-6)
    rare = SparseVector(
        0.2, bound=1.0, threshold=0.1, epsilon_select=0.1, epsilon_values=0.2, keys="coef"
    )
    tester = StarModelTester(
        SPLITS, Train, Average, "s3", simple_analysis=False, filters=[rare, noise]
    )
    expected = spent([(noise.mechanism(), ROUNDS), (rare.mechanism(), ROUNDS)])
    assert len(tester.filters) == len(SPLITS)
    for about in tester.filters.values():
        assert (about["epsilon"], about["delta"]) == (expected.epsilon, 1e-6)
        assert [entry["answers"] for entry in about["filters"]] == [ROUNDS, ROUNDS]


def test_hardly_any_noise_has_a_budget_too():
    noise = GaussianNoise(1.0, 0.001, delta=1e-6)
    tester = StarModelTester(SPLITS, Train, Average, "s3", simple_analysis=False, filters=[noise])
    about = tester.filters["node-0"]
    assert about["epsilon"] > ROUNDS * 1000**2 / 2


def test_a_tester_writes_the_budget_beside_results(tmp_path):
    StarModelTester(
        SPLITS,
        Train,
        Average,
        "s3",
        simple_analysis=False,
        filters=[GaussianNoise(1.0, 3.0)],
        filename=tmp_path / "result.txt",
    )
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["filters"]["node-0"]["epsilon"] > 0
    with pytest.raises(ModelError, match=r"'run.json' is where the privacy budget goes"):
        StarModelTester(
            SPLITS, Train, Average, "s3", filters=[Clip(1.0)], filename=tmp_path / "run.json"
        )


def test_a_failed_run_says_its_budget():
    class Fails(Average):
        def aggregation_method(self, analysis_results):
            if self.num_iterations == 1:
                raise ValueError("broken")
            return super().aggregation_method(analysis_results)

    record = RunRecord()
    plan = NodePlan(Train, data_type="s3", filters=(GaussianNoise(1.0, 1.0),))
    with LocalGrid(plan, SPLITS) as grid, pytest.raises(ValueError, match="broken"):
        StarStrategy(Fails).start(grid, record=record, simple_analysis=False)
    about = record.to_json()["filters"]
    assert {entry["filters"][0]["answers"] for entry in about.values()} == {2}
    assert all(entry["epsilon"] > 0 for entry in about.values())


def report(**more):
    noise = GaussianNoise(1.0, 1.0)
    entry = {**noise.about(), "by": "analysis", "mechanism": noise.mechanism().to_json()}
    return [{**entry, "applied": True, **more}]


def answers(record):
    return [[each["answers"] for each in entry["filters"]] for entry in record.to_json().values()]


def test_a_resumed_analysis_adds_to_its_budget():
    first = RunRecord()
    for _ in range(3):
        first.filters.note("a", report())
    second = RunRecord()
    second.go_on(first.progress())
    second.filters.note("a", report(answers=1))
    second.filters.note("a", report(answers=3))  # one answer got lost on the way
    assert answers(second.filters) == [[6]]
    expected = spent([(GaussianNoise(1.0, 1.0).mechanism(), 6)])
    assert second.to_json()["filters"]["a"]["epsilon"] == expected.epsilon


def test_changed_filters_spend_on_both():
    record = RunRecord().filters
    record.note("a", report())
    record.note("a", report(norm=2.0))
    assert answers(record) == [[1, 1]]


@pytest.mark.parametrize(
    "text",
    [
        *(5, "[", "{}", "[1, null]", '[{"no": 1}]', "[" * 9000, "x" * 30_000, b"[]"),
        *('[{"filter": ' * 800 + "1" + "}]" * 800, '[{"filter": "Clip", "a": [[[[1]]]]}]'),
        *('[{"filter": "Clip"}, 3]', '[{"filter": "a b"}]', f'[{{"filter": "{"x" * 101}"}}]'),
        '[{"filter": "Gaussian", "mechanism": {"kind": "gaussian", "value": 1e-10}}]',
        '[{"filter": "Gaussian", "mechanism": 3}]',
        f'[{{"filter": "Clip", "n": {"9" * 5000}}}]',
        f"[{', '.join(['{}'] * 51)}]",
    ],
)
def test_an_unreadable_report_of_filters_is_refused(text):
    with pytest.raises(OddReportError, match="its report of filters"):
        read_report(text)


@pytest.mark.parametrize("text", ["", None, "[]"])
def test_a_node_may_have_no_filters(text):
    assert read_report(text) == []


def test_filters_that_always_differ_are_not_all_kept():
    record = RunRecord().filters
    for number in range(200):
        record.note("a", report(norm=2.0 + number))
    assert len(record.nodes["a"]) == 50


@pytest.mark.parametrize("count", ["9", -5, 10**30, 1.5, None])
def test_a_count_that_cannot_be_is_not_believed(count):
    record = RunRecord().filters
    record.note("a", report(answers=count))
    assert answers(record) == [[1]]


def test_without_dp_accounting_the_budget_is_unknown(monkeypatch, caplog):
    record = RunRecord().filters
    record.note("a", report())
    monkeypatch.setattr(budget, "find_spec", lambda name: None)
    record.log_budgets()
    assert "unknown, as dp-accounting is not installed here" in caplog.text
    assert record.to_json()["a"]["epsilon"] is None


def test_nodes_of_one_budget_share_a_line(caplog):
    record = RunRecord().filters
    for node in ("a", "b", "c"):
        record.note(node, report())
    record.note("c", report())
    with caplog.at_level("INFO", "flame_flwr"):
        record.log_budgets()
    lines = [line for line in caplog.messages if "privacy budget of the filters" in line]
    assert len(lines) == 2
    assert "each of 2 nodes: epsilon" in lines[0]
    assert "filters, c: epsilon" in lines[1]


def test_noise_needs_dp_accounting_on_the_server(monkeypatch):
    monkeypatch.setattr(budget, "find_spec", lambda name: None)
    noise = [GaussianNoise(1.0, 1.0)]
    with pytest.raises(ModelError, match="the budget of GaussianNoise needs dp-accounting here"):
        StarModelTester(SPLITS, Train, Average, "s3", filters=noise)
    plan = StarModel(Train, Average, "s3", filters=noise).plan
    node = Node(plan, Identity("a", ("a",)), SplitData(1.0))
    assert decode(node.round(1, None))["n"] == 10  # a node does not
