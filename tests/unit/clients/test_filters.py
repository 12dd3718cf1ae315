"""Filters where they act: in ``Node.round``, in process and over messages; what is recorded."""

import json

import numpy as np
import pytest
from flwr.app import ConfigRecord
from node_messages import call, gated_fit

from flame_flwr.clients import Node, NodePlan, StarClient, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import NodeSettings
from flame_flwr.data.source import SplitData
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode
from flame_flwr.privacy import Clip, GaussianNoise, SparseVector, TopFraction, budget
from flame_flwr.privacy.budget import spent
from flame_flwr.privacy.noise import Noise
from flame_flwr.results.filter_record import read_report
from flame_flwr.results.run_record import RunRecord
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
from flame_flwr.strategies import StarStrategy
from flame_flwr.text.foreign_json import OddReportError

SPLITS = [1.0, 2.0, -3.0]
ROUNDS = 3
SEEDED = [
    TopFraction(0.5, keys="coef"),
    GaussianNoise(norm=2.0, noise_multiplier=0.5, keys="coef", seed=11),
]


class Train(StarAnalyzer):
    """Moves the model by numbers of its own; keeps its last result to see that it stays exact."""

    def analysis_method(self, data, aggregator_results):
        before = np.zeros(6) if aggregator_results is None else aggregator_results["coef"]
        before *= 2  # the node's own copy: what the filters compare with is another
        self.exact = before / 2 + data * np.arange(1.0, 7.0)
        return {"coef": self.exact, "n": 10}


class Average(StarAggregator):
    def aggregation_method(self, analysis_results):
        assert all(result["n"] == 10 for result in analysis_results)
        return {"coef": sum(result["coef"] for result in analysis_results) / len(analysis_results)}

    def has_converged(self, result, last_result):
        return self.num_iterations >= ROUNDS - 1


def by_hand():
    """The same study in a plain loop, with the arithmetic of the filters written out."""
    model = [0.0] * 6
    for number in range(1, ROUNDS + 1):
        results = []
        for node, data in enumerate(SPLITS):
            change = [data * (i + 1) for i in range(6)]
            change[:3] = [0.0] * 3  # the largest half is the last: it grows with i
            length = sum(c * c for c in change) ** 0.5
            change = [c * min(1.0, 2.0 / length) for c in change]
            noise = Noise(11, f"node-{node}|{number}|1").gaussian(1.0, 6)
            change = [c + n for c, n in zip(change, noise, strict=True)]
            results.append([m + c for m, c in zip(model, change, strict=True)])
        model = [sum(column) / len(SPLITS) for column in zip(*results, strict=True)]
    return model


def test_what_leaves_is_filtered_and_nothing_else():
    tester = StarModelTester(SPLITS, Train, Average, "s3", simple_analysis=False, filters=SEEDED)
    np.testing.assert_allclose(tester.result["coef"], by_hand(), rtol=1e-12)
    assert list(tester.filters) == ["node-0", "node-1", "node-2"]
    top, noise = tester.filters["node-1"]["filters"]
    assert top == {
        "filter": "TopFraction",
        "fraction": 0.5,
        "keys": ["coef"],
        "by": "analysis",
        "mechanism": None,
        "answers": ROUNDS,
    }
    assert noise["seeded"] is True  # and so there is no budget
    assert "11" not in json.dumps(noise)
    assert "epsilon" not in tester.filters["node-1"]


def test_over_messages_the_numbers_are_the_same():
    class Own(StarClient):
        """Its fit adds nothing, but makes the tester speak messages."""

    tester = StarModelTester(
        SPLITS, Train, Average, "s3", simple_analysis=False, filters=SEEDED, client=Own
    )
    local = StarModelTester(SPLITS, Train, Average, "s3", simple_analysis=False, filters=SEEDED)
    assert tester.result["coef"].tolist() == local.result["coef"].tolist()
    assert tester.filters == local.filters


def test_the_budget_of_all_rounds_is_recorded():
    noise = GaussianNoise(1.0, 3.0, delta=1e-6)
    rare = SparseVector(
        0.2, bound=1.0, threshold=0.1, epsilon_select=0.1, epsilon_values=0.2, keys="coef"
    )
    tester = StarModelTester(
        SPLITS, Train, Average, "s3", simple_analysis=False, filters=[rare, noise]
    )
    expected = spent([(noise.mechanism(), ROUNDS), (rare.mechanism(), ROUNDS)])
    for about in tester.filters.values():
        assert (about["epsilon"], about["delta"]) == (expected.epsilon, 1e-6)
        assert [entry["answers"] for entry in about["filters"]] == [ROUNDS, ROUNDS]


def test_a_run_with_hardly_any_noise_says_its_budget():
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


