"""A node with a registry at hello: what it may read for this analysis, and the analyst's table."""

import logging

import pytest

from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.clients import client as client_module
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.node import rules_of
from flame_flwr.config import RunSettings
from flame_flwr.data.cache import OBJECTS, Cache
from flame_flwr.errors import ConfigError, DataError, NodeFailedError
from flame_flwr.privacy import MaxBins, MinCount
from flame_flwr.star import StarAnalyzer
from flame_flwr.transport.hello import say_hello


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


@pytest.fixture
def registry(tmp_path):
    """Write a registry with one folder of a name, for projects."""

    def write(name, tags, projects):
        folder = tmp_path / name
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "name.csv").write_text(name)
        path = folder / "datasets.toml"
        path.write_text(
            f'[[dataset]]\nname = "{name}"\ntype = "s3"\ntags = {tags}\nprojects = {projects}\n'
            f'url = "{folder / "files"}"\n'
        )
        return str(path)

    return write


class Hospitals(LocalGrid):
    """Nodes with these node configs."""

    def __init__(self, configs, run_config):
        plan = NodePlan(Analyzer, data_type="s3")
        super().__init__(plan, [None] * len(configs), run_config=run_config)
        for node, (name, config) in enumerate(configs.items(), start=1):
            self.contexts[node].node_config = {"name": name, **config}
            self.apps[node] = make_client_app(plan, StarClient)


def hello(configs, **run_config):
    with Hospitals(configs, run_config) as grid:
        return say_hello(grid, RunSettings.from_config({"nodes": len(configs), **run_config}))


def test_the_analyst_sees_who_takes_part(registry, caplog):
    caplog.set_level(logging.INFO, "flame_flwr")
    configs = {
        "a": {"datasets": registry("a", ["pasc", "adults"], ["halta"])},
        "b": {"datasets": registry("b", ["children"], ["halta"])},
        "c": {"datasets": registry("c", ["pasc"], ["other"])},
        "d": {"datasets": registry("d", ["pasc"], ["*"])},
    }
    run = {"tags": "pasc", "project-id": "halta", "on-failure": "skip"}
    greetings = hello(configs, **run)
    assert [greeting.name for greeting in greetings if not greeting.failure] == ["a", "d"]
    [table] = [r.getMessage() for r in caplog.records if "takes part" in r.getMessage()]
    assert [line.split()[:2] for line in table.splitlines()[2:]] == [
        ["a", "yes"],
        ["b", "no"],
        ["c", "no"],
        ["d", "yes"],
    ]
    assert "no dataset of the type 's3' with the tags pasc" in table
    assert "does not let the project 'halta' use its data" in table
    with pytest.raises(NodeFailedError, match="2 nodes cannot take part"):
        hello(configs, **{**run, "on-failure": "abort"})


def client(context, node_config, data_type="s3", **run_config):
    plan = NodePlan(Analyzer, data_type=data_type)
    return StarClient(plan, context(node_config, run_config))


def test_a_node_reads_what_its_registry_names(registry, context):
    node = client(context, {"datasets": registry("a", ["x"], ["p"])}, **{"project-id": "p"})
    assert node.open_data().load("s3", None) == [{"name.csv": b"a"}]


def test_rules_of_a_dataset_hold_beside_the_nodes_own(registry, context):
    path = registry("a", ["x"], ["*"])
    with open(path, "a") as file:
        file.write('disclosure = "MinCount(5)"\n')
    node = client(context, {"datasets": path, "disclosure": "MinCount(3), MaxBins(20)"})
    rules = rules_of(node.plan, node._own_rules()).rules
    assert sorted(rules, key=str) == [MaxBins(20), MinCount(5)]


def test_wrong_rules_of_a_dataset_are_an_error_at_hello(registry, context):
    path = registry("a", ["x"], ["*"])
    with open(path, "a") as file:
        file.write('disclosure = "MinCount"\n')
    with pytest.raises(ConfigError, match="`disclosure` in this node's registry reads like"):
        client(context, {"datasets": path}).get_properties({})


def test_tags_need_a_registry_on_a_deployment_only(tmp_path, context, monkeypatch):
    (tmp_path / "a").touch()
    node = client(context, {"data": str(tmp_path)}, tags="pasc")
    monkeypatch.setattr(client_module, "runtime", lambda: "simulation")
    node.open_data().check()
    monkeypatch.setattr(client_module, "runtime", lambda: "deployment")
    with pytest.raises(DataError, match="names tags, and this node has no registry"):
        node.open_data()


def test_data_and_datasets_do_not_go_together(context):
    with pytest.raises(ConfigError, match="has `data` or `datasets`, not both"):
        client(context, {"data": "/a", "datasets": "/b"}).open_data()


def test_a_node_keeps_what_it_reads_in_its_cache(s3_server, tmp_path, context, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    bucket = s3_server.bucket({"a": b"123"})
    cache = tmp_path / "cache"
    config = {"data": f"s3://{bucket}", "cache-dir": str(cache), "cache-gb": 0.001}
    assert client(context, config).open_data().load("s3", None) == [{"a": b"123"}]
    assert len(list((cache / OBJECTS).glob("*.data"))) == 1
    assert Cache(cache, 1e6).get(("another",), 3) is None
