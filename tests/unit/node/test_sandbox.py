"""What an analysis that means harm can do with and without the sandbox: real processes try.

Each attempt sets `told["done"]` where it has succeeded. Those of the first table work without a
sandbox, by the rights that the node's user has, and are why there is one.
"""

import ctypes
import os
import shutil
import socket
from textwrap import indent

import pytest

from flame_flwr.config import NodeSettings
from flame_flwr.data.kept_files import LOCAL_STORAGE, FolderFiles, analysis_files
from flame_flwr.node.linux import _landlock_version as landlock_version
from flame_flwr.node.linux import has_fence
from flame_flwr.privacy.ledger import Ledger

pytestmark = pytest.mark.skipif(
    not shutil.which("bwrap"),
    reason="bubblewrap is not installed: `make test-sandbox` installs Debian's, as root",
)

SECRET = "a line that must not leave"

ATTEMPTS = {
    "read the node's key": "told['done'] = SECRET in open(NODE + '/node.key').read()",
    "read the audit log": "told['done'] = SECRET in open(NODE + '/data/audit.jsonl').read()",
    "write the audit log": "told['done'] = open(NODE + '/data/audit.jsonl', 'a').write('x')",
    "read the hospital's identity": "told['done'] = SECRET in open(NODE + '/data/own.key').read()",
    "read a session's key": "told['done'] = SECRET in open(NODE + '/state/secure-sums/a').read()",
    "read a pending app": "told['done'] = SECRET in open(NODE + '/state/gate/pending/app').read()",
    "read the ledger": "told['done'] = 'accounts' in open(NODE + '/state/gate/ledger.json').read()",
    "read another project's data": "told['done'] = SECRET in open(OTHER).read()",
    "find other projects": "told['done'] = 'another-project' in os.listdir(OTHERS)",
    "write into the data": "told['done'] = open(NODE + '/data/patients.csv', 'a').write('x')",
    "see the node": "told['done'] = os.path.exists(f'/proc/{SERVER}')",
    "signal the node": "os.kill(SERVER, 0); told['done'] = True",
    "open a connection": (
        "import socket\n"
        "socket.create_connection(('127.0.0.1', PORT), timeout=3).close(); told['done'] = True"
    ),
    "reach a local socket": (
        "import socket\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(NODE + '/service'); told['done'] = True"
    ),
    "reach an abstract socket": (
        "import socket\n"
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + NODE); told['done'] = True"
    ),
    "reach shared memory": (
        "import ctypes\n"
        "about = ctypes.create_string_buffer(512)\n"
        "told['done'] = ctypes.CDLL(None).shmctl(SEGMENT, 2, about) == 0"
    ),
    "change an app's code": "told['done'] = open(NODE + '/apps/app.py', 'a').write('x')",
    "replace the data": "os.rename(NODE + '/data', NODE + '/old'); told['done'] = True",
}


@pytest.fixture
def node(tmp_path):
    """A node's folder, with what its analyses may and may not see."""
    folder = tmp_path / "hospital-a"
    for name in ("apps", "data", "state/gate/pending", "state/secure-sums"):
        (folder / name).mkdir(parents=True, mode=0o700)
    os.chmod(folder / "state" / "gate", 0o700)
    (folder / "state" / "gate" / "ledger.json").write_text(Ledger().text())
    os.chmod(folder / "state" / "gate" / "ledger.json", 0o600)
    (folder / "data" / "patients.csv").write_text("age\n71\n")
    for name in ("node.key", "data/own.key", "data/audit.jsonl", "state/gate/pending/app"):
        (folder / name).write_text(SECRET)
    (folder / "state" / "secure-sums" / "a").write_text(SECRET)
    (folder / "apps" / "app.py").touch()
    other = FolderFiles(folder / "state", LOCAL_STORAGE, "another-project", "a")
    other.make()
    other.write("a.value", [SECRET.encode()])
    return folder


@pytest.fixture
def attempt(obey, obeying_host, node, monkeypatch):
    """Have code executed that knows where everything is; return whether it got what it wanted."""
    config = {"data": str(node / "data"), "state_dir": str(node / "state")}
    config |= {"identity_key": str(node / "data" / "own.key")}
    monkeypatch.setattr(obeying_host.sandbox, "_secrets", (node / "data" / "audit.jsonl",))

    def attempt(code, sandbox="bwrap", **known):
        known |= {
            "NODE": str(node),
            "SECRET": SECRET,
            "OTHERS": str(node / "state/local-storage"),
            "OTHER": str(node / "state/local-storage/another-project/a/a.value"),
            "SERVER": obeying_host._forks._server.pid,
        }
        first = "import os\n" + "".join(f"{name} = {value!r}\n" for name, value in known.items())
        tried = "\n".join(["try:", *("    " + line for line in code.split("\n"))])
        failed = "except OSError as error:\n    told['why'] = str(error)\n"
        return obey(f"{first}{tried}\n{failed}", sandbox=sandbox, **config)

    return attempt


