"""The Grid in this process: Flower's interface, and nodes that share nothing."""

import pytest
from echo import Analyzer
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.flower import HELLO, Run, runtime


def grid_of(nodes, **more):
    return LocalGrid(NodePlan(Analyzer, data_type="none"), [None] * nodes, **more)


def hello(address, config=None):
    content = {"getpropertiesins.config": config or ConfigRecord({})}
    return Message(RecordDict(content), address, HELLO)


def test_it_is_a_grid_of_flowers():
    assert issubclass(LocalGrid, Grid)


def test_only_the_block_is_in_process():
    before = runtime()
    with grid_of(1):
        assert runtime() == "process"
        with grid_of(1):
            assert runtime() == "process"
        assert runtime() == "process"
    assert runtime() == before != "process"


def test_an_error_leaves_the_process_as_before():
    def fails():
        with grid_of(1) as grid:
            grid.push_messages([hello(1)])
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fails()
    assert runtime() != "process"


def test_a_grids_message_names_run_and_node():
    with grid_of(2) as grid:
        message = grid.create_message(RecordDict(), "train", 2, "3", ttl=5.0)
        assert message.metadata.run_id == grid.run.run_id
        assert message.metadata.dst_node_id == 2
        assert message.metadata.group_id == "3"
        assert message.metadata.ttl == 5.0


def test_grids_have_runs_of_their_own():
    with grid_of(1) as one, grid_of(1) as two:
        assert one.run.run_id != two.run.run_id
    two.set_run(Run.create_empty(12))
    assert two.run.run_id == 12


def test_messages_wait_until_their_replies_are_pulled():
    with grid_of(2) as grid:
        ids = grid.push_messages([hello(1), hello(2)])
        assert len(set(ids)) == 2
        [second] = grid.pull_messages([ids[1]])
        [first] = grid.pull_messages(ids)
        assert grid.pull_messages(ids) == []
    assert second.metadata.reply_to_message_id == ids[1]
    assert first.metadata.src_node_id == 1


def test_a_message_to_no_node_is_an_error():
    with grid_of(1) as grid:
        [reply] = grid.send_and_receive([hello(9)])
    assert reply.has_error()
    assert "no node 9" in reply.error.reason


def test_nodes_do_not_share_a_messages_records():
    class Greedy(StarClient):
        def get_properties(self, config):
            seen.append(len(config))
            config.clear()
            return super().get_properties(config)

    seen = []
    shared = ConfigRecord({"a": 1, "b": 2})
    with grid_of(3, client=Greedy) as grid:
        grid.send_and_receive([hello(i, shared) for i in (1, 2, 3)])
    assert seen == [2, 2, 2]
    assert dict(shared) == {"a": 1, "b": 2}


def test_nodes_get_the_run_config_as_a_copy():
    config = {"analysis-id": "A"}
    grid = grid_of(2, run_config=config)
    contexts = list(grid.contexts.values())
    contexts[0].run_config["analysis-id"] = "B"
    assert contexts[1].run_config == {"analysis-id": "A"}
    assert config == {"analysis-id": "A"}
