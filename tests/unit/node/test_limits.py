"""What an analysis may use of a node's processors and memory, in the sandbox and without it."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flame_flwr.config import NodeSettings
from flame_flwr.flower_node_state import CRASHED, RAISED
from flame_flwr.node import limits
from flame_flwr.node.limits import Limits
from flame_flwr.node.output_limit import Allowance, MessageOutput

STAY = """
import os, tempfile, time
mark = os.path.join(tempfile.gettempdir(), "there")
for apart in (False, True):
    if not os.fork():
        if apart:
            os.setsid()
        if not os.fork():
            open("/proc/self/comm", "w").write("NAME")
            kept = b"x" * 100_000_000
            print("one", file=open(mark, "a"))
            time.sleep(600)
        os._exit(0)
while not os.path.exists(mark) or open(mark).read().count("one") < 2:
    time.sleep(0.02)
"""


def running(name):
    """Return the processes that call themselves so."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if Path(f"/proc/{pid}/comm").read_text().strip() == name and state != "Z":
                found.append(pid)
    return found


def ends(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not condition()


@pytest.mark.parametrize(
    ("code", "config", "key"),
    [
        ("import time; time.sleep(600)", {"message_timeout": 1.0}, "message-timeout"),
        (
            "import signal, time\n"
            "for number in set(range(1, 32)) - {9, 19}: signal.signal(number, signal.SIG_IGN)\n"
            "time.sleep(600)",
            {"message_timeout": 1.0},
            "message-timeout",
        ),
        ("while True: pass", {"cpu_minutes": 0.01}, "cpu-minutes"),
        (
            "import os, time\n"
            "for _ in range(4):\n"
            "    if not os.fork(): kept = b'x' * 200_000_000; time.sleep(600)\n"
            "time.sleep(600)",
            {"memory_gb": 0.6},
            "memory-gb",
        ),
    ],
    ids=["hangs", "ignores signals", "burns time", "memory in children"],
)
def test_a_limit_ends_it_and_is_named(obey, sandbox, code, config, key):
    error = obey(code, sandbox=sandbox, **config)
    assert error.code == RAISED
    assert error.reason.startswith("node a: the analysis ")
    assert key in error.reason
    assert obey("told['on'] = 1", sandbox=sandbox) == {"on": 1}


def test_processes_have_a_limit(obey, sandbox, monkeypatch):
    limited = Limits.of(NodeSettings())
    monkeypatch.setattr(Limits, "of", lambda _: replace(limited, processes=12))
    error = obey("import os, time\nwhile True: os.fork() or time.sleep(600)", sandbox=sandbox)
    assert "has started more processes" in error.reason
    monkeypatch.undo()
    assert obey("told['on'] = 1", sandbox=sandbox) == {"on": 1}


def test_one_process_gets_no_more_memory(obey, sandbox):
    code = "kept = []\nwhile True: kept.append(bytearray(b'x') * 50_000_000)"
    error = obey(code, sandbox=sandbox, memory_gb=0.3)
    assert "MemoryError" in str(error) or "memory-gb" in error.reason


def test_descriptors_have_a_limit(obey, sandbox):
    told = obey(
        "kept = []\n"
        "try:\n"
        "    while True: kept.append(open('/dev/null'))\n"
        "except OSError as error: told['open'] = len(kept); told['why'] = error.errno\n"
        "kept.clear()\n",
        sandbox=sandbox,
    )
    assert 1000 < told["open"] <= 4096
    assert told["why"] == 24


def test_it_can_gain_no_privileges(obey, sandbox):
    told = obey("told['said'] = open('/proc/self/status').read()", sandbox=sandbox)
    assert "NoNewPrivs:\t1" in told["said"]


def test_no_secret_is_in_its_environment(obey, obeying_host, no_forks, restarted, monkeypatch):
    monkeypatch.setenv("STUDY_PASSWORD", "tell nobody")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    obeying_host._forks.close()
    with restarted():
        obeying_host._forks._start()
    told = obey(
        "import os\n"
        "told['first'] = open('/proc/self/environ').read(); told['now'] = repr(dict(os.environ))\n"
        "told['arguments'] = open('/proc/self/cmdline').read()\n"
        "told['open'] = sorted(map(int, os.listdir('/proc/self/fd')))\n"
        "told['leads its session'] = os.getsid(0) == os.getpid()"
    )
    assert told["leads its session"]
    assert len(told["open"]) == 5  # standard ones, the message's socket, the listing itself
    assert "OMP_NUM_THREADS=3" in told["first"]
    for where in ("first", "now", "arguments"):
        assert "PASSWORD" not in told[where]
        assert "token" not in told[where].lower()


def test_what_forks_and_stays_is_ended(obey, sandbox):
    name = f"stays-{os.getpid()}"
    assert obey(STAY.replace("NAME", name), sandbox=sandbox) == {}
    assert ends(lambda: running(name))


def test_a_printed_flood_does_not_fill_the_log(obey, node_log):
    code = (
        "import sys\n"
        "print('first words')\n"
        "for _ in range(1000): sys.stdout.write('x' * 99_999 + '\\n')\n"
        "print('\\x1b[31mlast\\x07 words')"
    )
    before = node_log.stat().st_size
    assert obey(code, sandbox="off") == {}
    assert ends(lambda: "last? words" not in node_log.read_text()[before:])
    log = node_log.read_text()[before:]
    assert len(log) < 2_000_000
    assert "| first words\n" in log
    assert "bytes of it are left out, before its end" in log


def test_processes_end_with_the_fork_server(obey, obeying_host, restarted, sandbox):
    name, answers = f"waits-{os.getpid()}", []
    code = f"import time; open('/proc/self/comm', 'w').write('{name}'); time.sleep(600)"
    asking = threading.Thread(target=lambda: answers.append(obey(code, sandbox=sandbox)))
    asking.start()
    assert ends(lambda: not running(name), 30)
    os.kill(obeying_host._forks._server.pid, signal.SIGKILL)
    asking.join(20)
    assert answers[0].code == CRASHED
    assert ends(lambda: running(name))
    with restarted():
        assert obey("told['on'] = 1", sandbox=sandbox) == {"on": 1}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_another_user_reads_no_memory(obey, obeying_host, sandbox):
    name = f"secret-{os.getpid()}"
    code = f"import time; open('/proc/self/comm', 'w').write('{name}'); time.sleep(3)"
    asking = threading.Thread(target=obey, args=(code,), kwargs={"sandbox": sandbox})
    asking.start()
    assert ends(lambda: not running(name), 30)
    for pid in (running(name)[0], obeying_host._forks._server.pid):
        done = subprocess.run(
            ["/bin/cat", f"/proc/{pid}/mem"], user=65534, group=65534, capture_output=True
        )
        assert b"Permission denied" in done.stderr
    asking.join()


def test_lines_of_an_analysis_look_like_no_other(tmp_path):
    read, write = os.pipe()
    with (tmp_path / "log").open("wb") as log:
        output = MessageOutput(read, Allowance(), log.fileno())
        for part in (b"half a ", b"line\nWARNING: forged\r", b"no end"):
            os.write(write, part)
            output.read()
        os.close(write)
        output.close()
    assert (tmp_path / "log").read_text() == "| half a line\n| WARNING: forged\n| no end\n"


def test_a_service_has_the_memory_of_its_group(monkeypatch, tmp_path):
    group = tmp_path / "a" / "b"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (tmp_path / "a" / "memory.max").write_text("1000000000\n")
    (tmp_path / "cgroup").write_text("1:name=x:/\n0::/a/b\n")
    monkeypatch.setattr(limits, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "_CGROUPS", tmp_path)
    assert Limits.of(NodeSettings()).memory == 800_000_000
