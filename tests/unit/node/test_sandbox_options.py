"""What each of bubblewrap's options keeps an analysis from, with nothing else that would do it too.

Landlock, where the kernel has it, stops much of this a second time, so it is off here: a kernel
without it has bubblewrap alone. Each test fails when the option that its docstring names is left
out.
"""

import ctypes
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from flame_flwr.node import message_process
from flame_flwr.node import sandbox as sandbox_module
from flame_flwr.node.forks import ForkError, Forks
from flame_flwr.node.limits import Limits
from flame_flwr.node.message_host import MessageHost
from flame_flwr.node.process_tree import children_of
from flame_flwr.node.sandbox import Sandbox, bubblewrap
from flame_flwr.node.sandbox_namespaces import SandboxError, SandboxNamespaces

pytestmark = pytest.mark.skipif(
    not shutil.which("bwrap"),
    reason="bubblewrap is not installed: `make test-sandbox` installs Debian's, as root",
)

MEMORY_GB = 1


@pytest.fixture(autouse=True)
def no_landlock(monkeypatch):
    monkeypatch.setattr(sandbox_module, "has_fence", lambda: False)


@pytest.fixture
def inside(obey):
    """Have code executed in the sandbox; return what it has put into `told`."""

    def inside(code, **more):
        told = obey(f"import os\n{code}", sandbox="bwrap", memory_gb=MEMORY_GB, **more)
        assert isinstance(told, dict), told
        return told

    return inside


def test_every_namespace_is_its_own(inside):
    """``--unshare-user``, ``-ipc``, ``-pid``, ``-net`` and ``-uts``.

    Nothing can be done through the machine's own host name: it takes a capability to change it.
    But only a namespace that its user owns can be joined by a node that is not root.
    """
    names = ["ipc", "mnt", "net", "pid", "user", "uts"]
    told = inside(f"for name in {names}: told[name] = os.readlink(f'/proc/self/ns/{{name}}')")
    assert [name for name in names if told[name] == os.readlink(f"/proc/self/ns/{name}")] == []


def test_no_socket_outside_is_reached(inside):
    """``--unshare-net``: neither over the network nor by an abstract name."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(name := f"\0flame-flwr-test-{os.getpid()}")
        local.listen()
        told = inside(f"""
import socket
tries = (socket.AF_INET, ("127.0.0.1", {server.getsockname()[1]})), (socket.AF_UNIX, {name!r})
for family, address in tries:
    with socket.socket(family) as tried:
        tried.settimeout(3)
        told[str(address)] = tried.connect_ex(address)
""")
    assert len(told) == 2
    assert 0 not in told.values()


def test_no_shared_memory_outside_is_reached(inside):
    """``--unshare-ipc``: System V's, which has neither a name in a folder nor a descriptor."""
    libc = ctypes.CDLL(None)
    segment = libc.shmget(0, 4096, 0o1666)  # IPC_CREAT: of nobody else's key
    assert segment >= 0
    try:
        told = inside(f"""
import ctypes
told["done"] = ctypes.CDLL(None).shmctl({segment}, 2, ctypes.create_string_buffer(512)) == 0
""")
    finally:
        libc.shmctl(segment, 0, None)
    assert told == {"done": False}


