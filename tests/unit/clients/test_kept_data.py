"""Where a node on Flower keeps data across analyses: its config's ``state-dir``, per project."""

import json

import pytest

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.errors import ConfigError
from flame_flwr.payload import decode, from_arrays
from flame_flwr.star import StarAnalyzer


class Count(StarAnalyzer):
    """Returns how many values this node has kept, this one with them."""

    def analysis_method(self, data, aggregator_results):
        self.flame.save_intermediate_data({"round": self.num_iterations}, "local", tag="rounds")
        return len(self.flame.get_intermediate_data("local", tag="rounds"))


@pytest.fixture
def run(context):
    """Run a node's first round in a run of its own, as a new process would."""

    def once(node_config, run_config=None, node_id=7):
        client = StarClient(
            NodePlan(Count), context(node_config, run_config or {}, node_id=node_id)
        )
        client.get_properties({})
        arrays, _, _ = client.fit([], {"round": 1, "analyzers": json.dumps(["a", "b"])})
        return decode(from_arrays(arrays))

    return once


def test_a_later_run_finds_what_is_kept(run, tmp_path):
    node = {"name": "a", "state-dir": str(tmp_path / "state")}
    assert [run(node), run(node), run(node, node_id=8)] == [1, 2, 3]


def test_nodes_and_projects_have_their_own(run, tmp_path):
    state = {"state-dir": str(tmp_path / "state")}
    assert run({"name": "a", **state}) == 1
    assert run({"name": "b", **state}) == 1
    assert run({"name": "a", **state}, {"project-id": "another"}) == 1
    assert run({"name": "a", **state}, {"analysis-id": "another"}) == 2


def test_only_an_analysis_that_keeps_needs_a_folder(context, run):
    StarClient(NodePlan(Count), context({"name": "a"})).get_properties({})
    with pytest.raises(ConfigError) as raised:
        run({"name": "a"}, {"state-dir": "/srv/of-the-analyst"})
    assert "set `state-dir` in this node's config" in raised.value.message


def test_an_impossible_folder_is_found_at_hello(context, tmp_path):
    (tmp_path / "file").write_text("")
    client = StarClient(NodePlan(Count), context({"state-dir": str(tmp_path / "file")}))
    with pytest.raises(ConfigError, match="`state-dir`") as raised:
        client.get_properties({})
    assert str(tmp_path) not in raised.value.message


def test_a_relative_folder_is_refused_at_hello(context):
    client = StarClient(NodePlan(Count), context({"state-dir": "state"}))
    with pytest.raises(ConfigError, match="`state-dir` in the node config must be an absolute"):
        client.get_properties({})


def test_a_node_without_a_name_is_warned(run, tmp_path, caplog):
    assert run({"state-dir": str(tmp_path)}) == 1
    assert "no `name` in its config" in caplog.text


def test_a_simulations_folder_is_the_run_configs(run, tmp_path, runs_in):
    runs_in("simulation")
    nodes = [{"partition-id": i, "num-partitions": 2} for i in range(2)]
    config = {"state-dir": str(tmp_path)}
    assert [run(node, config) for node in (*nodes, nodes[0])] == [1, 1, 2]
    with pytest.raises(ConfigError, match="set `state-dir` in the run config"):
        run(nodes[0])
