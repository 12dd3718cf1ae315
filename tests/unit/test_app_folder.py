"""An app's folder and the overrides of its run config, before anything is submitted."""

import datetime
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from flwr.common.config import parse_config_args
from flwr.common.serde import user_config_from_proto, user_config_to_proto
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr.app_folder import App, as_options
from flame_flwr.config import RUN_KEYS
from flame_flwr.errors import ConfigError

MINE = {
    "mine.note": "",
    "mine.alpha": 0.5,
    "mine.epochs": 3,
    "mine.flag": False,
    "mine.deep.word": "x",
}
KNOWN = {**{key: about.default for key, about in RUN_KEYS.items()}, **MINE}


@pytest.fixture
def app():
    return App(Path("app"), KNOWN, {})


def one(app, text):
    [value] = app.overrides([text]).values()
    return value


TEXT_KEYS = [key for key, about in RUN_KEYS.items() if about.type is str]
INT_KEYS = [key for key, about in RUN_KEYS.items() if about.type is int]
SWITCHES = [key for key, about in RUN_KEYS.items() if about.type is bool]
FLOAT_KEYS = [key for key, about in RUN_KEYS.items() if about.type == (int, float)]
LOOK_LIKE_OTHERS = [
    "2024",
    "007",
    "1e3",
    "1.50",
    "true",
    "nan",
    "1_000",
    "2026-11-21",
    "-3",
    "0x10",
]


def test_every_kind_of_key_is_tried():
    assert all((TEXT_KEYS, INT_KEYS, FLOAT_KEYS))
    assert set(RUN_KEYS) == {*TEXT_KEYS, *INT_KEYS, *FLOAT_KEYS, "nodes", *SWITCHES}


@pytest.mark.parametrize("value", LOOK_LIKE_OTHERS)
@pytest.mark.parametrize("key", [*TEXT_KEYS, "mine.note", "mine.deep.word"])
def test_a_text_stays_a_text(app, key, value):
    assert app.overrides([f"{key}={value}"]) == {key: value}
    assert app.overrides([f'{key}="{value}"']) == {key: value}
    assert app.overrides([f"{key}='{value}'"]) == {key: value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a b c", "a b c"),
        ("y = a + b*x", "y = a + b*x"),
        ("https://x.example/?a=1&b=2", "https://x.example/?a=1&b=2"),
        ('say "hi"', 'say "hi"'),
        ("it's", "it's"),
        ("C:\\new\\table", "C:\\new\\table"),
        ("two\nlines\ttab", "two\nlines\ttab"),
        ("emoji 😀 and ﷽", "emoji 😀 and ﷽"),
        ("", ""),
        ('""', ""),
        ('"', '"'),
        ("'\"x\"'", '"x"'),
        ('"a \\"quoted\\" word\\n"', 'a "quoted" word\n'),
        ('"a" and "b"', '"a" and "b"'),
        ("[1, 2]", "[1, 2]"),
        ("a # no comment", "a # no comment"),
        ('"x" # y', '"x" # y'),
        ("x=1", "x=1"),
        ("a=1 b=2", "a=1 b=2"),
        ('"a nodes=3"', "a nodes=3"),
        ("  blanks  ", "  blanks  "),
    ],
)
@pytest.mark.parametrize("key", ["mine.note", "project-id"])
def test_a_text_of_the_command_line_arrives_unchanged(app, key, text, value):
    assert app.overrides([f"{key}={text}"]) == {key: value}


@given(st.text().filter(lambda text: "\x00" not in text))
def test_a_text_of_python_reaches_flower_unchanged(text):
    given_config = {"mine.note": text, "project-id": text, "mine.alpha": 0.25, "nodes": 3}
    with tempfile.TemporaryDirectory() as folder:
        options = as_options(App(Path("app"), KNOWN, {}).checked(given_config), folder)
        assert options[0] == "--run-config"
        read = parse_config_args(options[1:])
    assert user_config_from_proto(user_config_to_proto(read)) == given_config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nodes=3", 3),
        ("nodes=hospital-a,hospital-b", "hospital-a,hospital-b"),
        ("max-rounds=7", 7),
        ("max-rounds = 7", 7),
        ('max-rounds="7"', 7),
        ("node-timeout=5", 5),
        ("node-timeout=0.5", 0.5),
        ("resume=true", True),
        ("resume=False", False),
        ("mine.alpha=1", 1.0),
        ("mine.alpha=1e-3", 0.001),
        ("mine.alpha=inf", math.inf),
        ("mine.epochs=4", 4),
        ("mine.epochs=0.5", 0.5),
        ("mine.flag=TRUE", True),
        ('"mine.flag"=true', True),
    ],
)
def test_a_value_has_the_type_of_its_key(app, text, value):
    found = one(app, text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max-rounds=ten", "`max-rounds` in --run-config must be a whole number, not 'ten'"),
        ("max-rounds=2.5", "`max-rounds` in --run-config must be a whole number"),
        ("max-rounds=", "`max-rounds` in --run-config must be a whole number, not ''"),
        ("max-rounds=٣", "`max-rounds` in --run-config must be a whole number"),
        ("node-timeout=soon", "`node-timeout` in --run-config must be a number, not 'soon'"),
        ("resume=yes", "`resume` in --run-config must be true or false, not 'yes'"),
        ("resume=1", "`resume` in --run-config must be true or false"),
        ("mine.alpha=big", "`mine.alpha` in --run-config must be a number"),
        ("mine.flag=0", "`mine.flag` in --run-config must be true or false"),
        (f"max-rounds={2**63}", "`max-rounds` in the run config must fit into 64 bits"),
        ("max-rounds", "--run-config takes KEY=VALUE or a .toml file, not 'max-rounds'"),
    ],
)
def test_a_value_of_another_type_is_refused(app, text, words):
    with pytest.raises(ConfigError) as raised:
        app.overrides([text])
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize("key", [*RUN_KEYS, *MINE])
def test_a_mistyped_key_is_refused_naming_the_nearest(app, key):
    for wrong in (key.replace("-", "_") + "x", key[:-1], key[:1] + key[2:]):
        if wrong in KNOWN:
            continue
        for overriding in (
            lambda wrong=wrong: app.overrides([f"{wrong}=3"]),
            lambda wrong=wrong: app.checked({wrong: 3}),
        ):
            with pytest.raises(ConfigError) as raised:
                overriding()
            assert f"there is no `{wrong}` in the app's run config" in str(raised.value)
            assert f"did you mean `{key}`?" in str(raised.value)