def test_only_what_is_its_own_can_be_written(inside, tmp_path):
    """``--ro-bind`` and ``--remount-ro``, also for a node that is root."""
    for name in ("data", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    told = inside(
        """
places = [line.split()[4] for line in open("/proc/self/mountinfo")]
told["places"] = places
told["writable"] = [each for each in places if not os.statvfs(each).f_flag & os.ST_RDONLY]
""",
        data=str(tmp_path / "data"),
        state_dir=str(tmp_path / "state"),
    )
    writable = {each for each in told["writable"] if not each.startswith(f"{tmp_path}/state/")}
    devices = {each for each in writable if each.startswith("/dev/")}  # a file each, but for these
    assert writable - devices == {"/proc", "/tmp"}
    assert {"/dev/mqueue", "/dev/hugepages"}.isdisjoint(devices)
    assert {"/", "/usr", "/dev", "/proc/sys", str(tmp_path / "data")} <= set(told["places"])


def test_no_device_of_the_machine_is_there(inside):
    """``--dev``: a node that is root could read its disks, past every other wall."""
    told = inside("told['there'] = os.listdir('/dev')")
    ordinary = {"core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin"}
    ordinary |= {"stdout", "tty", "urandom", "zero", "console"}
    others = set(told["there"]) - ordinary
    assert {each for each in others if not each.startswith(("nvidia", "dri", "kfd"))} == set()


def test_temporary_files_have_a_limit(inside):
    """``--size``: they are in memory."""
    told = inside("""
for place in ("/tmp", "/dev/shm"):
    about = os.statvfs(place)
    told[place] = about.f_blocks * about.f_frsize
""")
    assert told.keys() == {"/tmp", "/dev/shm"}
    for size in told.values():
        assert size == pytest.approx(MEMORY_GB * 1e9, abs=2**16)  # in pages


def test_no_process_of_the_nodes_session_is_there(inside):
    """``--new-session``: with such a process, it would have the terminal the node was started at.

    It could then type there, in the name of whoever reads that terminal.
    """
    told = inside("""
for pid in filter(str.isdigit, os.listdir("/proc")):
    told[pid] = os.getsid(int(pid))
""")
    assert {"1", "2"} <= set(told)
    assert 0 not in told.values()  # which is a session outside


def test_bubblewraps_processes_hold_nothing_of_the_node(inside, node_log):
    """They are in there too, and no other option hides them: so they are not given the log."""
    log = node_log.stat()
    told = inside(f"""
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in os.listdir(f"/proc/{{pid}}/fd") if os.access(f"/proc/{{pid}}/fd", os.R_OK) else ():
        try:
            about = os.stat(f"/proc/{{pid}}/fd/{{name}}")
        except OSError:
            continue
        told[f"{{pid}}/{{name}}"] = [about.st_dev, about.st_ino] == [{log.st_dev}, {log.st_ino}]
""")
    assert [name for name, is_log in told.items() if is_log] == []


def test_bubblewraps_words_are_in_the_log(obey, obeying_host, node_log, tmp_path, monkeypatch):
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho 'no namespaces in {tmp_path}' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(obeying_host, "sandbox", Sandbox(obeying_host._forks))
    assert "the node's log" in obey("", sandbox="bwrap").reason
    assert f"\nno namespaces in {tmp_path}\n" in f"\n{node_log.read_text()}"


def in_a_fork_with_a_ticket(code):
    """Run code in a fork that has a key in its session keyring, as a login has; return its exit."""
    call = ctypes.CDLL(None).syscall
    add, keyctl = (248, 250) if os.uname().machine == "x86_64" else (217, 219)
    if not (pid := os.fork()):
        result = 9
        try:
            call(keyctl, 1, None)
            has_one = call(add, b"user", b"ticket", b"secret", 6, -3) >= 0
            result = code(lambda: call(keyctl, 10, -3, b"user", b"ticket", 0)) if has_one else 2
        finally:
            os._exit(result)
    result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if result == 2:
        pytest.skip("this kernel has no keyrings, or lets nobody use them")
    return result


def test_the_session_keyring_is_left(tmp_path):
    """No namespace has session keyrings of its own: a node's may hold its Kerberos tickets."""

    def prepared(find):
        message_process.prepare(2, Limits(memory=2**40, cpu=None, seconds=60), str(tmp_path), 1)
        return int(find() >= 0)

    assert in_a_fork_with_a_ticket(prepared) == 0


def test_bubblewraps_processes_have_another_keyring(tmp_path):
    """An app of an ordinary user can trace `cat`, and have it read what is there."""
    program = tmp_path / "bwrap"
    program.write_text(f"""#!{sys.executable}
import ctypes, os, sys
keyctl = 250 if os.uname().machine == "x86_64" else 219
found = ctypes.CDLL(None).syscall(keyctl, 10, -3, b"user", b"ticket", 0) >= 0
os.write(int(sys.argv[2]), b'{{"child-pid": %d}}' % os.getpid())
print(input("found" if found else ""), flush=True)
""")
    program.chmod(0o755)

    def started(find):
        namespaces = SandboxNamespaces([str(program)])
        has_another = namespaces.is_ready()
        namespaces.end()
        return int(not has_another)

    assert in_a_fork_with_a_ticket(started) == 0


@pytest.mark.parametrize(
    "what", ["data", pytest.param("data/patients.csv", marks=pytest.mark.exhaustive)]
)
def test_replaced_data_is_seen_at_once(inside, tmp_path, what):
    """Also in the sandbox that was made ahead, whose mounts are of what was there then."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "patients.csv").write_text("before")
    read, place = f"told['read'] = open({str(tmp_path / 'data/patients.csv')!r}).read()", tmp_path
    assert inside(read, data=str(place / what)) == {"read": "before"}
    time.sleep(0.5)  # in which the next sandbox is made
    shutil.copytree(place / "data", place / "new")
    (place / "new" / "patients.csv").write_text("after")
    os.rename(place / "data", place / "old")
    os.rename(place / "new", place / "data")
    assert inside(read, data=str(place / what)) == {"read": "after"}


def test_a_replaced_secret_stays_masked(inside, obeying_host, tmp_path, monkeypatch):
    """A mask lies over a file, and not over its name: so it goes with the file that was there."""
    secret, new = tmp_path / "node.key", tmp_path / "new"
    monkeypatch.setattr(obeying_host.sandbox, "_secrets", (secret,))
    read = f"""
try:
    told["read"] = open({str(secret)!r}).read()
except OSError:
    told["read"] = ""
"""
    for content in ("before", "after"):
        new.write_text(content)
        os.replace(new, secret)
        assert inside(read, data=str(tmp_path)) == {"read": ""}
        time.sleep(0.5)  # in which the next sandbox is made


def test_a_sandbox_without_a_handle_is_none(monkeypatch):
    """The fork server makes one ahead, and must not end where it cannot: messages run in it."""
    monkeypatch.setattr(os, "pidfd_open", lambda pid: os.open("/none", os.O_RDONLY))
    with pytest.raises(SandboxError, match="bubblewrap cannot be started: No such file"):
        SandboxNamespaces(bubblewrap(memory=2**28))


def test_an_old_number_ends_no_process(monkeypatch):
    """An app can end the sandbox itself, and the kernel gives its processes' numbers anew."""
    namespaces = SandboxNamespaces(bubblewrap(memory=2**28))
    try:
        assert namespaces.is_ready()
    finally:
        os.kill(namespaces.pid, signal.SIGKILL)
        os.waitpid(namespaces.pid, 0)
        killed = []
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", lambda *asked: killed.append(asked))
            namespaces.end()
    assert killed == []


def test_nothing_outlives_a_killed_fork_server(obey, restarted):
    """``--die-with-parent``: an app can stop the program that keeps the sandbox, so it never ends.

    It would see by itself that the fork server has ended, as its input has.
    """
    marker = f"left-by-{os.getpid()}-{time.monotonic_ns()}"
    with restarted():
        host = MessageHost()
    code = f"""
import os, signal, subprocess, sys, time
for pid in filter(str.isdigit, os.listdir("/proc")):
    if open(f"/proc/{{pid}}/comm").read() == "cat\\n":
        os.kill(int(pid), signal.SIGSTOP)
subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(60)", {marker!r}], start_new_session=True
)
time.sleep(60)
"""
    asking = threading.Thread(target=obey, args=(code, host), kwargs={"sandbox": "bwrap"})
    asking.start()
    try:
        assert _appears(marker, expected=True)
        host._forks._server.kill()
        asking.join(20)
        assert _appears(marker, expected=False)
    finally:
        host.close()


def _appears(marker, *, expected):
    """Wait until there is a process with a word in its command, or none; return whether so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        commands = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(path.read_bytes())
            except OSError:
                continue
        if any(marker.encode() in command.split(b"\0") for command in commands) == expected:
            return True
        time.sleep(0.05)
    return False


def test_what_cannot_be_started_leaves_nothing(tmp_path, monkeypatch):
    """As where a folder that the message may write to is gone: neither sandbox nor folder stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    forks = Forks()
    limits = Limits(memory=2**30, cpu=None, seconds=60, kept={str(tmp_path / "no/such/folder"): 1})
    ours, theirs = socket.socketpair()
    try:
        with ours, pytest.raises(ForkError, match="No such file"):
            forks.fork(theirs, limits, bubblewrap(memory=2**28))
        assert os.listdir(tmp_path) == []
        deadline = time.monotonic() + 20
        while children_of(forks._server.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert children_of(forks._server.pid) == []
    finally:
        forks.close()
