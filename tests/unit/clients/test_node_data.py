"""Where a node's data comes from, once per process; a registry, and rules that come with it."""

import sys

import pytest
from echo import Analyzer
from node_messages import fit

from flame_flwr.clients import NodePlan, StarClient, make_client_app, node_data
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.node import rules_of
from flame_flwr.clients.node_data import node_rules, node_subject
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data.cache import OBJECTS, Cache
from flame_flwr.errors import ConfigError, DataError, NodeFailedError
from flame_flwr.privacy import MaxBins, MinCount
from flame_flwr.star import StarAnalyzer
from flame_flwr.transport.ready_check import say_hello

PLAN = NodePlan(Analyzer, data_type="s3")


@pytest.fixture
def client(context):
    """Make a client of a node with this config."""

    def make(node_config, plan=PLAN, **run_config):
        return StarClient(plan, context(node_config, run_config))

    return make


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1,2")
    return str(tmp_path / "data")


# ---- once per process -----------------------------------------------------------------------

COUNTING = """
loads = []

def table(context):
    loads.append((context.run_id, context.node_id))
    return {"patients.csv": b"x", "other.csv": b"y"}
"""


@pytest.fixture
def counting(tmp_path, monkeypatch):
    (tmp_path / "counting_hospital.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    import counting_hospital

    yield counting_hospital
    sys.modules.pop("counting_hospital", None)


def test_data_is_loaded_once_per_node(context, counting):
    class Drops(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            data[0].pop("patients.csv")
            rest = list(data[0])
            data.clear()
            return rest

    run = context().run_id
    for node_id in (1, 2):
        node = context({"data": "counting_hospital:table"}, run_id=run, node_id=node_id)
        for number in (1, 2, 3):  # each sees all files, although the one before dropped some
            plan = NodePlan(Drops, data_type="s3")
            assert fit(StarClient(plan, node), number, 0)[0] == ["other.csv"]
    assert counting.loads == [(run, 1), (run, 2)]


def test_data_does_not_leak_into_another_run(client, counting):
    for _ in range(2):
        fit(client({"data": "counting_hospital:table"}), 1)
    assert len(counting.loads) == 2
    assert len({run for run, _ in node_data._LOADED}) == 1


# ---- `data` ---------------------------------------------------------------------------------


def test_a_simulations_data_may_be_the_run_configs(client, runs_in, folder):
    runs_in("simulation")
    assert client({"partition-id": 0}, data=folder).open_data().load("s3", None) == [
        {"a.csv": b"1,2"}
    ]
    node = {"data": folder}  # which comes first
    assert client(node, data="/nowhere").open_data().load("s3", ["a.csv"])


def test_each_simulated_node_may_have_its_own_sources(client, runs_in, folder, tmp_path):
    runs_in("simulation")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.csv").write_bytes(b"3")
    said = f"{folder};{tmp_path}/b|{tmp_path}/b"

    def read(number, of=2):
        node = client({"partition-id": number, "num-partitions": of}, data=said)
        return [sorted(files) for files in node.open_data().load("s3", None)]

    assert (read(0), read(1)) == ([["a.csv"], ["b.csv"]], [["b.csv"]])
    with pytest.raises(
        ConfigError, match=r"for 2 nodes, with `\|` between, and the simulation has 3"
    ):
        read(0, of=3)


@pytest.mark.parametrize("node", [{}, {"data": "/srv/own"}])
def test_a_deployments_data_is_the_hospitals(client, folder, node):
    made = client(node, data=folder)
    said = "`data` in the run config is for simulations.*its own node config"
    with pytest.raises(ConfigError, match=said):
        made.get_properties({})
    with pytest.raises(ConfigError, match=said):
        fit(made, 1)


def test_data_and_datasets_do_not_go_together(client):
    with pytest.raises(ConfigError, match="has `data` or `datasets`, not both"):
        client({"data": "/a", "datasets": "/b"}).open_data()


# ---- a registry -----------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path):
    """Write a registry with one folder of a name, for projects."""

    def write(name, tags, projects, more=""):
        home = tmp_path / name
        (home / "files").mkdir(parents=True)
        (home / "files" / "name.csv").write_text(name)
        path = home / "datasets.toml"
        path.write_text(
            f'[[dataset]]\nname = "{name}"\ntype = "s3"\ntags = {tags}\nprojects = {projects}\n'
            f'url = "{home / "files"}"\n{more}\n'
        )
        return str(path)

    return write


class Hospitals(LocalGrid):
    """Nodes with these node configs."""

    def __init__(self, configs, run_config):
        super().__init__(PLAN, [None] * len(configs), run_config=run_config)
        for node, (name, config) in enumerate(configs.items(), start=1):
            self.contexts[node].node_config = {"name": name, **config}
            self.apps[node] = make_client_app(PLAN, StarClient)


def hello(configs, **run_config):
    with Hospitals(configs, run_config) as grid:
        return say_hello(grid, RunSettings.from_config({"nodes": len(configs), **run_config}))


def test_the_analyst_sees_who_takes_part(registry, caplog):
    caplog.set_level("INFO", "flame_flwr")
    configs = {
        "a": {"datasets": registry("a", ["pasc", "adults"], ["halta"])},
        "b": {"datasets": registry("b", ["children"], ["halta"])},
        "c": {"datasets": registry("c", ["pasc"], ["other"])},
        "d": {"datasets": registry("d", ["pasc"], ["*"])},
    }
    run = {"tags": "pasc", "project-id": "halta", "on-failure": "skip"}
    greetings = hello(configs, **run)
    assert [greeting.name for greeting in greetings if not greeting.failure] == ["a", "d"]
    [table] = [text for text in caplog.messages if "takes part" in text]
    takes_part = [line.split()[:2] for line in table.splitlines()[2:]]
    assert takes_part == [["a", "yes"], ["b", "no"], ["c", "no"], ["d", "yes"]]
    assert "no dataset of the type 's3' with the tags pasc" in table
    assert "does not let the project 'halta' use its data" in table
    with pytest.raises(NodeFailedError, match="2 nodes cannot take part"):
        hello(configs, **{**run, "on-failure": "abort"})


def test_a_node_reads_what_its_registry_names(registry, client):
    node = client({"datasets": registry("a", ["x"], ["p"])}, **{"project-id": "p"})
    assert node.open_data().load("s3", None) == [{"name.csv": b"a"}]


def test_a_datasets_rules_join_the_nodes(registry, client):
    path = registry("a", ["x"], ["*"], 'disclosure = "MinCount(5)"')
    settings = {"datasets": path, "disclosure": "MinCount(3), MaxBins(20)"}
    run = RunSettings.from_config({})
    rules = rules_of(PLAN, node_rules(NodeSettings.from_config(settings), run)).rules
    assert sorted(rules, key=str) == [MaxBins(20), MinCount(5)]


def test_a_datasets_subject_goes_before_the_analysts(registry):
    def subject(more, project="p"):
        settings = NodeSettings.from_config(
            {"datasets": registry(f"of{len(more)}", ["x"], ["p"], more)}
        )
        return node_subject(settings, RunSettings.from_config({"project-id": project}))

    assert subject('subject = "person_id"') == "person_id"
    assert subject("") == ""
    assert subject('subject = "person_id" ', project="another") == ""


def test_a_datasets_wrong_rules_end_hello(registry, client):
    path = registry("a", ["x"], ["*"], 'disclosure = "MinCount"')
    with pytest.raises(ConfigError, match="`disclosure` in this node's registry reads like"):
        client({"datasets": path}).get_properties({})


def test_tags_need_a_registry_on_a_deployment(folder, client, runs_in):
    with pytest.raises(DataError, match="names tags, and this node has no registry"):
        client({"data": folder}, tags="pasc").open_data()
    runs_in("simulation")
    client({"data": folder}, tags="pasc").open_data().check()


def test_a_node_caches_what_it_reads(s3_server, tmp_path, client, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    bucket = s3_server.bucket({"a": b"123"})
    cache = tmp_path / "cache"
    config = {"data": f"s3://{bucket}", "cache-dir": str(cache), "cache-gb": 0.001}
    assert client(config).open_data().load("s3", None) == [{"a": b"123"}]
    assert len(list((cache / OBJECTS).glob("*.data"))) == 1
    assert Cache(cache, 1e6).get(("another",), 3) is None
