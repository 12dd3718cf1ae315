"""Messages that are answered by forked processes; each app tries something."""

import contextlib
import importlib
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Metadata, RecordDict
from flwr.cli.build import build_fab_from_disk

from flame_flwr import flower_node
from flame_flwr.flower import Run
from flame_flwr.flower_node import CRASHED, RAISED, UNLOADED, NodeMessage, message_of
from flame_flwr.node import message_host
from flame_flwr.node.fork_server import PRELOADED
from flame_flwr.node.message_host import MessageHost

PYPROJECT = """
[project]
name = "{name}"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "tests"
[tool.flwr.app.components]
serverapp = "app:nothing"
clientapp = "app:app"
"""

APP = """
import os, random, signal, subprocess, sys, time
import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()
SEEN = []

@app.train()
def train(message, context):
    SEEN.append(1)
    told = {}
    do = message.content["do"]["what"]
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "exit":
        os._exit(3)
    if do == "raise":
        raise KeyError("no such column")
    if do == "leave":
        left = [
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                             start_new_session=apart) for apart in (False, True)
        ]
        told["left"] = [process.pid for process in left]
    if do == "stay":
        left = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                 start_new_session=True).pid, os.getpid()]
        with open(message.content["at"]["file"], "w") as told_here:
            print(*left, file=told_here)
        time.sleep(600)
    if do == "linger":
        import threading
        threading.Thread(target=time.sleep, args=(600,)).start()
    if do == "send":
        return Message(RecordDict({"a": message.content["a"]}), reply_to=message)
    kept = context.state.get("kept", ConfigRecord({"rounds": 0}))
    context.state["kept"] = ConfigRecord({"rounds": kept["rounds"] + 1})
    told |= {
        "pid": os.getpid(), "globals": len(SEEN), "random": random.random(),
        "numpy": float(np.random.random()), "open": sorted(map(int, os.listdir("/proc/self/fd"))),
        "config": context.run_config["x"], "node": context.node_config["name"],
        "session": os.getsid(0), "argv": " ".join(sys.argv),
    }
    return Message(RecordDict({"told": ConfigRecord(told)}), reply_to=message)
"""


@pytest.fixture(scope="module")
def fabs(tmp_path_factory):
    """The archives of a sound app and of one that cannot be imported."""
    made = {}
    for name, code in (("sound", APP), ("broken", "import no_such_module_anywhere")):
        folder = tmp_path_factory.mktemp(name)
        (folder / "app.py").write_text(code)
        (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name))
        (folder / "LICENSE").write_text("of the tests")
        made[name] = build_fab_from_disk(folder)
    return made


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    home = pytest.MonkeyPatch()
    home.setenv("FLWR_HOME", str(tmp_path_factory.mktemp("home")))
    host = MessageHost(["no_such_module_to_preload"])
    yield host
    host.close()
    home.undo()


@pytest.fixture
def ask(host, fabs):
    from flwr.supercore.fab import Fab

    def ask(what, state=None, app="sound", host=host, **records):
        metadata = Metadata(7, "message-1", 1, 2, "", "1", time.time(), 60.0, "train")
        content = RecordDict({"do": ConfigRecord({"what": what}), **records})
        context = Context(
            7, 2, {"name": "a"}, RecordDict() if state is None else state, {"x": 1}, series_id=3
        )
        run = Run.create_empty(7)
        run.fab_id, run.fab_version = f"tests/{app}", "1.0.0"
        import hashlib

        fab = Fab(hashlib.sha256(fabs[app]).hexdigest(), fabs[app], {})
        return host.answer(NodeMessage(5, message_of(metadata, content), context, run, fab))

    return ask


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def test_no_two_messages_share_a_process(ask):
    answers = [ask("tell").reply.content["told"] for _ in range(3)]
    assert {answer["globals"] for answer in answers} == {1}
    for name in ("pid", "random", "numpy"):
        assert len({answer[name] for answer in answers}) == 3


def test_a_process_has_its_message_and_no_more(ask):
    told = ask("tell").reply.content["told"]
    assert told["config"] == 1
    assert told["node"] == "a"
    assert told["session"] == told["pid"]
    # standard input, output and errors, the message's socket, and the listing itself
    assert len(told["open"]) == 5
    assert "token" not in told["argv"]


