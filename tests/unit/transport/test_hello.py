"""The ready check: waits within a limit, names and order, who cannot take part and why."""

import time

import pytest
from flwr.app import Error, Message

from flame_flwr.errors import ConfigError, NodeFailedError, NodesMissingError

from .greeted_nodes import Hospitals, hello, named, names, simulated


def bad(name):
    """A node whose data folder is missing."""
    return {"name": name, "data": "/nowhere/at/all"}


def some_bad(number, *which):
    """Simulated nodes, these of them without their data folder."""
    return [
        {**config, "data": "/nowhere/at/all"} if i in which else config
        for i, config in enumerate(simulated(number))
    ]


NODES = [f"node-{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("grid", "config", "expected"),
    [
        (Hospitals(simulated(12)[::-1]), {}, [f"node-{i}" for i in range(12)]),
        (Hospitals(simulated(5), at_once=2), {}, NODES),
        (Hospitals(simulated(5), at_once=1), {"nodes": 2}, NODES),
        (Hospitals([{}, {"name": "a"}]), {"nodes": 2}, ["1", "a"]),
        (Hospitals(named("a", "b", "c"), at_once=1), {"nodes": 3}, ["a", "b", "c"]),
        (Hospitals(named("a", "b", "c")), {"nodes": 2}, ["a", "b", "c"]),
        (Hospitals(named("a", "x", "b", "y")), {"nodes": "b,a"}, ["a", "b"]),
        (Hospitals([*named("a"), bad("x"), *named("b")]), {"nodes": "a,b"}, ["a", "b"]),
    ],
)
def test_who_takes_part(grid, config, expected):
    assert names(hello(grid, **config)) == expected
    assert len(set(grid.greeted)) == len(grid.greeted)


def test_too_few_nodes_are_an_error_in_time():
    started = time.monotonic()
    with pytest.raises(NodesMissingError) as raised:
        hello(Hospitals(named("b", "a")), nodes=5, node_timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 30
    text = str(raised.value)
    assert "waited for 3 of 5 nodes (there: a, b)" in text
    assert "start the missing nodes, or set `nodes` in the run config" in text


def test_all_unable_nodes_are_listed_with_reasons():
    grid = Hospitals([*named("a"), bad("b"), bad("c"), {"nme": "x"}])
    with pytest.raises(NodeFailedError) as raised:
        hello(grid, nodes=4)
    head, *lines = str(raised.value).splitlines()
    assert head == "before round 1, 3 nodes cannot take part:"
    assert len(lines) == 3
    assert sum("the data folder does not exist" in line for line in lines) == 2
    assert sum("unknown key `nme`" in line for line in lines) == 1


def test_a_deployments_error_has_no_data_path(monkeypatch):
    monkeypatch.setattr("flame_flwr.clients.reply_origin.runtime", lambda: "deployment")
    with pytest.raises(NodeFailedError) as raised:
        hello(Hospitals([*named("a"), bad("b")]), nodes=2)
    assert "/nowhere" not in str(raised.value)


def test_skip_waits_for_a_late_named_node():
    grid = Hospitals([bad("d"), *named("a", "b", "c")], at_once=1)
    greetings = hello(grid, nodes="a,b,c,d", on_failure="skip", min_nodes=2)
    assert names(greeting for greeting in greetings if not greeting.failure) == ["a", "b", "c"]


class Answers(Hospitals):
    """Answers for its second node with an error, as Flower does for a client that crashed."""

    def answer(self, message):
        if message.metadata.dst_node_id == 2:
            return Message(Error(8, "client app crashed"), reply_to=message)
        return super().answer(message)


class Silent(Hospitals):
    """Never answers for its second node."""

    def pull_messages(self, message_ids):
        here = [i for i in message_ids if self.messages[i].metadata.dst_node_id != 2]
        return super().pull_messages(here)


@pytest.mark.parametrize(
    ("grid", "config", "said"),
    [
        (
            Hospitals(named("a", "b", "a")),
            {"nodes": 3},
            "two nodes have the name 'a': give each its own `name` in its node config; "
            "if one was just killed and started again, try again in a minute",
        ),
        (
            Hospitals(named("a", "b")),
            {},
            "set `nodes` in the run config: how many nodes to wait for, or names",
        ),
        (Hospitals([]), {"node_timeout": 0.05}, "1 of 1 nodes (there: none)"),
        (
            Hospitals(named("a", "b")),
            {"nodes": "a,c,b,d", "node_timeout": 0.05},
            "waited for 2 of 4 nodes: missing c, d",
        ),
        (
            Hospitals(simulated(2)),
            {"nodes": 5},
            "waits for 5 nodes and the simulation has 2: say --simulate 5",
        ),
        (Hospitals([*named("a"), bad("b")]), {"nodes": 2}, "\n  b: DataError"),
        (Hospitals(some_bad(4, 0, 2), at_once=1), {}, "2 nodes cannot take part"),
        (
            Hospitals([*named("a"), bad("c"), *named("b")]),
            {"nodes": 3, "on_failure": "skip", "min_nodes": 3},
            "1 node cannot take part",
        ),
        (Answers(named("a", "b")), {"nodes": 2}, "2: no hello: client app crashed"),
        (
            Silent(named("a", "b")),
            {"nodes": "a,b", "node_timeout": 0.1},
            "\nnot heard of: b",
        ),
    ],
)
def test_who_cannot_begin_is_told_why(grid, config, said):
    with pytest.raises((ConfigError, NodesMissingError, NodeFailedError)) as raised:
        hello(grid, **config)
    assert said in str(raised.value)


@pytest.mark.parametrize("order", ["abac", "acba", "bcaa"])
def test_skip_goes_on_without_two_of_one_name(order):
    config = {"nodes": 4, "on_failure": "skip"}
    greetings = hello(Hospitals(named(*order)), **config)
    assert names(greetings) == ["a", "a", "b", "c"]
    assert [greeting.failure is None for greeting in greetings] == [False, False, True, True]
    assert str(greetings[0].failure).startswith("a name of two: two nodes have the name 'a'")
    with pytest.raises(NodeFailedError, match="before round 1, 2 nodes cannot take part:"):
        hello(Hospitals(named(*order)), **config, min_nodes=3)
