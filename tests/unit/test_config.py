"""Every configuration key: its type, default and side, what is refused and with which mend."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from flame_flwr import clients
from flame_flwr.config import NODE_KEYS, RUN_KEYS, NodeSettings, RunSettings
from flame_flwr.data import configured
from flame_flwr.errors import ConfigError

WRONG = {"bool": True, "int": 3, "float": 2.5, "str": "text", "list": ["a"], "none": None}
TABLES = {"the run config": (RUN_KEYS, RunSettings), "the node config": (NODE_KEYS, NodeSettings)}
DIGITS = {"analysis-id", "name", "project-id", "tags", "freeze"}


def attribute(key):
    return key.replace("-", "_")


def every_key():
    for where, (keys, settings) in TABLES.items():
        for key, about in keys.items():
            yield where, settings, key, about


def misfits():
    """Every key with every value of a type that it must not have; True is no number."""
    for where, settings, key, about in every_key():
        allowed = (*about.kinds, *((int,) if key in DIGITS else ()))
        for value in WRONG.values():
            if type(value) not in allowed:
                yield pytest.param(settings, key, value, where, id=f"{where}: {key}={value!r}")


@pytest.mark.parametrize(("settings", "key", "value", "where"), [*misfits()])
def test_a_value_of_a_wrong_type_is_refused(settings, key, value, where):
    with pytest.raises(ConfigError) as raised:
        settings.from_config({key: value})
    assert f"`{key}` in {where} must be " in raised.value.message
    assert raised.value.message.endswith(f"not {type(value).__name__}")
    assert raised.value.detail == repr(value)  # which does not leave a node


@pytest.mark.parametrize(("where", "settings", "key", "about"), [*every_key()])
def test_every_key_is_documented_and_arrives(where, settings, key, about):
    assert about.doc
    assert "\n" not in about.doc
    assert isinstance(about.default, about.type)
    values = {bool: True, int: 3, float: 2.5, str: "/a"}
    for kind in about.kinds:
        value = about.choices[-1] if about.choices else values[kind]
        more = {"checkpoint": "/c"} if key == "resume" else {}
        expected = ("/a",) if (key, kind) == ("nodes", str) else value
        assert getattr(settings.from_config({key: value, **more}), attribute(key)) == expected


def test_digits_without_quotes_are_their_text():
    assert {key for _, _, key, _ in every_key()} >= DIGITS
    for _, settings, key, about in every_key():
        assert about.may_be_digits is (key in DIGITS)
        if key in DIGITS:
            assert getattr(settings.from_config({key: 2024}), attribute(key)) == "2024"


def test_a_missing_key_has_its_default():
    silent = {"share-tracebacks", "share-size", "partition-id"}  # None is not False, or 0
    settings = RunSettings.from_config({})
    assert {key: getattr(settings, attribute(key)) for key in RUN_KEYS} == {
        key: None if key == "secure" else about.default for key, about in RUN_KEYS.items()
    }
    settings = NodeSettings.from_config({})
    for key, about in NODE_KEYS.items():
        expected = None if key in silent else about.default
        assert getattr(settings, attribute(key)) == expected


def test_every_key_says_who_reads_it():
    assert {about.side for about in NODE_KEYS.values()} == {"node"}
    files = [*Path(clients.__path__[0]).glob("*.py"), Path(configured.__file__)]
    texts = [path.read_text() for path in files]
    read = {name for text in texts for name in re.findall(r"\brun\.([a-z_]+)\b(?!\()", text)}
    read |= {
        "tags",
        "client",
        "script",
        "script_arguments",
        "secure",
    }  # by a method, an app, a script's components, a gate
    read &= {attribute(key) for key in RUN_KEYS}
    of_nodes = {attribute(key) for key, about in RUN_KEYS.items() if about.side != "server"}
    assert read == of_nodes


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["memory-gb", "cpu-minutes", "epsilon-total"])
def test_a_limit_or_none_is_not_negative(key, value):
    with pytest.raises(ConfigError, match=f"`{key}` in the node config must be 0 or"):
        NodeSettings.from_config({key: value})


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("state-dir", "kept"),
        ("state-dir", "./kept"),
        ("datasets", "~/kept"),
        ("cache-dir", "file:///srv/kept"),
        ("audit-log", "log"),
    ],
)
def test_a_relative_path_is_refused(key, folder):
    for where, settings in (("the run config", RunSettings), ("the node config", NodeSettings)):
        if where == "the node config" or key in RUN_KEYS:
            with pytest.raises(ConfigError) as raised:
                settings.from_config({key: folder})
            assert f"`{key}` in {where} must be an absolute path" in raised.value.message
            assert raised.value.detail == folder


@pytest.mark.parametrize(
    ("settings", "key", "near", "where"),
    [
        (RunSettings, "max-round", "max-rounds", "the run config"),
        (RunSettings, "max_rounds", "max-rounds", "the run config"),
        (RunSettings, "onfailure", "on-failure", "the run config"),
        (NodeSettings, "share-traceback", "share-tracebacks", "the node config"),
        (NodeSettings, "Name", "name", "the node config"),
    ],
)
def test_a_mistyped_key_is_refused_with_the_nearest(settings, key, near, where):
    with pytest.raises(ConfigError) as raised:
        settings.from_config({key: 3})
    assert str(raised.value) == f"unknown key `{key}` in {where}; did you mean `{near}`?"


def test_a_key_like_none_is_refused_with_all():
    with pytest.raises(ConfigError) as raised:
        RunSettings.from_config({"xyzzy": 1})
    said = f"unknown key `xyzzy` in the run config; known: {', '.join(RUN_KEYS)}"
    assert str(raised.value) == said
    with pytest.raises(ConfigError, match="unknown key `max-rounds` in the node config"):
        NodeSettings.from_config({"max-rounds": 5})


def test_an_apps_own_tables_are_left_alone():
    settings = RunSettings.from_config({"mine.max-rounds": "x", "a.b.c": None, "max-rounds": 2})
    assert settings.max_rounds == 2
    assert NodeSettings.from_config({"site.color": 3}).name == ""


@pytest.mark.parametrize("value", [0, -1, -0.5, math.nan, math.inf, -math.inf])
def test_limits_are_finite_and_above_zero(value):
    positive = [(each, about) for *each, about in every_key() if about.is_positive]
    assert len(positive) == 12
    for (where, settings, key), about in positive:
        if isinstance(value, about.type):
            said = f"`{key}` in {where} must be a finite number above 0, not {value}"
            with pytest.raises(ConfigError, match=re.escape(said)):
                settings.from_config({key: value})


@pytest.mark.parametrize("value", ["", "ABORT", "Skip", "abort "])
def test_of_choices_one_must_be_taken(value):
    said = f'`on-failure` in the run config is "abort", "skip" or "wait", not "{value}"'
    with pytest.raises(ConfigError, match=re.escape(said)):
        RunSettings.from_config({"on-failure": value})
    with pytest.raises(ConfigError, match='`report` in the run config is "auto", "on" or "off"'):
        RunSettings.from_config({"report": value})


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a", ("a",)),
        (" b , a,", ("b", "a")),
        ("hospital-2,hospital-10", ("hospital-2", "hospital-10")),
        ("St. Mary, Köln", ("St. Mary", "Köln")),
        ("1,2", ("1", "2")),
        (" 3 ", 3),
        ("", 0),
        (" , ", 0),
        ("²", ("²",)),
    ],
)
def test_nodes_are_a_number_or_names(text, nodes):
    assert RunSettings.from_config({"nodes": text}).nodes == nodes


def test_nodes_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="`nodes` in the run config names a node twice") as raised:
        RunSettings.from_config({"nodes": "a,b, a"})
    assert raised.value.detail == "a,b, a"
    with pytest.raises(ConfigError, match="`nodes` in the run config must not be -1"):
        RunSettings.from_config({"nodes": -1})


def test_a_nodes_name_is_stripped_and_its_own():
    assert NodeSettings.from_config({"name": "  St. Mary "}).name == "St. Mary"
    with pytest.raises(ConfigError, match="`name` in the node config must not be `aggregator`"):
        NodeSettings.from_config({"name": " aggregator "})


def test_another_round_timeout_leaves_the_rest():
    before = RunSettings.from_config({"nodes": "a,b", "round-timeout": 5})
    after = before.with_round_timeout(0.25)
    assert after.round_timeout == 0.25
    assert dataclasses.replace(after, round_timeout=5) == before


def test_an_equal_value_of_another_type_is_refused():
    assert RunSettings.from_config({"min-nodes": 1}).min_nodes == 1
    with pytest.raises(ConfigError, match="must be a whole number, not bool"):
        RunSettings.from_config({"min-nodes": True})
