"""A hospital's name belongs to its key: what the server knows goes before what a node says."""

from types import SimpleNamespace

import pytest
from echo import Analyzer
from flwr.app import ConfigRecord, Error, Message, RecordDict

from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import NodeFailedError, NodesMissingError
from flame_flwr.flower import HELLO
from flame_flwr.transport import reconnecting
from flame_flwr.transport.approval_request import ask_for_approval
from flame_flwr.transport.ready_check import say_hello
from flame_flwr.transport.reconnecting import Reconnecting

A, B, C = "hospital-a", "hospital-b", "hospital-c"
MISSING = "/nowhere/at/all"


class Federation(LocalGrid):
    """Nodes as (the name of its key, the name in its config, its data), in order of address."""

    def __init__(self, *nodes):
        plan = NodePlan(Analyzer, data_type="s3")
        super().__init__(plan, [None] * len(nodes))
        self.asked = []
        self.keys = {}
        for address, (key, name, *data) in enumerate(nodes, start=1):
            self.keys[address] = key
            config = {
                "data": data[0] if data else "builtins:dict",
                **({"name": name} if name else {}),
            }
            self.contexts[address].node_config = config
            self.apps[address] = make_client_app(plan)

    def get_nodes(self):
        return [
            SimpleNamespace(node_id=address, name=key, last_activated_at="10:00", online_until=0)
            for address, key in self.keys.items()
        ]

    def get_node_ids(self):
        return list(self.keys)

    def answer(self, message):
        if message.metadata.message_type == HELLO:
            self.asked.append(message.metadata.dst_node_id)
        return super().answer(message)


def settings(**config):
    named = {key.replace("_", "-"): value for key, value in config.items()}
    return RunSettings.from_config({"node-timeout": 0.1, **named})


def hello(grid, **config):
    with grid:
        return say_hello(grid, settings(**config))


def addresses(greetings):
    return {each.name: each.address for each in greetings if each.failure is None}


def test_a_false_name_is_its_own_nodes_failure():
    grid = Federation((A, A), (B, A), (C, C))
    with pytest.raises(NodeFailedError) as raised:
        hello(grid, nodes=3)
    [_, line] = str(raised.value).splitlines()
    assert line == (
        "  hospital-b: a wrong name: its node config says 'hospital-a', and its key is registered "
        'as hospital-b: set name = "hospital-b" in its node config'
    )
    left = hello(grid, nodes=3, on_failure="skip", min_nodes=2)
    assert addresses(left) == {A: 1, C: 3}


@pytest.mark.parametrize("order", [((A, A), (B, A)), ((B, A), (A, A))])
def test_a_false_name_ends_no_run(order):
    grid = Federation(*order)
    real = 1 + [key for key, _ in order].index(A)
    assert addresses(hello(grid, nodes=A)) == {A: real}
    assert grid.asked == [real]


def test_a_false_name_takes_no_absent_ones_place():
    with pytest.raises(NodesMissingError, match="missing hospital-a"):
        hello(Federation((B, A), (C, C)), nodes=f"{A},{C}")


def test_a_key_without_name_borrows_none():
    grid = Federation((A, A), ("", A))
    greetings = hello(grid, nodes=2, on_failure="skip", min_nodes=1)
    assert addresses(greetings) == {A: 1}
    [false] = [each for each in greetings if each.failure]
    assert false.name == "2"
    assert "'hospital-a', and that is the name of another node's key" in str(false.failure)


def test_a_registered_node_needs_its_name():
    with pytest.raises(NodeFailedError, match=r'hospital-a: a wrong name: .* "hospital-a"'):
        hello(Federation((A, "")), nodes=1)


def test_a_failing_node_is_called_as_its_key():
    grid = Federation((A, A), (B, A, MISSING))
    with pytest.raises(NodeFailedError, match="hospital-b: DataError"):
        hello(grid, nodes=2)


class Breaking(Federation):
    """The second node's process dies with hello."""

    def answer(self, message):
        if message.metadata.dst_node_id == 2:
            return Message(Error(8, "crashed"), reply_to=message)
        return super().answer(message)


def test_a_node_that_says_nothing_has_a_name():
    with pytest.raises(NodeFailedError, match="hospital-b: no hello: crashed"):
        hello(Breaking((A, A), (B, B)), nodes=2)


def test_only_the_named_are_asked():
    grid = Federation((A, A), (B, B), (C, C))
    assert addresses(hello(grid, nodes=f"{C},{A}")) == {A: 1, C: 3}
    assert sorted(grid.asked) == [1, 3]


def test_nodes_without_keys_are_asked_for_their_names():
    grid = Federation(("", A), ("", B), ("", C))
    assert addresses(hello(grid, nodes=f"{C},{A}")) == {A: 1, C: 3}


def test_approval_is_asked_of_the_named_only():
    grid = Federation((A, A), (B, A), (C, C))
    with grid:
        states = ask_for_approval(grid, settings(nodes=f"{A},{B}"))
    assert states == {A: "given", B: "failed"}
    assert sorted(set(grid.asked)) == [1, 2]


def test_no_other_comes_back_in_a_nodes_place(monkeypatch):
    monkeypatch.setattr(reconnecting, "_LOOK_EVERY", 0.0)
    grid = Federation((A, A), (B, B))
    with grid:
        content = RecordDict({"fitins.config": ConfigRecord({"round": 3})})
        asked = Message(content, 1, "train")
        minder = Reconnecting(grid, {A: 1}, [asked], "ab" * 16, "round 3")
        minder.lose(A)
        del grid.keys[1]
        for address, key in ((3, C), (4, A), (5, "")):
            grid.keys[address] = key
            grid.contexts[address], grid.apps[address] = grid.contexts[1], grid.apps[1]
        assert [message.metadata.dst_node_id for message in minder.messages([A])] == [4]
    assert 3 not in grid.asked