def test_state_goes_in_and_comes_back(ask):
    state = None
    for number in (1, 2, 3):
        state = ask("tell", state).state
        assert state["kept"]["rounds"] == number


def test_arrays_come_back_bit_by_bit(ask):
    arrays = ArrayRecord([np.random.default_rng(1).normal(size=2_000_000), np.array([np.nan])])
    assert ask("send", a=arrays).reply.content["a"] == arrays


@pytest.mark.parametrize(
    ("what", "why"), [("kill", "ended by SIGKILL"), ("exit", "with exit code 3")]
)
def test_a_death_is_answered_at_once(ask, what, why):
    began = time.monotonic()
    reply, state = ask(what)
    assert time.monotonic() - began < 5
    assert reply.error.code == CRASHED
    assert why in reply.error.reason
    assert state is None


def test_an_exception_is_answered_as_flower_does(ask):
    reply, state = ask("raise")
    assert (reply.error.code, reply.error.reason) == (
        RAISED,
        "<class 'KeyError'>:<''no such column''>",
    )
    assert state is None


def test_an_app_that_cannot_be_imported_says_so(ask):
    error = ask("tell", app="broken").reply.error
    assert error.code == UNLOADED
    assert "no_such_module" not in error.reason
    assert not ask("tell").reply.has_error()


def test_what_an_app_leaves_running_is_ended(ask):
    left = ask("leave").reply.content["told"]["left"]
    deadline = time.monotonic() + 10
    while any(map(is_alive, left)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, left))


def test_a_thread_that_goes_on_holds_nobody_up(ask):
    began = time.monotonic()
    assert not ask("linger").reply.has_error()
    assert time.monotonic() - began < 5


def test_another_fork_server_starts_when_one_has_died(host, ask):
    os.kill(host._server.pid, signal.SIGKILL)
    host._server.wait()
    assert not ask("tell").reply.has_error()


def test_its_processes_end_with_the_node(tmp_path):
    host = MessageHost()
    server = host._server.pid
    host.close()
    assert not is_alive(server)


def test_nothing_of_a_message_outlives_the_node(ask, tmp_path):
    host, file = MessageHost(), tmp_path / "left"
    at = ConfigRecord({"file": str(file)})

    def asks():
        with contextlib.suppress(ValueError):  # its socket is closed below, from another thread
            ask("stay", host=host, at=at)

    asking = threading.Thread(target=asks)
    asking.start()
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [int(pid) for pid in file.read_text().split()]
    host.close()
    asking.join()
    assert not any(map(is_alive, left))


def test_a_node_goes_on_where_no_process_can_be_started(host, ask, monkeypatch):
    def _fork(theirs):
        theirs.close()
        raise EOFError("the fork server has ended")

    with monkeypatch.context() as patch:
        patch.setattr(host, "_fork", _fork)
        reply, state = ask("tell")
    assert reply.error.code == CRASHED
    assert "no process for the message could be started" in reply.error.reason
    assert state is None
    assert not ask("tell").reply.has_error()


@pytest.mark.parametrize("code", [float("inf"), "x", None])
def test_a_code_that_is_none_is_an_answer_that_cannot_be_read(code):
    metadata = Metadata(7, "message-1", 1, 2, "", "1", time.time(), 60.0, "train")
    asked = NodeMessage(5, message_of(metadata, RecordDict()), None, None, None)
    reply, state = message_host._answer(asked, {"error": "x", "code": code}, [])
    assert reply.error.code == CRASHED
    assert state is None


def test_an_event_of_an_earlier_process_is_not_taken_for_this_ones():
    host = object.__new__(MessageHost)
    host._control, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with host._control, server:
        for pid, code in ((1, -9), (2, 0)):
            server.send(json.dumps({"event": "ended", "pid": pid, "code": code}).encode())
        assert host._ended(2) == 0


@pytest.mark.parametrize("name", PRELOADED)
def test_what_is_preloaded_is_there(name):
    importlib.import_module(name)


def test_the_installed_flower_is_known():
    assert flower_node.unknown_parts() == []


def test_a_changed_part_of_flower_is_named(monkeypatch):
    def create_task(self):
        return None

    monkeypatch.setattr(flower_node.InMemoryNodeState, "create_task", create_task)
    [changed] = flower_node.unknown_parts()
    assert changed.endswith("create_task")
