"""Every configuration key: its type, its default, what is refused and with which mend."""

import dataclasses
import math

import pytest

from flame_flwr.config import NODE_KEYS, RUN_KEYS, NodeSettings, RunSettings
from flame_flwr.errors import ConfigError

WRONG = {"bool": True, "int": 3, "float": 2.5, "str": "text", "list": ["a"], "none": None}
TABLES = {"the run config": (RUN_KEYS, RunSettings), "the node config": (NODE_KEYS, NodeSettings)}


def attribute(key):
    return key.replace("-", "_")


def misfits():
    """Every key with every value of a type that it must not have; True is no number."""
    for where, (keys, settings) in TABLES.items():
        for key, about in keys.items():
            allowed = about.type if isinstance(about.type, tuple) else (about.type,)
            names = ("analysis-id", "name", "project-id", "tags")
            digits = [int] if key in names else []  # their text is taken
            for value in WRONG.values():
                if type(value) not in (*allowed, *digits):
                    yield pytest.param(settings, key, value, where, id=f"{where}: {key}={value!r}")


@pytest.mark.parametrize(("settings", "key", "value", "where"), [*misfits()])
def test_a_value_of_a_wrong_type_is_refused_naming_key_type_and_place(settings, key, value, where):
    with pytest.raises(ConfigError) as raised:
        settings.from_config({key: value})
    message = raised.value.message
    assert f"`{key}` in {where} must be " in message
    assert message.endswith(f"not {type(value).__name__}")
    assert raised.value.detail == repr(value)


def test_digits_without_quotes_are_the_text_that_they_look_like():
    for settings, keys in ((RunSettings, RUN_KEYS), (NodeSettings, NODE_KEYS)):
        for key in ("project-id", "analysis-id", "tags", "name"):
            if key in keys:
                assert getattr(settings.from_config({key: 2024}), attribute(key)) == "2024"
    with pytest.raises(ConfigError, match="must be str, not int"):
        RunSettings.from_config({"results": 2024})


def test_the_value_itself_is_detail_and_not_message():
    with pytest.raises(ConfigError) as raised:
        NodeSettings.from_config({"share-tracebacks": "/srv/secret"})
    assert "/srv/secret" not in raised.value.message
    assert "/srv/secret" in str(raised.value)


def test_an_empty_run_config_gives_the_defaults():
    settings = RunSettings.from_config({})
    for key, about in RUN_KEYS.items():
        assert getattr(settings, attribute(key)) == about.default, key


def test_every_key_has_an_attribute_a_line_of_documentation_and_a_fitting_default():
    for keys, settings in TABLES.values():
        names = {field.name for field in dataclasses.fields(settings)}
        assert names == {attribute(key) for key in keys}
        for key, about in keys.items():
            assert about.doc, key
            assert "\n" not in about.doc, key
            assert isinstance(about.default, about.type), key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nodes", 3),
        ("min-nodes", 1),
        ("on-failure", "skip"),
        ("on-failure", "abort"),
        ("node-timeout", 5),
        ("node-timeout", 0.5),
        ("round-timeout", 7.5),
        ("max-rounds", 1),
        ("results", "/srv/results"),
        ("analysis-id", "halta"),
        ("project-id", "pasc"),
        ("data", "/srv/data/{partition-id}"),
        ("state-dir", "/srv/kept"),
    ],
)
def test_a_run_key_arrives_at_its_attribute(key, value):
    assert getattr(RunSettings.from_config({key: value}), attribute(key)) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "hospital-a"),
        ("data", "/srv/data"),
        ("state-dir", "/srv/kept"),
        ("share-tracebacks", True),
        ("share-tracebacks", False),
        ("partition-id", 0),
        ("partition-id", 4),
        ("num-partitions", 5),
    ],
)
def test_a_node_key_arrives_at_its_attribute(key, value):
    assert getattr(NodeSettings.from_config({key: value}), attribute(key)) == value


@pytest.mark.parametrize("folder", ["kept", "./kept", "~/kept", "file:///srv/kept"])
@pytest.mark.parametrize("where", TABLES)
def test_a_state_dir_that_is_no_absolute_path_is_refused(where, folder):
    with pytest.raises(ConfigError) as raised:
        TABLES[where][1].from_config({"state-dir": folder})
    assert f"`state-dir` in {where} must be an absolute path" in raised.value.message
    assert raised.value.detail == folder


def test_a_node_that_says_nothing_is_told_apart_from_one_that_says_no():
    settings = NodeSettings.from_config({})
    assert settings.share_tracebacks is None
    assert settings.partition_id is None
    assert settings.name == ""
    assert settings.data == ""
    assert settings.num_partitions == 0


