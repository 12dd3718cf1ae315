"""The ready check: waits within a limit, names and order, who cannot take part and why."""

import json
import time
from importlib.metadata import version

import pytest
from echo import Analyzer
from flwr.app import Error, Message
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from flame_flwr import __version__
from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.errors import ConfigError, NodeFailedError, NodesMissingError
from flame_flwr.flower import OFFLINE
from flame_flwr.installed.versions import installed
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.transport.greeting import Greeting, _hospital
from flame_flwr.transport.ready_check import check_states, say_hello


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


def bad(name):
    """A node whose data folder is missing."""
    return {"name": name, "data": "/nowhere/at/all"}


def some_bad(number, *which):
    """Simulated nodes, these of them without their data folder."""
    return [
        {**config, "data": "/nowhere/at/all"} if i in which else config
        for i, config in enumerate(simulated(number))
    ]


# ---- names and order ------------------------------------------------------------------------


# ---- how many -------------------------------------------------------------------------------


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


# ---- who cannot take part -------------------------------------------------------------------


class Saying(Hospitals):
    """Nodes of which some say something else at hello: each has its change, by its name."""

    changes = {}

    def answer(self, message):
        reply = super().answer(message)
        said = reply.content["getpropertiesres.properties"]
        for key, value in self.changes.get(said["name"], {}).items():
            said[key] = value
        return reply


class Older(Saying):
    """Speaks another wire version on the node "old"."""

    changes = {"old": {"wire": 99, "framework": "9.9"}}


def test_another_wire_version_is_refused_with_both_versions():
    with pytest.raises(NodeFailedError) as raised:
        hello(Older(named("a", "old")), nodes=2)
    text = str(raised.value)
    assert "before round 1, 1 node cannot take part" in text
    assert "old: versions differ: it runs flame-flwr 9.9 (wire 99)" in text
    assert f"the server runs {__version__} (wire {WIRE_VERSION})" in text
    assert "the server must be upgraded to 9.9" in text


class Unlike(Saying):
    """Runs an old pandas on the node "old", and says nothing of its packages on "silent"."""

    changes = {
        "old": {"versions": json.dumps({**installed(), "pandas": "1.5.3"})},
        "silent": {"versions": ""},
    }


def test_a_node_with_another_pandas_is_named(caplog):
    assert names(hello(Unlike(named("old", "silent")), nodes=2)) == ["old", "silent"]
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


def test_a_deployments_error_has_no_data_path(monkeypatch):
    monkeypatch.setattr("flame_flwr.clients.reply_way.runtime", lambda: "deployment")
    with pytest.raises(NodeFailedError) as raised:
        hello(Hospitals([*named("a"), bad("b")]), nodes=2)
    assert "/nowhere" not in str(raised.value)


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


def test_a_clock_that_is_off_is_said(caplog):
    said = {"fast": 4.4, "slow": -120, "right": 0.3, "silent": None, "odd": "\n" * 9, "nan": 1e300}

    class Answers(Hospitals):
        def answer(self, message):
            reply = super().answer(message)
            properties = reply.content["getpropertiesres.properties"]
            if said[properties["name"]] is not None:
                properties["clock"] = said[properties["name"]]
            return reply

    greetings = hello(Answers(named(*said)), nodes=len(said))
    assert {greeting.name: greeting.clock for greeting in greetings} == {
        **dict.fromkeys(said), "fast": 4.4, "slow": -120.0, "right": 0.3
    }  # fmt: skip
    [text] = [text for text in caplog.messages if "clocks differ" in text]
    assert "fast is 4 s ahead, slow is 120 s behind. " in text


def test_properties_of_wrong_types_end_no_run():
    class Odd(Saying):
        changes = {"a": {"partitions": "many", "name": 5}}

    assert names(hello(Odd(named("a")), nodes=1)) == ["5"]


def test_a_hospital_that_gives_its_real_name_is_known_by_it():
    configs = [{"name": "a", "hospital": "University Hospital A"}, {"name": "b"}]
    greeted = hello(Hospitals(configs), nodes=2)
    assert [greeting.hospital for greeting in greeted] == ["University Hospital A", ""]


@pytest.mark.parametrize(
    ("said", "expected"),
    [("A\x1b[2J\nB", "A?[2J B"), (7, ""), (None, ""), (b"x", ""), ("x" * 999, "x" * 200 + "...")],
)
def test_a_hospitals_name_of_any_form_is_one_line(said, expected):
    assert _hospital(said) == expected


@pytest.mark.parametrize("name", ["x" * 201, "A\nB"])
def test_a_hospitals_name_that_is_no_line_is_refused(name):
    with pytest.raises(ConfigError, match="`hospital` in the node config must be one line"):
        NodeSettings.from_config({"hospital": name})


def test_a_run_may_require_a_gate():
    class Gated(Saying):
        changes = {"a": {"gated": True}}

    with pytest.raises(NodeFailedError) as raised:
        hello(Gated(named("a", "b")), nodes=2, require_gate=True)
    [_, line] = str(raised.value).splitlines()
    assert line.startswith("  b: ungated: `require-gate` is set in the run config, and this node")
    assert "the hospital starts it with `flame-flwr node start` and without --stock" in line
    assert names(hello(Hospitals(simulated(2)), require_gate=True)) == ["node-0", "node-1"]


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


class Denying(Hospitals):
    """The first node says, at every hello, that it is gone."""

    def answer(self, message):
        if message.metadata.dst_node_id == 1:
            return Message(Error(OFFLINE, "round 7: all is well"), reply_to=message)
        return super().answer(message)


def test_a_node_that_says_that_it_is_gone_fills_no_log(caplog):
    caplog.set_level("INFO")
    with pytest.raises(NodesMissingError, match=r"1 of 2 nodes"):
        hello(grid := Denying(named("a", "b")), nodes=2, node_timeout=0.5)
    assert len(grid.greeted) > 2
    assert sum("node 1 has gone" in record.getMessage() for record in caplog.records) == 1