@pytest.fixture
def done(attempt, node):
    """Try everything in a sandbox of a kind, in one process; return what was done."""

    def done(sandbox):
        code = "\n".join(
            f"told['done'] = None\ntry:\n{indent(each, '    ')}\nexcept OSError as error:\n"
            f"    told['why'] = str(error)\nif told['done']:\n    every.append({what!r})"
            for what, each in ATTEMPTS.items()
        )
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.socket(socket.AF_UNIX) as local,
            socket.socket(socket.AF_UNIX) as abstract,
        ):
            for each, address in ((local, f"{node}/service"), (abstract, f"\0{node}")):
                each.bind(address)
                each.listen()
            port, libc = server.getsockname()[1], ctypes.CDLL(None)
            segment = libc.shmget(0, 4096, 0o1666)  # System V's
            try:
                known = {"PORT": port, "SEGMENT": segment}
                return attempt(f"every = told['every'] = []\n{code}", sandbox, **known)["every"]
            finally:
                libc.shmctl(segment, 0, None)

    return done


def test_the_sandbox_prevents_it(done, sandbox):
    assert done(sandbox) == ([*ATTEMPTS] if sandbox == "off" else [])


THROUGH_LANDLOCK = {
    "read the audit log",  # which lies in the folder with the data here
    "read the hospital's identity",  # as does this
    "see the node",
    "reach a local socket",
    "reach shared memory",
}
"""A fence around what is there, and no other view of it."""


@pytest.mark.skipif(not has_fence(), reason="this kernel has no Landlock")
def test_landlock_prevents_most_of_it(done, obeying_host, monkeypatch):
    """On a machine without bubblewrap, with a node config that does not say."""
    monkeypatch.setattr(obeying_host.sandbox, "_trouble", "there is no bubblewrap")
    from_linux_6_12 = {"reach an abstract socket", "signal the node"}
    passed = set(done("auto")) - (from_linux_6_12 if landlock_version() < 6 else set())
    assert passed == THROUGH_LANDLOCK


@pytest.mark.skipif(not has_fence(), reason="this kernel has no Landlock")
def test_landlock_leaves_what_an_analysis_needs(attempt, obeying_host, monkeypatch):
    monkeypatch.setattr(obeying_host.sandbox, "_trouble", "there is no bubblewrap")
    said = obeying_host.sandbox.announce(NodeSettings())
    assert said == "analyses run behind Landlock, without a sandbox: there is no bubblewrap"
    told = attempt(NEEDS, "auto")
    assert told["data"] == "age\n71\n"
    assert told["other"] == "1\n"
    assert told["pool"] == [1, 4]
    assert told["done"], told
    kept = "open(NODE + '/state/local-storage/long-covid/a/kept', 'w').write('mine')"
    assert attempt(f"told['done'] = {kept}", "auto")["done"] == 4
    refused = "told['done'] = open(NODE + '/state/gate/approved.toml', 'w').write('x')"
    assert "Permission denied" in attempt(refused, "auto")["why"]


def test_links_to_data_show_no_secrets(obey, node):
    (node / "linked").symlink_to(node / "data")
    code = f"""
try:
    told["seen"] = open("{node}/linked/audit.jsonl").read()
except OSError:
    told["seen"] = ""
"""
    log = str(node / "data" / "audit.jsonl")
    told = obey(code, data=str(node / "linked"), audit_log=log, sandbox="bwrap")
    assert told == {"seen": ""}


HIDDEN = (
    *("node.key", "datasets.toml", "fhir.token", "rules", "cache/found"),
    *("audit.jsonl", "audit.jsonl.chain", "audit.jsonl.1", "audit.jsonl-20261129.gz"),
)


