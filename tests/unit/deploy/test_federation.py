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


def test_the_examples_comments_are_the_defaults(tmp_path):
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
        "approval": "required",
        "pickle": "never",
        "sandbox": "bwrap",
        "identity-key": "/var/lib/flame-flwr/hospital-a/identity.key",
        "peers": "/var/lib/flame-flwr/hospital-a/peers.toml",
    }


@pytest.mark.parametrize(
    ("host", "listen"),
    [
        ("localhost", "127.0.0.1"),
        ("trial.localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("127.8.9.10", "127.8.9.10"),
        ("::1", "::1"),
    ],
)
def test_a_trial_on_one_machine_approves_all(tmp_path, host, listen):
    """And its server listens where its nodes connect to."""
    federation = read(tmp_path, SMALL.replace("flower.example.org", host))
    assert federation.hospitals[0].node_config["approval"] == "none"
    assert federation.server.listen == listen
    address = federation.server.address
    assert address.startswith(host if "localhost" in host else federation.server.local_address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "192.0.2.2"])
def test_what_others_reach_needs_approval(tmp_path, host, listen):
    line = f'host = "{host}"\nlisten = "{listen}"'
    federation = read(tmp_path, SMALL.replace('host = "flower.example.org"', line))
    assert federation.hospitals[0].node_config["approval"] == "required"
    assert federation.server.listen == listen


def test_an_address_of_version_6_stands_in_brackets(tmp_path):
    server = read(tmp_path, SMALL.replace("flower.example.org", "2001:db8::7")).server
    assert server.address == "[2001:db8::7]:8000"


def test_local_programs_connect_to_the_listen_address(tmp_path):
    def local(listen):
        line = f'host = "flower.example.org"\nlisten = "{listen}"'
        return read(tmp_path, SMALL.replace('host = "flower.example.org"', line)).server

    assert local("0.0.0.0").local_address == "127.0.0.1:8000"
    assert local("::").local_address == "[::1]:8000"
    assert local("10.0.0.7").local_address == "10.0.0.7:8000"
    assert "10.0.0.7" in local("10.0.0.7").names


HOST, TOP, SERVER = 'host = "flower.example.org"', 'name = "trial"', "[server]"
NO_NAME = r"`{}` in \[server\] must be a name such as"
NO_HOSTS = ["https://flower.example.org", "flower.example.org:8000", "*.example.org", "", "a b"]
NO_HOSTS += ["-a.org", "10.0.0.256", "flower..org", "a" * 64]
NO_FILES = ["", "..", "a/b", "a b", "-rf", "köln", "x.", "a\\nb", "a" * 64]
WRONG = [
    (TOP, "", "`name` is missing at the top"),
    (TOP, 'name == "trial"', "is no TOML file"),
    (TOP, f"{TOP}\ndays = 0", "`days` must be from 1 to 3650, not 0"),
    (TOP, f"{TOP}\ndays = true", "`days` at the top must be a whole number, not bool"),
    (TOP, f'{TOP}\nuser = "root; rm"', "`user` must be the name of a Linux user"),
    (TOP, f'{TOP}\nvenv = "opt"', "`venv` at the top must be an absolute path, not 'opt'"),
    (TOP, f'{TOP}\nvenv = "/a\\nb"', "`venv` at the top must have no line break"),
    *(
        (TOP, f'name = "{name}"', "no dot and not be one of Flower's own")
        for name in ("local", "a.b")
    ),
    (SERVER, "[servr]", "unknown key `servr` at the top; did you mean `server`?"),
    (SERVER, '[server]\nlisten = "eth0"', r"`listen` in \[server\] must be an IP address"),
    *((SERVER, f"[server]\nport = {port}", "from 1 to 65535") for port in (0, 65536, -1)),
    *(
        (SERVER, f"[server]\nnames = {names}", NO_NAME.format("names"))
        for names in ("[3]", '["x:1"]')
    ),
    (HOST, "", r"`host` is missing in \[server\]"),
    (HOST, 'host = "0.0.0.0"', "is what others connect to, so it cannot be"),
    *((HOST, f'host = "{host}"', NO_NAME.format("host")) for host in NO_HOSTS),
    ('name = "hospital-a"', 'nam = "a"', "unknown key `nam` in hospital 1; did you mean `name`?"),
    *(("hospital-a", name, "`name` in hospital 1") for name in NO_FILES),
    *(
        ("hospital-a", name, "cannot be called")
        for name in ("ca", "Analyst", "README.md", "aggregator")
    ),
    ('"/srv/a"', "7", "`data` in hospital 1 must be a text, not int"),
    ('"/srv/a"', '"/srv/a"\nport = 0', "`port` in hospital 'hospital-a' must be from 1"),
    ('"/srv/a"', '"/srv/a"\npartition-id = 0', "partition-id"),
    ('"/srv/a"', '"/srv/a"\nstate-dir = "relative"', "state-dir"),
    ('"/srv/a"', '"/srv/a"\n[[hospitals]]\nname = "Hospital-A"', "two hospitals are called 'Hosp"),
    (SMALL.partition(SERVER)[2], "", r"`hospitals` is missing"),
    (SMALL, "server = 3\nhospitals = []\n" + TOP, "`server` at the top must be a table, not int"),
    (SMALL, f"hospitals = []\n{SMALL.partition('[[')[0]}", "at least one"),
    (SMALL, f"hospitals = [3]\n{SMALL.partition('[[')[0]}", "must be tables"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_wrong_file_is_refused(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, SMALL.replace(old, new, 1))
    assert "federation.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_federation(tmp_path / "no.toml")


def test_disclosure_rules_are_checked_at_provisioning(tmp_path):
    rules = "MinCount(5), NoisyMinMax(secret='long')"
    for good in (rules, "/etc/flame-flwr/rules.txt"):
        [hospital] = read(tmp_path, f'{SMALL}disclosure = "{good}"\n').hospitals
        assert hospital.node_config["disclosure"] == good
    with pytest.raises(ConfigError, match=r"'hospital-a': `disclosure` in the node .* reads"):
        read(tmp_path, f'{SMALL}disclosure = "MinCount"\n')


def test_filters_are_checked_before_writing(tmp_path):
    hospital = read(tmp_path, f'{SMALL}filters = "Clip(1.0)"\n').hospitals[0]
    assert hospital.node_config["filters"] == "Clip(1.0)"
    with pytest.raises(ConfigError, match=r"in hospital 'hospital-a': `filters` in .* Clip\(1.0"):
        read(tmp_path, f'{SMALL}filters = "Klip(1.0)"\n')
