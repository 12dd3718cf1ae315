"""One hospital's node has been taken over, and two others go on as if it were not there.

Their numbers, their names and the analyst's terminal are their own, whatever the third sends.
"""

import json
import re
from pathlib import Path

import pytest
from flower_app import write_package

A, B, TAKEN = "far", "hospital-a", "near"
NUMBERS = {A: 1, B: 2, TAKEN: 1000}
HOSTILE = Path(__file__).parent / "taken_over"
pytestmark = pytest.mark.deployed

SOURCE = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        [files] = data
        return int(float(files["value"])) * (self.num_iterations + 1)


class Aggregator(StarAggregator):
    def __init__(self, flame):
        super().__init__(flame)
        self.sums = []

    def aggregation_method(self, analysis_results):
        self.sums.append(sum(analysis_results))
        return list(self.sums)

    def has_converged(self, result, last_result):
        return self.num_iterations >= ROUNDS - 1


model = StarModel(Analyzer, Aggregator, "s3", simple_analysis=False, filename="sums.txt")
server_app = model.server_app
client_app = model.client_app
"""
CONFIG = {"nodes": 3, "results": "", "data": "", "on-failure": "skip", "min-nodes": 2}
CONFIG |= {"round-timeout": 10, "max-answer-mb": 2.0}

LINE = "round 7: 3 of 3 nodes, 0.1 s, 1.0 kB received: has_converged returned True"
FORGED = f"gone\n{LINE}\r\x1b[2J\x1b]0;title\x07{LINE}\x9b2J"


@pytest.fixture(scope="module")
def hospitals(identified, tmp_path_factory):
    """Three nodes, the last of which does as a file of the test says; the others are there."""
    folder = tmp_path_factory.mktemp("taken-over")
    file = identified.parties / TAKEN / "node.toml"
    before = file.read_text()
    identified.deeds = folder / "deeds.json"
    (folder / "data").mkdir()
    (folder / "data" / "value").write_text(f"{NUMBERS[TAKEN]}")
    identified.configure(TAKEN, data=str(folder / "data"))
    more = {"PYTHONPATH": f"{HOSTILE}", "DEEDS": f"{identified.deeds}"}
    try:
        identified.start(TAKEN, identified.parties / TAKEN / "start.sh", **more)
        yield identified
    finally:
        identified.stop(TAKEN)
        file.write_text(before)


@pytest.fixture
def run(hospitals, tmp_path):
    """Run the app while the one node does its deeds; return the record, the sums and the log."""
    app = tmp_path / "app"

    def start(rounds, **deeds):
        write_package(app, "summing", SOURCE.replace("ROUNDS", f"{rounds}"), CONFIG)
        hospitals.deeds.write_text(json.dumps(deeds))
        log = hospitals.submit(app, len(NUMBERS), f"results={tmp_path / 'results'}")
        [folder] = (tmp_path / "results").iterdir()
        sums = json.loads((folder / "sums.txt").read_text())
        return json.loads((folder / "run.json").read_text()), sums, log

    return start


def expected(*answered):
    """Compute the sums from the names of who has answered each round."""
    sums = []
    for number, names in enumerate(answered, start=1):
        sums.append(sum(NUMBERS[name] * number for name in names))
    return sums


def test_another_hospitals_name_is_refused(run):
    said = {"getpropertiesres.properties": {"name": A}}
    record, sums, log = run(2, get_properties={"says": said})
    assert record["nodes"] == [A, B]
    assert sums == expected([A, B], [A, B])
    [failure] = record["failures"]
    assert (failure["node"], failure["round"]) == (TAKEN, 0)
    assert failure["why"].startswith(f"a wrong name: its node config says '{A}', and its key is ")
    assert f"{TAKEN}: a wrong name" in log


def test_it_costs_its_own_part_and_nothing_else(run):
    """Forged text in the first round, then a large answer, and an upload that rests half way."""
    failure = dict.fromkeys(["type", "place", "text", "traceback"], FORGED)
    findings = {"findings": json.dumps([[FORGED, False]])}
    record, sums, log = run(
        3,
        get_properties={"says": {"getpropertiesres.properties": findings}},
        **{"1": {"says": {"fitres.metrics": {"failure": json.dumps(failure)}}}},
        **{"2": {"noise": 3 * 2**20}, "3": {"noise": 3 * 2**19, "slow": 100.0}},
    )
    assert sums == expected([A, B], [A, B], [A, B])
    why = [each["why"] for each in record["failures"]]
    assert [(each["node"], each["round"]) for each in record["failures"]] == [
        (TAKEN, 1),
        (TAKEN, 2),
        (TAKEN, 3),
    ]
    assert why[0].isprintable()
    assert LINE in why[0]  # as text
    assert "too large: its answer has more than 2 MB" in why[1]
    assert re.search(r"no answer within 10 s; \d+ of \d+ parts of it are there", why[2])
    assert all(line.isprintable() for line in log.splitlines())
    assert not any(line.startswith("round 7") for line in log.splitlines())
