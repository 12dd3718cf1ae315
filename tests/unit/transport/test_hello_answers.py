"""What nodes say at hello: other versions and clocks are named, odd answers do no harm."""

import json
from importlib.metadata import version

import pytest
from flwr.app import Error, Message
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from flame_flwr import __version__
from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError, NodeFailedError, NodesMissingError
from flame_flwr.flower import OFFLINE
from flame_flwr.installed.versions import installed
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.transport.greeting import _hospital

from .greeted_nodes import Hospitals, Saying, hello, named, names, simulated


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


class PlainClient(NumPyClient):
    """Another Flower app's."""


def foreign_node(context):
    return PlainClient().to_client()


def test_a_node_that_runs_another_app_is_refused():
    grid = Hospitals(named("a", "b"))
    grid.apps[2] = ClientApp(foreign_node)
    with pytest.raises(NodeFailedError) as raised:
        hello(grid, nodes=2)
    assert "2: versions differ: it runs flame-flwr of an unknown version" in str(raised.value)


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


def test_a_hospital_is_known_by_its_name():
    configs = [{"name": "a", "hospital": "University Hospital A"}, {"name": "b"}]
    greeted = hello(Hospitals(configs), nodes=2)
    assert [greeting.hospital for greeting in greeted] == ["University Hospital A", ""]


@pytest.mark.parametrize(
    ("said", "expected"),
    [("A\x1b[2J\nB", "A?[2J B"), (7, ""), (None, ""), (b"x", ""), ("x" * 999, "x" * 200 + "...")],
)
def test_any_hospital_name_becomes_one_line(said, expected):
    assert _hospital(said) == expected


@pytest.mark.parametrize("name", ["x" * 201, "A\nB"])
def test_a_multi_line_hospital_name_is_refused(name):
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


class Denying(Hospitals):
    """The first node says, at every hello, that it is gone."""

    def answer(self, message):
        if message.metadata.dst_node_id == 1:
            return Message(Error(OFFLINE, "round 7: all is well"), reply_to=message)
        return super().answer(message)


def test_a_node_that_goes_fills_no_log(caplog):
    caplog.set_level("INFO")
    with pytest.raises(NodesMissingError, match=r"1 of 2 nodes"):
        hello(grid := Denying(named("a", "b")), nodes=2, node_timeout=0.5)
    assert len(grid.greeted) > 2
    assert sum("node 1 has gone" in record.getMessage() for record in caplog.records) == 1
