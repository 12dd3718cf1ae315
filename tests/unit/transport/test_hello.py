"""The ready check: waits within a limit, names and order, who cannot take part and why."""

import json
import random
import time
from importlib.metadata import version

import pytest
from flwr.app import Error, Message
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr import __version__
from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, NodeFailedError, NodesMissingError
from flame_flwr.flower import OFFLINE
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.star import StarAnalyzer
from flame_flwr.transport.greeting import Greeting
from flame_flwr.transport.hello import check_states, natural_order, say_hello


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Hospitals(LocalGrid):
    """Nodes with these node configs, in this order of arrival: so many more at every poll."""

    def __init__(self, configs, client=StarClient, at_once=None):
        plan = NodePlan(Analyzer, data_type="s3")
        super().__init__(plan, [None] * len(configs))
        for node, config in enumerate(configs, start=1):
            self.contexts[node].node_config = {"data": "builtins:dict", **config}
            self.apps[node] = make_client_app(plan, client)
        self.at_once = len(configs) if at_once is None else at_once
        self.polls = 0
        self.greeted = []

    def get_node_ids(self):
        self.polls += 1
        return super().get_node_ids()[: self.at_once * self.polls]

    def push_messages(self, messages):
        messages = list(messages)
        self.greeted += [message.metadata.dst_node_id for message in messages]
        return super().push_messages(messages)


class Leaving(Hospitals):
    """The first SuperNode was killed before it could answer, and has come back as the last."""

    def get_node_ids(self):
        return super().get_node_ids()[1 if self.greeted else 0 :]

    def answer(self, message):
        if message.metadata.dst_node_id == 1:
            return Message(Error(OFFLINE, "Destination node is unavailable."), reply_to=message)
        return super().answer(message)


def named(*names):
    return [{"name": name} for name in names]


def simulated(number):
    return [{"partition-id": i, "num-partitions": number} for i in range(number)]


def hello(grid, **config):
    with grid:
        config = {"node-timeout": 2.0, **config}
        return say_hello(
            grid,
            RunSettings.from_config(
                {key.replace("_", "-"): value for key, value in config.items()}
            ),
        )


def names(greetings):
    return [greeting.name for greeting in greetings]


# ---- names and order ------------------------------------------------------------------------


def test_nodes_are_greeted_once_and_said_by_name():
    grid = Hospitals(named("b", "a"))
    greetings = hello(grid, nodes=2)
    assert [(greeting.name, greeting.address) for greeting in greetings] == [("a", 2), ("b", 1)]
    assert grid.greeted == [1, 2]


def test_node_2_comes_before_node_10():
    configs = simulated(12)
    random.Random(0).shuffle(configs)
    assert names(hello(Hospitals(configs))) == [f"node-{i}" for i in range(12)]


@pytest.mark.parametrize(
    "order",
    [
        ["node-2", "node-10"],
        ["2", "10", "a"],
        ["a1b2", "a1b10", "a2b1"],
        ["Site 9", "Site 10", "site 1"],
        ["7", "node-0"],
        ["a", "a0", "a1", "aa"],
        ["x-007", "x-8"],
    ],
)
def test_the_order_is_the_natural_one(order):
    for seed in range(3):
        shuffled = random.Random(seed).sample(order, len(order))
        assert sorted(shuffled, key=natural_order) == order


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_names_have_one_order(texts):
    once = sorted(set(texts))
    turned = once[::-1]
    assert sorted(once, key=natural_order) == sorted(turned, key=natural_order)


def test_a_name_of_two_nodes_is_refused():
    with pytest.raises(ConfigError) as raised:
        hello(Hospitals(named("a", "b", "a")), nodes=3)
    assert str(raised.value) == (
        "two nodes have the name 'a': give each its own `name` in its node config; "
        "if one was just killed and started again, try again in a minute"
    )