def test_a_filter_may_skip_rounds_without_its_array():
    class Phases(Train):
        def analysis_method(self, data, aggregator_results):
            if self.num_iterations == 0:
                return {"features": ["a", "b"], "n": 10}
            return {"coef": data * np.ones(2), "n": 10}

    class Merge(Average):
        def aggregation_method(self, analysis_results):
            if self.num_iterations == 0:
                return analysis_results[0]
            return super().aggregation_method(analysis_results)

    def run(missing):
        filters = [GaussianNoise(1.0, 1.0, keys="coef", missing=missing)]
        return StarModelTester(SPLITS, Phases, Merge, "s3", simple_analysis=False, filters=filters)

    about = run("skip").filters["node-0"]
    assert about["filters"][0]["answers"] == ROUNDS - 1
    assert about["epsilon"] == spent([(GaussianNoise(1.0, 1.0).mechanism(), 2)]).epsilon
    with pytest.raises(ModelError, match=r"floats at number 1 of its keys.*\[coef\]"):
        run("error")


# ---- the node's own --------------------------------------------------------------------------


class Steps(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return np.array([3.0, 4.0]) + (0 if aggregator_results is None else aggregator_results)


def test_a_hospitals_filters_act_after_the_analysiss(context, caplog):
    caplog.set_level("INFO", "flame_flwr")
    plan = NodePlan(Steps, filters=(TopFraction(0.5),))
    client = StarClient(plan, context({"name": "a", "filters": "Clip(2.0)"}))
    call(make_client_app(plan), client.context, {"getpropertiesins.config": ConfigRecord({})})
    assert "this node's own filter: Clip(keys=None, missing='error', norm=2.0)" in caplog.text
    value, metrics = gated_fit(client, 1)
    assert value.tolist() == [0, 2]
    value, metrics = gated_fit(client, 2, value)
    assert value.tolist() == [0, 4]
    report = json.loads(metrics["filters"])
    assert [(entry["filter"], entry["by"], entry["answers"]) for entry in report] == [
        ("TopFraction", "analysis", 2),
        ("Clip", "node", 2),
    ]


def test_every_answer_that_leaves_is_counted(context):
    plan = NodePlan(Steps, filters=(GaussianNoise(1.0, 1.0),))
    client = StarClient(plan, context({"name": "a"}))
    answers = [gated_fit(client, 1) for _ in range(3)]
    assert len({value.tobytes() for value, _ in answers}) == 3
    counts = [json.loads(metrics["filters"])[0]["answers"] for _, metrics in answers]
    assert counts == [1, 2, 3]


def test_a_nodes_wrong_filters_end_its_hello(context):
    client = StarClient(NodePlan(Steps), context({"name": "a", "filters": "Clip(-1)"}))
    with pytest.raises(ConfigError, match="`filters` in the node config: Clip: norm must be"):
        client.get_properties({})


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", ()),
        ("  ", ()),
        ("Clip(1.0)", (Clip(1.0),)),
        ("Clip(norm=1, keys=coef), TopFraction(0.25)", (Clip(1, keys="coef"), TopFraction(0.25))),
        ("Clip(1, keys=[model.coef, 'a b', b])", (Clip(1, keys=["model.coef", "a b", "b"]),)),
        ("GaussianNoise(1, 2, missing=skip)", (GaussianNoise(1, 2, missing="skip"),)),
        (
            "SparseVector(0.1, bound=1, threshold=.5, epsilon_select=1, epsilon_values=2, seed=-3)",
            (
                SparseVector(
                    0.1, bound=1, threshold=0.5, epsilon_select=1, epsilon_values=2, seed=-3
                ),
            ),
        ),
    ],
)
def test_filters_are_read_from_a_nodes_config(text, filters):
    assert NodeSettings.from_config({"filters": text}).update_filters() == filters


@pytest.mark.parametrize(
    "text",
    [
        "Clip",
        "Clip(",
        "Clip(1.0) TopFraction(0.25)",
        "Klip(1.0)",
        "UpdateFilter()",
        "Laplace(1, 1)",
        "__import__('os').system('true')",
        "Clip(__import__('os'))",
        "Clip(1 + 1)",
        "Clip(**{})",
        "Clip(1.0, other=3)",
        "Clip([x for x in (1,)])",
        "1.0",
        "Clip(1.0)]; [Clip(2.0)",
        "Clip(" * 200 + ")" * 200,
        "Clip(1.0)," * 1000,
    ],
)
def test_text_that_is_no_filters_is_not_run(text):
    with pytest.raises(ConfigError, match=r"`filters` in the node config reads like Clip\(1.0"):
        NodeSettings.from_config({"filters": text}).update_filters()


# ---- the record ------------------------------------------------------------------------------


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
