"""Disclosure rules in Flower's simulation and on a real deployment, with this process's numbers."""

import json

import pytest
from flower_app import write_package

from flame_flwr.cli.submit import submit
from flame_flwr.privacy import MinCount
from flame_flwr.star import StarModelTester

pytestmark = pytest.mark.simulation

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


def write_app(folder, k, code=CODE):
    config = {"nodes": 0, "data": "", "results": ""}
    return write_package(folder, "disclosed", code.replace("K)", f"{k})"), config)


def world():
    found = {"__name__": "disclosed_here"}
    exec(CODE.replace("K)", "5)"), found)
    return found


def in_process(k, nodes=3):
    here = world()
    splits = [[{"ages.json": json.dumps(ages).encode()}] for ages in here["AGES"][:nodes]]
    tester = StarModelTester(
        splits, here["Analyzer"], here["Aggregator"], "s3", disclosure=[MinCount(k)]
    )
    return json.loads(tester.result)


def outcome(folder, name="found.json"):
    [run] = folder.iterdir()
    return json.loads((run / name).read_text())


@pytest.mark.exhaustive
def test_a_simulation_keeps_the_same_rules(federation, tmp_path):
    app = write_app(tmp_path / "app", 5)
    config = {"data": "disclosed.app:node_data", "results": str(tmp_path / "results")}
    ended = submit(app, federation, config)
    assert ended.succeeded, ended.details

    found = outcome(tmp_path / "results")
    assert found == in_process(5)
    assert (found["age"]["n"], found["age"]["suppressed"]) == (13, 1)


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


@pytest.mark.deployed
def test_a_hospitals_own_rules_hold_on_a_deployment(deployment, near, tmp_path):
    app = write_app(tmp_path / "app", 2)
    ended, log = deployment.run(app, "near", results=str(tmp_path / "results"))
    assert ended.succeeded, f"{log}\n{deployment.logs()}"
    assert outcome(tmp_path / "results") == in_process(5, nodes=1)
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


SKIPS = """
from flame_flwr.privacy import disclosure, study_declaration

disclosure.apply_rules = lambda rules, result: result
study_declaration.write_text = lambda declared: ""
"""


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_an_app_that_skips_rules_meets_them_at_the_gate(deployment, near, tmp_path):
    """``tests/unit/node/test_gate_against_apps.py`` has such apps, and worse ones."""
    app = write_app(tmp_path / "app", 2, CODE + SKIPS)
    ended, log = deployment.run(app, "near", results=str(tmp_path / "results"))
    assert ended.succeeded, f"{log}\n{deployment.logs()}"
    assert outcome(tmp_path / "results") == in_process(5, nodes=1)
    assert_audited(near)


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_a_run_names_no_hospitals_data(deployment, tmp_path):
    """``tests/unit/clients/test_node_data.py`` has the error."""
    app, own = write_app(tmp_path / "app", 2), tmp_path / "own"
    own.mkdir()
    with deployment.nodes("far", data=str(own)):  # whose rules let texts of errors out
        ended, log = deployment.run(app, "far", results=str(tmp_path / "results"), data=str(own))
    assert not ended.succeeded
    assert "`data` in the run config is for simulations" in log
    assert "each hospital names its data in its own node config" in log


@pytest.mark.deployed
@pytest.mark.exhaustive
@pytest.mark.usefixtures("near")
def test_what_rules_refuse_is_in_no_log(deployment, tmp_path):
    """``tests/unit/privacy/test_disclosure.py`` has the error; ``failures`` reads such a log."""
    plain = CODE.replace('"age": Moments', '"Maria": {"sum": sum(ages)}, "age": Moments')
    app = write_app(tmp_path / "plain", 2, plain)
    ended, log = deployment.run(app, "near", results=str(tmp_path / "results"))
    assert not ended.succeeded
    assert "Maria" not in log
    assert "PayloadError" in log
    assert "$['Maria']['sum']" in deployment.log("near")
