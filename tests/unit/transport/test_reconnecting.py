"""A node that was gone and is back is found wherever it comes back, and asked again once."""

from types import SimpleNamespace

import pytest
from echo import Analyzer
from flwr.app import ConfigRecord, Error, Message, RecordDict

from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.flower import OFFLINE
from flame_flwr.transport import reconnecting
from flame_flwr.transport.reconnecting import Reconnecting


class Hospitals(LocalGrid):
    """Nodes by name; the test says which are online, and since when."""

    def __init__(self, *names, data_type="none"):
        plan = NodePlan(Analyzer, data_type=data_type)
        super().__init__(plan, [None] * len(names))
        for address, name in enumerate(names, start=1):
            self.contexts[address].node_config = {"name": name}
            self.apps[address] = make_client_app(plan)
        self.online = {}
        self.dead = set()

    def get_nodes(self):
        return [
            SimpleNamespace(node_id=n, last_activated_at=t, online_until=0, name="")
            for n, t in self.online.items()
        ]

    def answer(self, message):
        if message.metadata.dst_node_id in self.dead:
            return Message(Error(OFFLINE, "gone"), reply_to=message)
        return super().answer(message)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(reconnecting, "_LOOK_EVERY", 0.0)


def train(address):
    content = RecordDict({"fitins.config": ConfigRecord({"round": 3})})
    return Message(content, address, "train")


def minds(grid, addresses):
    messages = [train(address) for address in addresses.values()]
    return Reconnecting(grid, addresses, messages, "ab" * 16, "round 3")


def asked_again(minder, *unanswered):
    return [
        (minder.name(message), message.metadata.dst_node_id)
        for message in minder.messages(unanswered)
    ]


def test_a_node_that_stays_is_not_asked_again(at_once):
    with Hospitals("a", "b") as grid:
        grid.online = {1: "10:00", 2: "10:00"}
        minder = minds(grid, {"a": 1, "b": 2})
        assert asked_again(minder, "a", "b") == []


def test_a_node_activated_again_is_asked_again(at_once):
    with Hospitals("a", "b") as grid:
        grid.online = {1: "10:00", 2: "10:00"}
        minder = minds(grid, {"a": 1, "b": 2})
        grid.online[2] = "10:05"
        assert asked_again(minder, "a", "b") == [("b", 2)]
        assert asked_again(minder, "a", "b") == []


def test_a_node_under_another_address_is_found(at_once):
    with Hospitals("a", "b", "b") as grid:
        grid.online = {1: "10:00", 2: "10:00"}
        addresses = {"a": 1, "b": 2}
        minder = minds(grid, addresses)
        grid.online = {1: "10:00", 3: "10:05"}
        assert asked_again(minder, "a", "b") == [("b", 3)]
        assert addresses == {"a": 1, "b": 3}


def test_a_node_back_before_the_round_is_found(at_once):
    """The SuperLink takes a minute to notice that the old address, 2, is nobody's."""
    with Hospitals("a", "b", "b", "stranger", "dead") as grid:
        grid.dead = {5}
        grid.online = {1: "10:00", 2: "10:00", 3: "10:05", 4: "09:00", 5: "09:30"}
        minder = minds(grid, {"a": 1, "b": 2})
        assert asked_again(minder, "a", "b") == []
        del grid.online[2]
        assert minder.takes("b", Message(Error(OFFLINE, "gone"), reply_to=train(2)))
        assert asked_again(minder, "a", "b") == [("b", 3)]
        assert asked_again(minder, "a", "b") == []


def test_another_node_of_that_name_stays_out(at_once):
    with Hospitals("a", "b", "a") as grid:
        grid.online = {1: "10:00", 2: "10:00"}
        addresses = {"a": 1, "b": 2}
        minder = minds(grid, addresses)
        grid.online[3] = "10:05"  # a config that was copied
        for _ in range(3):
            assert asked_again(minder, "a", "b") == []
        assert addresses == {"a": 1, "b": 2}


def test_a_killed_node_is_asked_under_another_address(at_once):
    with Hospitals("a", "a") as grid:
        grid.online = {1: "10:00"}
        minder = minds(grid, {"a": 1})
        grid.online[2] = "10:05"
        assert asked_again(minder, "a") == []
        assert minder.takes("a", Message(Error(OFFLINE, "gone"), reply_to=train(1)))
        assert asked_again(minder, "a") == [("a", 2)]


def test_a_node_without_its_data_is_asked_again(at_once, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(reconnecting, "_ASK_AGAIN", 0.0)
    data = tmp_path / "mounted"
    with Hospitals("a", "a", data_type="s3") as grid:
        grid.contexts[2].node_config["data"] = str(data)
        grid.online = {1: "10:00"}
        minder = minds(grid, {"a": 1})
        grid.online = {2: "10:05"}
        assert asked_again(minder, "a") == []
        assert "node a is back and cannot take part yet: DataError" in caplog.text
        data.mkdir()
        (data / "x").touch()
        assert asked_again(minder, "a") == [("a", 2)]


def test_a_node_that_always_dies_is_given_up(at_once):
    with Hospitals("a") as grid:
        grid.online = {1: "10:00"}
        minder = minds(grid, {"a": 1})
        gone = Message(Error(8, "crashed"), reply_to=train(1))
        for _ in range(4):
            assert minder.takes("a", gone)
            assert asked_again(minder, "a") == [("a", 1)]
        assert not minder.takes("a", gone)
