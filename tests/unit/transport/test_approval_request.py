"""Asking for approval alone: who has it, who decides later, who is not there."""

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import in_process
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
from flame_flwr.transport import approval_request
from flame_flwr.transport.approval_request import ask_for_approval
from flame_flwr.transport.grid import GridTransport


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        raise AssertionError("no analysis was asked for")


class Hospitals(LocalGrid):
    """Nodes a, b and so on, each with what its hospital says when it is asked the nth time."""

    def __init__(self, *said):
        super().__init__(NodePlan(Analyzer, data_type="none"), [None] * len(said))
        self.said = [list(each) for each in said]

    def answer(self, message):
        node = message.metadata.dst_node_id
        said = self.said[node - 1]
        state = said.pop(0) if len(said) > 1 else said[0]
        name = "abc"[node - 1]
        if state == "given":
            self.contexts[node].node_config["name"] = name
            return super().answer(message)
        about = {"name": name, "failure": Failure("not yet").to_json(), "approval": state}
        record = {"getpropertiesres.properties": ConfigRecord(about)}
        return Message(RecordDict(record), reply_to=message)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(approval_request, "_PAUSE", 0.01)
    monkeypatch.setattr(approval_request, "_SOON", 0.02)
    with in_process(1, 0):
        yield


def asked(grid, nodes):
    settings = RunSettings.from_config({"nodes": nodes, "node-timeout": 0.1})
    return ask_for_approval(grid, settings)


def test_each_is_asked_once_where_nobody_waits():
    said = asked(Hospitals(["given"], ["waits", "given"], ["rejected"]), "approval of 3")
    assert said == {"a": "given", "b": "waits", "c": "rejected"}


def test_who_waits_is_asked_until_all_have_decided():
    grid = Hospitals(["waits", "waits", "given"], ["expired", "given"])
    assert asked(grid, "approval of a,b within 60 s") == {"a": "given", "b": "given"}


def test_the_wait_has_an_end():
    assert asked(Hospitals(["waits"]), "approval of a within 1 s") == {"a": "waits"}


def test_a_node_that_is_not_there_is_missing():
    assert asked(Hospitals(["given"]), "approval of a,z") == {"a": "given", "z": "missing"}
    assert asked(Hospitals(["waits"]), "approval of 2") == {"a": "waits", "node 2 of 2": "missing"}


def test_a_word_that_is_none_is_a_failure():
    assert asked(Hospitals(["approval given: b\n"]), "approval of 1") == {"a": "failed"}


def test_an_app_that_only_asks_runs_nothing(tmp_path):
    class Aggregator(StarAggregator):
        def aggregation_method(self, analysis_results):
            return 0

        def has_converged(self, result, last_result):
            return True

    grid = Hospitals(["given"])
    config = {"nodes": "approval of 1", "results": str(tmp_path / "results")}
    context = grid.contexts[1]
    context.run_config = config
    StarModel(Analyzer, Aggregator, "none").server_app(grid, context)
    assert not (tmp_path / "results").exists()


def test_an_own_serverapp_does_not_go_on():
    settings = RunSettings.from_config({"nodes": "approval of 1"})
    with pytest.raises(ConfigError, match="approval alone"):
        GridTransport(Hospitals(["given"]), settings, "").hello()