def test_a_key_without_its_table_is_found(app):
    with pytest.raises(ConfigError, match=r"did you mean `mine\.alpha`"):
        app.overrides(["alpha=1"])
    with pytest.raises(ConfigError, match=r"which has .*max-rounds.*mine\.note"):
        app.overrides(["xyzzy=1"])


def test_a_key_missing_in_the_app_is_proposed():
    app = App(Path("app"), {"results": ""}, {})
    with pytest.raises(ConfigError, match="Flower takes no key that is not there: add `resume = "):
        app.overrides(["resume=true"])
    with pytest.raises(
        ConfigError, match=r"did you mean `max-rounds`\? Flower .*: add `max-rounds = 1000`"
    ):
        app.overrides(["max-round=3"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('data="/a b" results="/c"', {"data": "/a b", "results": "/c"}),
        ("nodes=3 max-rounds=5", {"nodes": 3, "max-rounds": 5}),
        ("project-id=2024 max-rounds=5", {"project-id": "2024", "max-rounds": 5}),
        ("results=/tmp/x max-rounds=5", {"results": "/tmp/x", "max-rounds": 5}),
        ("mine.alpha=2 mine.note='x y'", {"mine.alpha": 2.0, "mine.note": "x y"}),
        ("  max-rounds=5\n  resume=true ", {"max-rounds": 5, "resume": True}),
    ],
)
def test_one_option_may_hold_several_pairs(app, text, found):
    assert app.overrides([text]) == found


def test_a_mistyped_key_among_several_pairs(app):
    with pytest.raises(ConfigError, match=r"no `on-failur` .*did you mean `on-failure`"):
        app.overrides(['max-rounds=5 on-failur="skip"'])


def test_a_toml_file_and_pairs_in_their_order(app, tmp_path):
    (tmp_path / "c.toml").write_text(
        "project-id = 2024\nanalysis-id = 2026-11-21\nmax-rounds = 4\n"
        '[mine]\nalpha = 2\nnote = "a\\nb"\n'
    )
    found = app.overrides(["max-rounds=3", str(tmp_path / "c.toml"), "mine.alpha=7"])
    assert found == {
        "project-id": "2024",
        "analysis-id": "2026-11-21",
        "max-rounds": 4,
        "mine.alpha": 7.0,
        "mine.note": "a\nb",
    }
    (tmp_path / "c.toml").write_text("project-id = 1.50\n")
    with pytest.raises(ConfigError, match=r"must be a text, not float: put it in quotes"):
        app.overrides([str(tmp_path / "c.toml")])
    (tmp_path / "c.toml").write_text("[mine]\nnote = [1]\n")
    with pytest.raises(
        ConfigError, match=r"`mine.note` in the run config must be a text, not list"
    ):
        app.overrides([str(tmp_path / "c.toml")])
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        app.overrides([str(tmp_path / "none.toml")])


def test_values_of_python_code(app):
    given_config = {
        "project-id": 2024,
        "analysis-id": datetime.date(2026, 11, 21),
        "mine.alpha": np.float64(0.5),
        "mine.note": np.str_("x"),
        "node-timeout": 5,
        "nodes": np.int64(3),
    }
    found = app.checked(given_config)
    assert found == {
        "project-id": "2024",
        "analysis-id": "2026-11-21",
        "mine.alpha": 0.5,
        "mine.note": "x",
        "node-timeout": 5,
        "nodes": 3,
    }
    assert {type(value) for value in found.values()} == {str, float, int}
    for wrong in ({"max-rounds": True}, {"project-id": True}, {"project-id": None}, {"resume": 1}):
        with pytest.raises(ConfigError, match="in the run config must be"):
            app.checked(wrong)


def test_a_fetched_app_is_not_checked():
    app = App.read(Path("@account/app"))
    found = app.overrides(["lr=0.1", "n=3", "ok=true", 'name="2024"', "path=/x"])
    assert found == {"lr": 0.1, "n": 3, "ok": True, "name": "2024", "path": "/x"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "its pyproject.toml is missing"),
        ("", "its pyproject.toml names no clientapp"),
        ("[tool.flwr.app]\npublisher = 'x'", "names no clientapp"),
        ("tool = 3", "names no clientapp"),
        ("[tool.flwr.app.components]\nserverapp = 'a:b'", "names no clientapp"),
        ("[tool", "is no TOML file: "),
    ],
)
def test_a_folder_that_is_no_app(tmp_path, content, words):
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(ConfigError, match=words):
        App.read(tmp_path)


def test_no_folder_and_a_script_in_its_place(tmp_path):
    for folder in (tmp_path / "none", str(tmp_path / "none")):
        with pytest.raises(ConfigError, match="there is no folder"):
            App.read(folder)
    (tmp_path / "study.py").touch()
    with pytest.raises(ConfigError, match=r"is run with `flame-flwr run .*study.py`"):
        App.read(tmp_path / "study.py")
