"""Files that people write, as every editor writes them: read, or refused in words."""

import codecs
import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_flwr.app_folder import App
from flame_flwr.cli.connection import Connection
from flame_flwr.data.credentials import resolve
from flame_flwr.data.registry import read_registry
from flame_flwr.deploy import keys
from flame_flwr.deploy.federation_file import read_federation
from flame_flwr.errors import ConfigError
from flame_flwr.privacy.config_text import read_filters, read_rules
from flame_flwr.s3.access import read_certificates
from flame_flwr.text.textfiles import (
    decode_text,
    flat,
    has_mark,
    read_text,
    read_toml,
    toml_key,
    toml_value,
)

FEDERATION = """name = "trial"  # für alle
[server]
host = "flower.example.org"
[[hospitals]]
name = "a"
data = "/srv/ä"
"""
REGISTRY = """[[dataset]]
name = "ä"
type = "s3"
url = "/srv"
projects = ["*"]
"""
APP = """[tool.flwr.app.components]
serverapp = "a:b"
clientapp = "a:c"
[tool.flwr.app.config]
project-id = "p"
"""


def overrides(path):
    path.with_name("pyproject.toml").write_text(APP)
    return App.read(path.parent).overrides([str(path)])


def public_key(path):
    return keys.check_public_key(path.read_bytes(), "node.pub").split()[0]


READERS = {
    "federation.toml": (
        FEDERATION,
        lambda path: read_federation(path).hospitals[0].node_config["data"],
        "/srv/ä",
    ),
    "datasets.toml": (REGISTRY, lambda path: [each.name for each in read_registry(path)], ["ä"]),
    "rules.txt": (
        "# größer\nMinCount(7),\nMaxBins(9)\n",
        lambda path: repr(read_rules(str(path), "x")),
        repr(read_rules("MinCount(7), MaxBins(9)", "x")),
    ),
    "filters.txt": (
        "# größer\nClip(1.5)\n",
        lambda path: repr(read_filters(str(path), "x")),
        repr(read_filters("Clip(1.5)", "x")),
    ),
    "token.secret": ("hünter2\n", lambda path: resolve({"file": str(path)}, "x"), "hünter2"),
    "run.toml": ('project-id = "ä"\n', overrides, {"project-id": "ä"}),
    "node.pub": (keys.node_pair("ä")[1].decode(), public_key, b"ecdsa-sha2-nistp384"),
}
WAYS = {
    "plain": lambda text: text.encode(),
    "with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "with Windows' line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "with both": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
    "without an end of its last line": lambda text: text.rstrip("\n").encode(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", READERS)
def test_every_file_is_read_as_editors_write_it(tmp_path, name, way):
    text, read, expected = READERS[name]
    (tmp_path / name).write_bytes(WAYS[way](text))
    assert read(tmp_path / name) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("name", READERS)
def test_every_other_encoding_is_refused(tmp_path, name, encoding):
    text, read, _ = READERS[name]
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(ConfigError) as raised:
        read(tmp_path / name)
    said = str(raised.value)
    assert "save it as UTF-8" in said
    if encoding == "latin-1":
        line = next(n for n, row in enumerate(text.split("\n"), 1) if not row.isascii())
        assert f"line {line} is not UTF-8" in said
    else:
        assert "UTF-16" in said
    assert "hünter2" not in said
    if name not in (
        "federation.toml",
        "run.toml",
        "node.pub",
    ):  # a node's: the message may leave it
        assert str(tmp_path) not in raised.value.message


@pytest.mark.parametrize("name", ["federation.toml", "datasets.toml", "run.toml"])
def test_broken_toml_is_refused_with_its_line(tmp_path, name):
    text, read, _ = READERS[name]
    (tmp_path / name).write_bytes(codecs.BOM_UTF8 + f"{text}x == 3\n".encode())
    with pytest.raises(ConfigError) as raised:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)
    assert f"line {text.count(chr(10)) + 1}" in str(raised.value)


def test_a_secret_is_sent_without_a_mark(tmp_path):
    (tmp_path / "token").write_bytes(codecs.BOM_UTF8 + b"hunter2\r\n")
    assert resolve({"file": str(tmp_path / "token")}, "x") == "hunter2"


def test_certificates_with_a_mark(tmp_path):
    certificate = keys.authority("x", datetime.now(UTC))[1]
    (tmp_path / "ca.pem").write_bytes(codecs.BOM_UTF8 + certificate)
    assert read_certificates(str(tmp_path / "ca.pem"), "x") == certificate


@pytest.mark.parametrize("file", ["pyproject.toml", "config.toml"])
def test_a_mark_that_flower_refuses_is_named(tmp_path, file):
    text = APP + "[superlink.there]\naddress = '127.0.0.1:1'\ninsecure = true\n"
    readers = {
        "pyproject.toml": lambda: App.read(tmp_path),
        "config.toml": lambda: Connection.read("there", {"FLWR_HOME": str(tmp_path)}),
    }
    (tmp_path / file).write_bytes(text.replace("\n", "\r\n").encode())
    readers[file]()
    (tmp_path / file).write_bytes(codecs.BOM_UTF8 + text.encode())
    assert has_mark(tmp_path / file)
    with pytest.raises(ConfigError, match="begins with a byte order mark") as raised:
        readers[file]()
    assert str(tmp_path / file) in str(raised.value)
    with pytest.raises(tomllib.TOMLDecodeError):  # what Flower would have met
        tomllib.loads((tmp_path / file).read_text("utf-8"))


def test_line_ends_become_one_kind(tmp_path):
    (tmp_path / "a").write_bytes(b"a\r\nb\rc\n")
    assert read_text(tmp_path / "a") == "a\nb\nc\n"
    (tmp_path / "a").write_bytes(b"a = 1\r\n[b]\r\nc = '''x\r\ny'''\r\n")
    assert flat(read_toml(tmp_path / "a")) == {"a": 1, "b.c": "x\ny"}


@given(st.text())
def test_a_text_survives_toml(text):
    assert tomllib.loads(f"{toml_key('a')} = {toml_value(text)}") == {"a": text}
    assert tomllib.loads(f"{toml_value(text)} = 1") == {text: 1}


@given(st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False))
def test_a_number_survives_toml_with_its_type(value):
    found = tomllib.loads(f"a = {toml_value(value)}")["a"]
    assert (type(found), found) == (type(value), value)


def test_half_an_emoji_is_refused():
    with pytest.raises(ConfigError, match="no Unicode character"):
        toml_value("\ud83d")


@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_refused(content):
    try:
        content.decode("utf-8-sig")
        fine = b"\0" not in content
    except UnicodeDecodeError:
        fine = False
    if fine:
        assert "\r" not in decode_text(content)
        return
    with pytest.raises(ValueError, match=r"save it as UTF-8$") as raised:
        decode_text(content)
    assert not isinstance(raised.value, UnicodeError)
