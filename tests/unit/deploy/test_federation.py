"""FEDERATION.toml: what is taken, and what is refused with which words."""

import re

import pytest

from flame_flwr.deploy import federation_file
from flame_flwr.deploy.federation_file import EXAMPLE, read_federation
from flame_flwr.errors import ConfigError

SMALL = """
name = "trial"
[server]
host = "flower.example.org"
[[hospitals]]
name = "hospital-a"
data = "/srv/a"
"""


def read(tmp_path, text):
    path = tmp_path / "federation.toml"
    path.write_text(text)
    return read_federation(path)


def test_the_example_is_a_good_file_and_its_comments_are_the_defaults(tmp_path):
    plain = read(tmp_path, EXAMPLE)
    lines = []
    for line in EXAMPLE.splitlines():
        commented = line.startswith("# ") and " = " in line and "public-key" not in line
        lines.append(line.removeprefix("# ") if commented else line)
    assert read(tmp_path, "\n".join(lines)) == plain
    assert [hospital.name for hospital in plain.hospitals] == ["hospital-a", "hospital-b"]


def test_the_example_has_every_key():
    tables = (federation_file._TOP, federation_file._SERVER, federation_file._HOSPITAL)
    for key in (key for table in tables for key in table):
        assert re.search(rf"^(# )?{key} = |^\[+{key}\]", EXAMPLE, re.M), key


def test_what_is_not_said_has_a_default(tmp_path):
    small = read(tmp_path, SMALL)
    server, [hospital] = small.server, small.hospitals
    assert server.address == "flower.example.org:8000"
    assert server.names == ("flower.example.org", "localhost", "127.0.0.1", "::1")
    assert hospital.node_config == {
        "data": "/srv/a",
        "state-dir": "/var/lib/flame-flwr/hospital-a/state",
        "audit-log": "/var/lib/flame-flwr/hospital-a/audit.jsonl",
        "disclosure": "MinCount(5), MaxBins(50), MaxRows(200)",
    }


def test_an_address_of_version_6_stands_in_brackets(tmp_path):
    server = read(tmp_path, SMALL.replace("flower.example.org", "2001:db8::7")).server
    assert server.address == "[2001:db8::7]:8000"


def test_programs_on_the_servers_host_connect_to_what_it_listens_on(tmp_path):
    def local(listen):
        line = f'host = "flower.example.org"\nlisten = "{listen}"'
        return read(tmp_path, SMALL.replace('host = "flower.example.org"', line)).server

    assert local("0.0.0.0").local_address == "127.0.0.1:8000"
    assert local("::").local_address == "[::1]:8000"
    assert local("10.0.0.7").local_address == "10.0.0.7:8000"
    assert "10.0.0.7" in local("10.0.0.7").names


WRONG = {
    'name = "trial"\n': ("", "`name` is missing at the top"),
    "[server]\n": ("[servr]\n", "unknown key `servr` at the top; did you mean `server`?"),
    'host = "flower.example.org"': ("", r"`host` is missing in \[server\]"),
    'name = "hospital-a"': ('nam = "a"', "unknown key `nam` in hospital 1; did you mean `name`?"),
    '"/srv/a"': ("7", "in hospital 'hospital-a': `data` in the node config must be str, not int"),
    "name = ": ("name == ", "is no TOML file"),
}


@pytest.mark.parametrize("old", WRONG)
def test_a_wrong_file_is_refused(tmp_path, old):
    new, message = WRONG[old]
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, SMALL.replace(old, new, 1))
    assert "federation.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("days = 0", "`days` must be from 1 to 3650, not 0"),
        ("days = true", "`days` at the top must be a whole number, not True"),
        ('user = "root; rm"', "`user` must be the name of a Linux user"),
        ('venv = "opt"', "`venv` at the top must be an absolute path, not 'opt'"),
        ('venv = "/a\\nb"', "`venv` at the top must have no line break"),
        ("server = 3", "`server` at the top must be a table, not 3"),
    ],
)
def test_a_wrong_value_at_the_top_is_refused(tmp_path, line, message):
    text = (
        SMALL.replace('[server]\nhost = "flower.example.org"\n', "") if "server" in line else SMALL
    )
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, f"{line}\n{text}")