def test_a_node_without_a_name_has_flowers_id():
    assert names(hello(Hospitals([{}, {"name": "a"}]), nodes=2)) == ["1", "a"]


# ---- how many -------------------------------------------------------------------------------


def test_a_simulation_knows_its_number_of_nodes():
    grid = Hospitals(simulated(5), at_once=2)
    assert names(hello(grid)) == [f"node-{i}" for i in range(5)]
    assert grid.greeted == [1, 2, 3, 4, 5]


def test_a_deployment_must_say_how_many():
    with pytest.raises(ConfigError) as raised:
        hello(Hospitals(named("a", "b")))
    assert "set `nodes` in the run config" in str(raised.value)
    assert "how many nodes to wait for, or names" in str(raised.value)


def test_nodes_that_register_late_are_waited_for():
    grid = Hospitals(named("a", "b", "c"), at_once=1)
    assert names(hello(grid, nodes=3)) == ["a", "b", "c"]
    assert grid.polls == 3


def test_too_few_nodes_are_an_error_in_time():
    started = time.monotonic()
    with pytest.raises(NodesMissingError) as raised:
        hello(Hospitals(named("b", "a")), nodes=5, node_timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 2
    text = str(raised.value)
    assert "waited for 3 of 5 nodes (there: a, b)" in text
    assert "start the missing nodes, or set `nodes` in the run config" in text


def test_no_node_is_an_error_in_time():
    with pytest.raises(NodesMissingError, match=r"1 of 1 nodes \(there: none\)"):
        hello(Hospitals([]), node_timeout=0.05)


def test_missing_names_are_named():
    with pytest.raises(NodesMissingError) as raised:
        hello(Hospitals(named("a", "b")), nodes="a,c,b,d", node_timeout=0.05)
    assert "waited for 2 of 4 nodes: missing c, d" in str(raised.value)


@pytest.mark.parametrize("nodes", [3, "a,b,c"])
def test_a_node_under_a_new_address_counts_once(nodes):
    greetings = hello(Leaving(named("a", "b", "c", "a"), at_once=3), nodes=nodes)
    assert [(greeting.name, greeting.address) for greeting in greetings] == [
        ("a", 4),
        ("b", 2),
        ("c", 3),
    ]


class Restarting(Hospitals):
    """The first SuperNode is ended after its hello, and comes back as the last."""

    def get_node_ids(self):
        first = 1 if self.polls else 0
        return super().get_node_ids()[first:]


@pytest.mark.parametrize("nodes", [3, "a,b,c"])
def test_a_node_started_again_meanwhile_counts_once(nodes):
    grid = Restarting(named("a", "b", "c", "a"), at_once=1)
    greetings = hello(grid, nodes=nodes)
    assert [(greeting.name, greeting.address) for greeting in greetings] == [
        ("a", 4),
        ("b", 2),
        ("c", 3),
    ]
    assert grid.greeted[0] == 1


def test_a_node_that_went_is_not_asked():
    with pytest.raises(NodesMissingError, match=r"1 of 3 nodes \(there: b, c\)"):
        hello(Leaving(named("a", "b", "c")), nodes=3, node_timeout=0.2)


def test_names_choose_the_nodes():
    grid = Hospitals(named("a", "x", "b", "y"))
    assert names(hello(grid, nodes="b,a")) == ["a", "b"]


def test_a_simulation_with_too_few_nodes_is_refused():
    with pytest.raises(NodesMissingError) as raised:
        hello(Hospitals(simulated(2)), nodes=5)
    text = str(raised.value)
    assert "waits for 5 nodes and the simulation has 2" in text
    assert "num-supernodes=5" in text


def test_a_simulation_waits_for_all_its_nodes():
    grid = Hospitals(simulated(5), at_once=1)
    assert names(hello(grid, nodes=2)) == [f"node-{i}" for i in range(5)]


def test_more_nodes_than_asked_for_take_part():
    assert names(hello(Hospitals(named("a", "b", "c")), nodes=2)) == ["a", "b", "c"]


# ---- who cannot take part -------------------------------------------------------------------


def bad(name):
    """A node whose data folder is missing."""
    return {"name": name, "data": "/nowhere/at/all"}


def some_bad(number, *which):
    """Simulated nodes, these of them without their data folder."""
    return [
        {**config, "data": "/nowhere/at/all"} if i in which else config
        for i, config in enumerate(simulated(number))
    ]


class Older(StarClient):
    """Speaks another wire version on the node "old"."""

    def get_properties(self, config):
        said = super().get_properties(config)
        return {**said, "wire": 99, "framework": "9.9"} if said["name"] == "old" else said


def test_another_wire_version_is_refused_with_both_versions():
    with pytest.raises(NodeFailedError) as raised:
        hello(Hospitals(named("a", "old"), Older), nodes=2)
    text = str(raised.value)
    assert "before round 1, 1 node cannot take part" in text
    assert "old: versions differ: it runs flame-flwr 9.9 (wire 99)" in text
    assert f"the server runs {__version__} (wire {WIRE_VERSION})" in text
    assert "the server must be upgraded to 9.9" in text


class Unlike(StarClient):
    """Runs an old pandas on the node "old", and says nothing of its packages on "silent"."""

    def get_properties(self, config):
        said = super().get_properties(config)
        versions = {**json.loads(said.pop("versions")), "pandas": "1.5.3"}
        return {"old": {**said, "versions": json.dumps(versions)}, "silent": said}[said["name"]]


def test_a_node_with_another_pandas_is_named(caplog):
    assert names(hello(Hospitals(named("old", "silent"), Unlike), nodes=2)) == ["old", "silent"]
    [text] = [text for text in caplog.messages if "other versions" in text]
    assert f"  old: pandas 1.5.3 (the server has {version('pandas')}: " in text
    assert "silent" not in text


def test_all_unable_nodes_are_listed_with_reasons():
    grid = Hospitals([*named("a"), bad("b"), bad("c"), {"nme": "x"}])
    with pytest.raises(NodeFailedError) as raised:
        hello(grid, nodes=4)
    head, *lines = str(raised.value).splitlines()
    assert head == "before round 1, 3 nodes cannot take part:"
    assert len(lines) == 3
    assert sum("the data folder does not exist" in line for line in lines) == 2
    assert sum("unknown key `nme`" in line for line in lines) == 1


def test_an_unable_node_is_listed_by_its_name():
    with pytest.raises(NodeFailedError, match="  b: DataError"):
        hello(Hospitals([*named("a"), bad("b")]), nodes=2)


def test_an_unable_simulated_node_hides_no_later_one():
    with pytest.raises(NodeFailedError) as raised:
        hello(Hospitals(some_bad(4, 0, 2), at_once=1))
    assert "before round 1, 2 nodes cannot take part" in str(raised.value)


def test_a_deployments_error_has_no_data_path(monkeypatch):
    monkeypatch.setattr("flame_flwr.clients.checked_client.runtime", lambda: "deployment")
    with pytest.raises(NodeFailedError) as raised:
        hello(Hospitals([*named("a"), bad("b")]), nodes=2)
    assert "/nowhere" not in str(raised.value)


def test_an_unable_stranger_does_not_end_the_run():
    grid = Hospitals([*named("a"), bad("x"), *named("b")])
    assert names(hello(grid, nodes="a,b")) == ["a", "b"]


def test_with_skip_the_others_go_on():
    grid = Hospitals([*named("a"), bad("c"), *named("b")])
    chosen = hello(grid, nodes=3, on_failure="skip", min_nodes=2)
    assert names(greeting for greeting in chosen if not greeting.failure) == ["a", "b"]
    [absent] = [greeting for greeting in chosen if greeting.failure]
    assert absent.name == "c"


def test_with_skip_too_few_others_are_an_error():
    grid = Hospitals([*named("a"), bad("c"), *named("b")])
    with pytest.raises(NodeFailedError, match="1 node cannot take part"):
        hello(grid, nodes=3, on_failure="skip", min_nodes=3)


def test_skip_waits_for_a_late_named_node():
    grid = Hospitals([bad("d"), *named("a", "b", "c")], at_once=1)
    greetings = hello(grid, nodes="a,b,c,d", on_failure="skip", min_nodes=2)
    assert names(greeting for greeting in greetings if not greeting.failure) == ["a", "b", "c"]


class PlainClient(NumPyClient):
    """Another Flower app's."""


def foreign_node(context):
    return PlainClient().to_client()


class Answers(Hospitals):
    """Answers for its second node with an error, as Flower does for a client that crashed."""

    def answer(self, message):
        if message.metadata.dst_node_id == 2:
            return Message(Error(8, "client app crashed"), reply_to=message)
        return super().answer(message)


def test_a_node_that_runs_another_app_is_refused():
    grid = Hospitals(named("a", "b"))
    grid.apps[2] = ClientApp(foreign_node)
    with pytest.raises(NodeFailedError) as raised:
        hello(grid, nodes=2)
    assert "2: versions differ: it runs flame-flwr of an unknown version" in str(raised.value)


def test_an_error_of_flowers_says_its_reason():
    with pytest.raises(NodeFailedError, match="2: no hello: client app crashed"):
        hello(Answers(named("a", "b")), nodes=2)


class Silent(Hospitals):
    """Never answers for its second node."""

    def pull_messages(self, message_ids):
        here = [i for i in message_ids if self.messages[i].metadata.dst_node_id != 2]
        return super().pull_messages(here)


def test_no_answer_to_hello_is_an_error():
    started = time.monotonic()
    with pytest.raises(NodeFailedError, match="2: no hello: no answer within"):
        hello(Silent(named("a", "b")), nodes=2, node_timeout=0.1)
    assert time.monotonic() - started < 5


def test_the_missing_are_named_beside_an_unnamed_node():
    with pytest.raises(NodeFailedError) as raised:
        hello(Silent(named("a", "b")), nodes="a,b", node_timeout=0.1)
    assert str(raised.value).endswith("\nnot heard of: b")


def test_properties_of_wrong_types_end_no_run():
    class Odd(StarClient):
        def get_properties(self, config):
            return {**super().get_properties(config), "partitions": "many", "name": 5}

    assert names(hello(Hospitals(named("a"), Odd), nodes=1)) == ["5"]


# ---- an analysis that goes on -----------------------------------------------------------------


def test_a_node_that_lost_its_analyzer_is_named():
    greetings = [
        Greeting(1, "a", keeps_state=True, states=(3, 4)),
        Greeting(2, "b", keeps_state=True, states=(6, 7)),
        Greeting(3, "c", keeps_state=True),
        Greeting(4, "d"),
    ]
    with pytest.raises(NodeFailedError) as raised:
        check_states(greetings, {"a": 4, "b": 5, "c": 5, "d": 5}, resumable=True)
    text = str(raised.value)
    assert "3 nodes lost their part of it" in text
    assert (
        "b: no analyzer of round 5; it has that of round 6 and 7: the checkpoint is older" in text
    )
    assert "c: no analyzer of round 5; its `state-dir` was cleaned" in text
    assert "d: no analyzer of round 5; it has no `state-dir`" in text


def test_who_keeps_nothing_for_a_resume_is_named(caplog):
    greetings = [Greeting(1, "a", keeps_state=True), Greeting(2, "b"), Greeting(3, "c")]
    check_states(greetings, {}, resumable=True)
    assert caplog.messages[-1].endswith("could not be resumed after a round: b, c")
    caplog.clear()
    check_states(greetings, {}, resumable=False)
    assert caplog.messages == []
