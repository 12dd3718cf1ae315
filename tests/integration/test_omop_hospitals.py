"""One analysis of three OMOP databases: in a simulation and on a deployment as of all pooled.

In process: ``tests/servers/test_omop_hospitals.py``.
"""

import json
from pathlib import Path

import pytest
from flower_app import write_package
from omop_hospitals import databases, write_registry

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.data.open_data import open_datasets
from flame_flwr.data.registry import read_registry

pytestmark = [pytest.mark.simulation, pytest.mark.exhaustive]

SOURCE = """
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.statistics import Moments
from flame_flwr.strategies import MergeStatistics


def node_data(context):
    from pathlib import Path
    from flame_flwr.data.open_data import open_datasets
    from flame_flwr.data.registry import read_registry

    name = "abc"[context.node_config["partition-id"]]
    datasets = read_registry(Path(PLACE, name, "datasets.toml"))
    return open_datasets(datasets, context).load("sql", [])[0]


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        people = data[0]["people"]
        return {
            str(flag): Moments.from_data(rows["age"]) for flag, rows in people.groupby("bronchitis")
        }
"""
MODEL = 'StarModel(Ages, MergeStatistics(), "sql", columns=["age", "bronchitis"], filename="r.txt")'
APPS = f"\nmodel = {MODEL}\nserver_app = model.server_app\nclient_app = model.client_app\n"
CONFIG = {"nodes": 3, "node-timeout": 60, "round-timeout": 200, "results": "", "freeze": "2026"}
CONFIG |= {"project-id": "halta", "tags": "omop-5.3"}


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """The registries of three hospitals, and of all their people together, by name."""
    folder = tmp_path_factory.mktemp("hospitals")
    with databases() as urls:
        yield (
            folder,
            {name: write_registry(folder / name, url, "halta") for name, url in urls.items()},
        )


@pytest.fixture(scope="module")
def pooled(hospitals):
    """What the analysis gives of the pooled database, and how many people that has."""
    namespace = {}
    exec(SOURCE, namespace)
    model = eval(MODEL, namespace)
    source = open_datasets(read_registry(Path(hospitals[1]["pooled"])), None)
    with LocalGrid(model.plan, [source]) as grid:
        strategy = model.strategy()
        strategy.simple_analysis = True
        return strategy.start(grid).record.result


def test_a_simulation_gives_what_the_pooled_database_does(run_app, hospitals, pooled, tmp_path):
    done = run_app(SOURCE.replace("PLACE", repr(str(hospitals[0]))), MODEL)
    assert done.succeeded, done.log
    assert (done.folder / "r.txt").read_text() == str(pooled)


def test_a_simulation_names_what_its_nodes_have_frozen(run_app, tmp_path):
    """Each its own data, and a second run the same."""
    for number in range(3):
        (tmp_path / f"node-{number}").mkdir()
        (tmp_path / f"node-{number}" / "ages.csv").write_text(f"age\n{60 + number}\n")
    looks = """
    class Looks(Analyzer):
        def analysis_method(self, data, aggregator_results):
            return data[0]["ages.csv"].decode().split()[1]
    """
    config = {"data": f"{tmp_path}/node-{{partition-id}}", "state_dir": str(tmp_path / "state")}
    model = "StarModel(Looks, Aggregator, 's3', filename='r.txt')"
    digests = []
    for _ in range(2):
        done = run_app(looks, model, freeze="2026", **config)
        assert done.succeeded, done.log
        assert (done.folder / "r.txt").read_text() == "['60', '61', '62']"
        digests.append(done.run["frozen"])
        (tmp_path / "node-0" / "ages.csv").write_text("age\n99\n")
    assert digests[0] == digests[1]
    assert len({each for [each] in digests[0].values()}) == 3


@pytest.mark.deployed
def test_a_deployment_gives_what_the_pooled_database_does(deployment, hospitals, pooled, tmp_path):
    """Its nodes freeze what they read, and count people."""
    app = write_package(tmp_path / "app", "omopapp", SOURCE.replace("PLACE", "''") + APPS, CONFIG)
    nodes = dict(zip(("hospital-a", "far", "near"), hospitals[1].values(), strict=False))
    results = tmp_path / "results"
    with (
        deployment.nodes("hospital-a", datasets=nodes["hospital-a"], disclosure="MinCount(5)"),
        deployment.nodes("far", datasets=nodes["far"], disclosure="MinCount(5)"),
        deployment.nodes("near", datasets=nodes["near"], disclosure="MinCount(5)"),
    ):
        ended, log = deployment.run(app, ",".join(nodes), results=str(results))
    assert ended.succeeded, log + deployment.logs()
    [result] = results.glob("*/r.txt")
    assert result.read_text() == str(pooled)
    said = json.loads(next(results.glob("*/run.json")).read_text())
    assert {node: len(digests) for node, digests in said["frozen"].items()} == dict.fromkeys(
        nodes, 1
    )