@pytest.mark.parametrize(
    "host",
    [
        "https://flower.example.org",
        "flower.example.org:8000",
        "*.example.org",
        "",
        "a b",
        "-a.org",
        "10.0.0.256",
        "flower..org",
        "a" * 64,
    ],
)
def test_a_wrong_host_is_refused(tmp_path, host):
    with pytest.raises(ConfigError, match=r"`host` in \[server\] must be a name such as"):
        read(tmp_path, SMALL.replace("flower.example.org", host))


def test_the_address_of_no_host_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is what others connect to, so it cannot be"):
        read(tmp_path, SMALL.replace("flower.example.org", "0.0.0.0"))


@pytest.mark.parametrize("names", ["[3]", "[true]", '["a b"]', '["x:1"]'])
def test_a_wrong_further_name_is_refused(tmp_path, names):
    with pytest.raises(ConfigError, match=r"`names` in \[server\] must be a name such as"):
        read(tmp_path, SMALL.replace("[server]", f"[server]\nnames = {names}"))


def test_a_listen_address_is_an_address(tmp_path):
    with pytest.raises(ConfigError, match=r"`listen` in \[server\] must be an IP address"):
        read(tmp_path, SMALL.replace("[server]", '[server]\nlisten = "eth0"'))


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_port_out_of_range_is_refused(tmp_path, port):
    with pytest.raises(ConfigError, match=r"`port` in \[server\] must be from 1 to 65535"):
        read(tmp_path, SMALL.replace("[server]", f"[server]\nport = {port}"))
    with pytest.raises(ConfigError, match="`port` in hospital 'hospital-a' must be from 1"):
        read(tmp_path, f"{SMALL}port = {port}\n")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "-rf", "köln", "x.", "a\\nb", "a" * 64])
def test_a_hospitals_name_becomes_a_files_name(tmp_path, name):
    with pytest.raises(ConfigError, match="`name` in hospital 1"):
        read(tmp_path, SMALL.replace("hospital-a", name))


@pytest.mark.parametrize("name", ["ca", "server", "Analyst", "README.md", "aggregator"])
def test_a_hospital_cannot_be_called_as_another_party(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be called"):
        read(tmp_path, SMALL.replace("hospital-a", name))


@pytest.mark.parametrize("name", ["local", "a.b", "default", "supergrid"])
def test_the_federations_name_becomes_a_connections_name(tmp_path, name):
    with pytest.raises(ConfigError, match="no dot and not be one of Flower's own"):
        read(tmp_path, SMALL.replace("trial", name))


def test_two_hospitals_of_one_name_are_refused_whatever_the_case(tmp_path):
    with pytest.raises(ConfigError, match="two hospitals are called 'Hospital-A'"):
        read(tmp_path, SMALL + '[[hospitals]]\nname = "Hospital-A"\n')


def test_there_must_be_a_hospital(tmp_path):
    text = SMALL.partition("[[")[0]
    with pytest.raises(ConfigError, match="`hospitals` is missing at the top"):
        read(tmp_path, text)
    with pytest.raises(ConfigError, match="at least one"):
        read(tmp_path, "hospitals = []\n" + text)
    with pytest.raises(ConfigError, match="must be tables"):
        read(tmp_path, "hospitals = [3]\n" + text)


@pytest.mark.parametrize("line", ["partition-id = 0", 'state-dir = "relative"'])
def test_node_config_is_checked_as_the_node_does(tmp_path, line):
    with pytest.raises(ConfigError, match=line.partition(" ")[0]):
        read(tmp_path, SMALL + line)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_federation(tmp_path / "no.toml")


def test_disclosure_rules_are_read_before_they_reach_a_hospital(tmp_path):
    rules = "MinCount(5), NoisyMinMax(secret='long')"
    for good in (rules, "/etc/flame-flwr/rules.txt"):
        [hospital] = read(tmp_path, f'{SMALL}disclosure = "{good}"\n').hospitals
        assert hospital.node_config["disclosure"] == good
    with pytest.raises(ConfigError, match=r"'hospital-a': `disclosure` in the node .* reads"):
        read(tmp_path, f'{SMALL}disclosure = "MinCount"\n')


def test_a_hospitals_filters_are_checked_before_anything_is_written(tmp_path):
    hospital = read(tmp_path, f'{SMALL}filters = "Clip(1.0)"\n').hospitals[0]
    assert hospital.node_config["filters"] == "Clip(1.0)"
    with pytest.raises(ConfigError, match=r"in hospital 'hospital-a': `filters` in .* Clip\(1.0"):
        read(tmp_path, f'{SMALL}filters = "Klip(1.0)"\n')