@pytest.mark.parametrize("project", ["long-covid", "sepsis"])
def test_no_project_sees_what_is_the_nodes(obey, obeying_host, node, monkeypatch, project):
    """Wherever the hospital has it: here all of it lies in the data's own folder."""
    data = node / "data"
    (data / "cache").mkdir(mode=0o700)
    for name in HIDDEN:
        (data / name).write_text(SECRET)
    (data / "rules").write_text(f"MinCount(5)  # {SECRET}")
    (data / "datasets.toml").write_text(f"""
[[dataset]]
name = "{SECRET}"
type = "s3"
url = "{data}"
projects = ["long-covid"]
[[dataset]]
name = "there"
type = "fhir"
url = "fhir+https://fhir.hospital.example/fhir"
projects = ["sepsis"]
token = {{ file = "{data}/fhir.token" }}
""")
    (data / "datasets.toml").chmod(0o600)
    monkeypatch.setattr(obeying_host.sandbox, "_secrets", (data / "node.key",))
    code = f"""
import os
for name in {HIDDEN!r} + ("patients.csv",):
    try:
        told[name] = {SECRET!r} in open("{data}/" + name, errors="replace").read()
    except OSError:
        told[name] = None
"""
    told = obey(
        code,
        project=project,
        sandbox="bwrap",
        datasets=str(data / "datasets.toml"),
        disclosure=str(data / "rules"),
        cache_dir=str(data / "cache"),
        audit_log=str(data / "audit.jsonl"),
    )
    assert told.pop("patients.csv") is (False if project == "long-covid" else None)
    assert set(told.values()) <= {False, None}


NEEDS = (
    "import multiprocessing, subprocess, sys, tempfile\n"
    "told['data'] = open(NODE + '/data/patients.csv').read()\n"
    "told['other'] = subprocess.check_output([sys.executable, '-c',\n"
    "    'import numpy, flame_flwr.star, flame_flwr.clients; print(1)'], text=True)\n"
    "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
    "    told['pool'] = pool.map(abs, [1, -4])\n"
    "with tempfile.NamedTemporaryFile() as file: file.write(b'x')\n"
    "open(os.devnull, 'w').close()\n"
    "told['done'] = True\n"
)


def test_it_sees_what_it_needs(attempt, node):
    code = NEEDS + (
        "told['pids'] = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())\n"
        "told['cores'] = os.cpu_count()\n"
        "told['user'] = os.getuid()\n"
        "told['home'] = os.path.expanduser('~')\n"
        "told['capable'] = open('/proc/self/status').read().partition('CapEff:')[2].split()[0]\n"
    )
    told = attempt(code)
    assert isinstance(told, dict), told
    assert told.pop("done"), told
    assert told["data"] == "age\n71\n"
    assert told["other"] == "1\n"
    assert len(told["pids"]) < 6
    assert told["cores"] == os.cpu_count()
    assert told["user"] == os.getuid()
    assert int(told["capable"], 16) == 0


def test_what_a_project_keeps_stays(attempt, node):
    value = f"{1:020d}_01234567-89ab-cdef-0123-456789abcdef_.value"
    mine = FolderFiles(node / "state", LOCAL_STORAGE, "long-covid", "a").folder / value
    here = analysis_files(node / "state", "0" * 32, "long-covid", "a").folder
    for place in (str(mine), str(here / "after-00000000.state")):
        assert attempt(f"told['done'] = open({place!r}, 'w').write('mine')")["done"] == 4
        assert attempt(f"told['done'] = open({place!r}).read()")["done"] == "mine"
    assert mine.read_text() == "mine"


def test_temporary_files_are_gone_with_the_next_message(attempt):
    attempt("open('/tmp/left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')")
    told = attempt("told['left'] = [*os.listdir('/dev/shm'), *os.listdir('/tmp')]")
    assert "left" not in told["left"]


def test_what_is_written_elsewhere_stays_nowhere(attempt, node):
    assert attempt("told['done'] = open(NODE + '/state/left', 'w').write('x')") == {"done": 1}
    assert not (node / "state/left").exists()
    told = attempt("told['done'] = open('/left', 'w').write('x')")
    assert "Read-only" in told["why"]


def test_no_new_namespaces_can_be_made(attempt):
    told = attempt("import ctypes; told['done'] = ctypes.CDLL(None).unshare(0x10000000) == 0")
    assert told == {"done": False}


def test_what_is_mounted_stays_as_it_is(attempt):
    writable = "ctypes.CDLL(None).mount(None, NODE.encode() + b'/data', None, 0x1020, None)"
    told = attempt(f"import ctypes; told['done'] = {writable} == 0")
    assert told == {"done": False}


def test_hello_is_answered_beside_an_audit_log(obeying_host, obeying_fab, node, node_message):
    """The log is the node's to write; in the sandbox it cannot be."""
    config = {
        "sandbox": "bwrap",
        "data": str(node / "data"),
        "state-dir": str(node / "state"),
        "audit-log": str(node / "data" / "log.jsonl"),
    }
    asked = node_message(
        "obeying", obeying_fab, None, kind="get_properties", node=config, session="0" * 32
    )
    said = obeying_host.answer(asked).reply.content["getpropertiesres.properties"]
    assert "failure" not in said, said
    assert said["keeps-state"]
    assert len((node / "data" / "log.jsonl").read_text().splitlines()) == 1
