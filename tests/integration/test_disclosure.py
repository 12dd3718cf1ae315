"""A hospital's own disclosure rules on a real deployment, with this process's numbers.

``test_simulation.py`` has rules in a simulation.
"""

import json

import pytest
from flower_app import write_package

from flame_flwr.privacy import MinCount
from flame_flwr.star import StarModelTester

pytestmark = pytest.mark.deployed

CODE = """
import json
from functools import reduce

from flame_flwr.privacy import MinCount
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
from flame_flwr.statistics import Moments, Quantiles, ValueCounts, describe


def node_data(context):
    return [{"ages.json": json.dumps(AGES[context.node_config["partition-id"]]).encode()}]


AGES = [[50.5, 61, 72, 80.25, 55, 67], [44, 39, 70], [71, 90, 33.5, 41, 40, 62, 62]]


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        ages = json.loads(data[0]["ages.json"])
        old = ["old" if age > 60 else "young" for age in ages]
        return {
            "age": Moments.from_data(ages),
            "half": Quantiles.from_data(ages),
            "old": ValueCounts.from_data(old, ["old", "young"]),
            "all": describe({"age": ages}),
        }


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return {
            key: reduce(lambda one, two: one.merge(two), [each[key] for each in analysis_results])
            for key in analysis_results[0]
        }

    def final_method(self, result, evaluations):
        return json.dumps({key: value.result() for key, value in result.items()})

    def has_converged(self, result, last_result):
        return True


model = StarModel(Analyzer, Aggregator, "s3", filename="found.json", disclosure=[MinCount(K)])
server_app = model.server_app
client_app = model.client_app
"""


def write_app(folder, k):
    config = {"nodes": 0, "data": "", "results": ""}
    return write_package(folder, "disclosed", CODE.replace("K)", f"{k})"), config)


def world():
    found = {"__name__": "disclosed_here"}
    exec(CODE.replace("K)", "5)"), found)
    return found


def in_process(k):
    here = world()
    splits = [[{"ages.json": json.dumps(ages).encode()}] for ages in here["AGES"][:1]]
    tester = StarModelTester(
        splits, here["Analyzer"], here["Aggregator"], "s3", disclosure=[MinCount(k)]
    )
    return json.loads(tester.result)


def outcome(folder, name="found.json"):
    [run] = folder.iterdir()
    return json.loads((run / name).read_text())


@pytest.fixture
def near(deployment, tmp_path):
    """A hospital with rules of its own, online."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "ages.json").write_text(json.dumps(world()["AGES"][0]))
    rules = tmp_path / "rules.txt"
    rules.write_text("MinCount(5),  # stricter than the analyst's\nMaxBins(50), Strict()\n")
    log = tmp_path / "audit.jsonl"
    with deployment.nodes("near", data=str(data), disclosure=str(rules), audit_log=str(log)):
        yield log


def test_a_hospitals_own_rules_hold_on_a_deployment(deployment, near, tmp_path):
    app = write_app(tmp_path / "app", 2)
    ended, log = deployment.run(app, "near", results=str(tmp_path / "results"))
    assert ended.succeeded, f"{log}\n{deployment.logs()}"
    assert outcome(tmp_path / "results") == in_process(5)
    assert "disclosure rule at this node: MinCount(k=5" in deployment.log("near")
    about = outcome(tmp_path / "results", "run.json")["disclosure"]
    assert list(about) == ["near"]
    assert set(about["near"]) == {"MinCount", "MaxBins", "Strict"}
    assert_audited(near)


def assert_audited(audit):
    start, *lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert start["started"]["approval"] == "none"
    assert [line["answer_to"] for line in lines] == ["get_properties", "train"]
    assert lines[1]["app"].startswith("tests.disclosed.1.0.0.")
    assert lines[1]["result"].startswith("dict('age': Moments")
