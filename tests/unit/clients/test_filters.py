"""Filters act on what leaves a node and on nothing else, in process and over messages."""

import json

import numpy as np
import pytest
from flwr.app import ConfigRecord
from node_messages import call, gated_fit

from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.privacy import Clip, GaussianNoise, SparseVector, TopFraction
from flame_flwr.privacy.budget import spent
from flame_flwr.privacy.noise import Noise
from flame_flwr.star import StarAnalyzer, StarModelTester

from .filtered_study import ROUNDS, SPLITS, Average, Train

SEEDED = [
    TopFraction(0.5, keys="coef"),
    GaussianNoise(norm=2.0, noise_multiplier=0.5, keys="coef", seed=11),
]


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