@pytest.mark.parametrize(
    ("settings", "key", "near", "where"),
    [
        (RunSettings, "max-round", "max-rounds", "the run config"),
        (RunSettings, "max_rounds", "max-rounds", "the run config"),
        (RunSettings, "onfailure", "on-failure", "the run config"),
        (RunSettings, "result", "results", "the run config"),
        (NodeSettings, "share-traceback", "share-tracebacks", "the node config"),
        (NodeSettings, "Name", "name", "the node config"),
    ],
)
def test_a_near_miss_is_refused_with_the_key_that_was_meant(settings, key, near, where):
    with pytest.raises(ConfigError) as raised:
        settings.from_config({key: 3})
    assert str(raised.value) == f"unknown key `{key}` in {where}; did you mean `{near}`?"


def test_a_key_that_is_like_none_is_refused_with_all_that_there_are():
    with pytest.raises(ConfigError) as raised:
        RunSettings.from_config({"xyzzy": 1})
    assert "unknown key `xyzzy` in the run config" in str(raised.value)
    for key in RUN_KEYS:
        assert key in str(raised.value)


def test_a_run_key_in_the_node_config_is_refused():
    with pytest.raises(ConfigError, match="unknown key `max-rounds` in the node config"):
        NodeSettings.from_config({"max-rounds": 5})


def test_keys_of_the_apps_own_tables_are_left_alone():
    settings = RunSettings.from_config({"mine.max-rounds": "x", "a.b.c": None, "max-rounds": 2})
    assert settings.max_rounds == 2
    assert NodeSettings.from_config({"site.color": 3}).name == ""


@pytest.mark.parametrize("key", ["min-nodes", "max-rounds", "node-timeout", "round-timeout"])
@pytest.mark.parametrize("value", [0, -1, -0.5])
def test_limits_must_be_above_zero(key, value):
    if isinstance(value, float) and key in ("min-nodes", "max-rounds"):
        value = -3
    with pytest.raises(ConfigError) as raised:
        RunSettings.from_config({key: value})
    assert f"`{key}` in the run config must be a finite number above 0, not {value}" in str(
        raised.value
    )


@pytest.mark.parametrize("key", ["node-timeout", "round-timeout"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_wait_without_a_limit_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"`{key}` in the run config"):
        RunSettings.from_config({key: value})


def test_a_negative_number_of_nodes_is_refused():
    with pytest.raises(ConfigError, match="`nodes` in the run config must not be -1"):
        RunSettings.from_config({"nodes": -1})


@pytest.mark.parametrize("value", ["", "ABORT", "Skip", "abort "])
def test_on_failure_is_abort_skip_or_wait(value):
    with pytest.raises(ConfigError) as raised:
        RunSettings.from_config({"on-failure": value})
    assert '`on-failure` in the run config is "abort", "skip" or "wait"' in str(raised.value)
    assert f'not "{value}"' in str(raised.value)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" b , a,", ("b", "a")),
        ("hospital-2,hospital-10", ("hospital-2", "hospital-10")),
        ("St. Mary, Köln", ("St. Mary", "Köln")),
        ("1,2", ("1", "2")),
        ("3", 3),
        (" 3 ", 3),
        ("", 0),
        (" , ", 0),
        ("²", ("²",)),
    ],
)
def test_nodes_is_a_number_or_names_with_commas_between(text, nodes):
    assert RunSettings.from_config({"nodes": text}).nodes == nodes


def test_a_node_named_twice_is_refused():
    with pytest.raises(ConfigError) as raised:
        RunSettings.from_config({"nodes": "a,b, a"})
    assert "`nodes` in the run config names a node twice" in str(raised.value)
    assert "a,b, a" in str(raised.value)


@pytest.mark.parametrize("name", ["aggregator", " aggregator "])
def test_no_node_may_take_the_aggregators_name(name):
    with pytest.raises(ConfigError, match="`name` in the node config must not be `aggregator`"):
        NodeSettings.from_config({"name": name})


def test_a_nodes_name_loses_its_outer_spaces():
    assert NodeSettings.from_config({"name": "  St. Mary "}).name == "St. Mary"


def test_another_round_timeout_leaves_the_rest():
    before = RunSettings.from_config({"nodes": "a,b", "round-timeout": 5})
    after = before.with_round_timeout(0.25)
    assert after.round_timeout == 0.25
    assert before.round_timeout == 5
    assert dataclasses.replace(after, round_timeout=5) == before
