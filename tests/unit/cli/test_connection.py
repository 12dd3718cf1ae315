"""Which SuperLink a connection leads to, and waiting until it answers."""

import ssl
import time
from datetime import UTC, datetime

import pytest
from health_server import HealthServer
from ports import free_port

from flame_flwr.cli.connection import Connection, SubmitError
from flame_flwr.deploy import keys
from flame_flwr.errors import ConfigError


@pytest.fixture
def home(tmp_path):
    (tmp_path / "config.toml").write_text(
        '[superlink]\ndefault = "hospitals"\n'
        '[superlink.hospitals]\naddress = "127.0.0.1:8000"\ninsecure = true\n'
        '[superlink.safe]\naddress = "flower.example.org:8000"\nroot-certificates = "/ca.pem"\n'
        '[superlink.here]\naddress = ":local:"\n'
    )
    return {"FLWR_HOME": str(tmp_path)}


def test_a_connection_is_found_by_its_name(home):
    assert Connection.read("hospitals", home) == Connection(
        "hospitals", "127.0.0.1:8000", insecure=True
    )
    assert Connection.read("safe", home) == Connection("safe", "flower.example.org:8000", "/ca.pem")


def test_flowers_own_superlinks_are_not_waited_for(home, tmp_path):
    for name, environment in (
        ("here", home),
        ("local", {"FLWR_HOME": str(tmp_path / "none")}),  # Flower writes it on its first run
    ):
        connection = Connection.read(name, environment)
        assert connection.address == ""
        connection.wait(0, pytest.fail)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hospitls", "did you mean 'hospitals'?"),
        ("default", "it has hospitals, safe, here. A connection is a table there"),
        ("xyzzy", '[superlink.xyzzy], with address = "HOST:PORT"'),
    ],
)
def test_a_name_that_there_is_none_of(home, name, words):
    with pytest.raises(ConfigError, match=f"there is no connection '{name}' in ") as raised:
        Connection.read(name, home)
    assert words in str(raised.value)


def test_a_missing_or_broken_config_file(tmp_path):
    home = {"FLWR_HOME": str(tmp_path)}
    with pytest.raises(ConfigError, match=r"config\.toml; it has none\. A connection is a table"):
        Connection.read("hospitals", home)
    (tmp_path / "config.toml").write_text("[superlink\n")
    with pytest.raises(ConfigError, match=r"config\.toml is no TOML file: .*line 1"):
        Connection.read("hospitals", home)
    (tmp_path / "config.toml").write_text("[superlink]\nx = 3\n")
    assert Connection.read("old", home, {"old": {"address": "x"}}) == Connection("old")


def test_a_late_superlink_is_waited_for():
    server, said = HealthServer(), []

    def say(line):
        said.append(line)
        if len(said) == 1:
            server.start()

    connection = Connection("hospitals", f"127.0.0.1:{server.port}", insecure=True)
    connection.wait(120, say)
    assert said == [
        f"waiting up to 120 s for the SuperLink 127.0.0.1:{server.port}: Connection refused",
        f"the SuperLink 127.0.0.1:{server.port} answers",
    ]
    connection.wait(0, pytest.fail)  # it answers at once: no word
    server.stop()


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_the_wait_ends_with_address_and_reason(seconds):
    port, said = free_port(), []
    began = time.monotonic()
    with pytest.raises(SubmitError) as raised:
        Connection("hospitals", f"127.0.0.1:{port}", insecure=True).wait(seconds, said.append)
    assert seconds <= time.monotonic() - began < 30
    for words in (f"the SuperLink 127.0.0.1:{port}", "Connection refused", "--wait"):
        assert words in str(raised.value)
    assert len(said) == bool(seconds)


@pytest.fixture
def tls(tmp_path):
    now = datetime.now(UTC)
    ca = keys.authority("x", now)
    key, certificate = keys.server_pair(keys.load_authority(ca, "x"), ["127.0.0.1"], now, 10)
    for name, content in {"ca.pem": ca[1], "key": key, "pem": certificate}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "other.pem").write_bytes(keys.authority("other", now)[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem", tmp_path / "key")
    return tmp_path, context


def test_tls_trusted_and_not(tls):
    folder, context = tls
    with HealthServer(context=context) as port:
        address = f"127.0.0.1:{port}"
        Connection("safe", address, str(folder / "ca.pem")).wait(5, pytest.fail)
        for certificates in (str(folder / "other.pem"), ""):
            with pytest.raises(SubmitError, match="a certificate that is not trusted here"):
                Connection("safe", address, certificates).wait(30, pytest.fail)
    with pytest.raises(ConfigError, match=r"names no file with certificates: .*none\.pem"):
        Connection("safe", address, str(folder / "none.pem")).wait(30, pytest.fail)


def test_tls_asked_of_a_superlink_without(tls):
    folder, _ = tls
    with HealthServer() as port, pytest.raises(SubmitError, match="answers without TLS"):
        Connection("safe", f"127.0.0.1:{port}", str(folder / "ca.pem")).wait(30, pytest.fail)


def test_an_address_that_can_be_none():
    with pytest.raises(ConfigError, match="is no address of a SuperLink"):
        Connection("x", "127.0.0.1:port", insecure=True).wait(30, pytest.fail)
