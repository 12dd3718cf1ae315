"""Messages that are answered by forked processes; each app tries something."""

import contextlib
import importlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from flame_flwr import flower_node_state
from flame_flwr.failure.failure import Failure
from flame_flwr.flower_fingerprints import unknown_parts
from flame_flwr.flower_node_state import CRASHED, RAISED, UNLOADED
from flame_flwr.node.fork_server import PRELOADED
from flame_flwr.node.forks import ForkError, Forks
from flame_flwr.node.message_host import MessageHost
from flame_flwr.payload import decode, from_record

APP = """
import os, random, signal, subprocess, sys, time
import numpy as np
from flwr.app import ConfigRecord
from flame_flwr.clients import NodePlan, StarClient, make_client_app
from flame_flwr.star import StarAnalyzer

SEEN = []
LOADED = time.monotonic_ns()


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, asked):
        SEEN.append(1)
        do = asked["do"]
        if do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if do == "exit":
            os._exit(3)
        if do == "interrupt":
            raise KeyboardInterrupt
        if do == "signal":
            signal.raise_signal(signal.SIGINT)
        if do == "raise":
            raise KeyError("no such column")
        if do == "stay":
            left = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                     start_new_session=True).pid, os.getpid()]
            with open(asked["file"], "w") as told_here:
                print(*left, file=told_here)
            time.sleep(600)
        if do == "linger":
            import threading
            threading.Thread(target=time.sleep, args=(600,)).start()
        if do == "send":
            return asked["arrays"]
        return {
            "loaded": LOADED, "globals": len(SEEN), "random": random.random(),
            "numpy": float(np.random.random()),
        }


class Client(StarClient):
    def fit(self, parameters, config):
        context = self.context
        assert (context.run_config["mine.x"], context.node_config["name"]) == (1, "a")
        kept = context.state.get("kept", ConfigRecord({"rounds": 0}))
        context.state["kept"] = ConfigRecord({"rounds": kept["rounds"] + 1})
        return super().fit(parameters, config)


app = make_client_app(NodePlan(Analyzer), Client)
"""


@pytest.fixture(scope="module")
def fabs(fab_of):
    """The archives of a sound app and of one that cannot be imported."""
    code = {"sound": APP, "broken": "import no_such_module_anywhere"}
    code |= {"interrupting": "raise KeyboardInterrupt", "exiting": "raise SystemExit"}
    return {name: fab_of(name, code[name]) for name in code}


@pytest.fixture
def ask(host, fabs, node_message):
    def ask(what, state=None, app="sound", host=host, log="", **more):
        node = {"audit-log": log} if log else {}
        asked = node_message(app, fabs[app], {"do": what, **more}, state, node=node)
        return host.answer(asked)

    return ask


def told(answer):
    """Return what the analysis has returned."""
    return decode(from_record(answer.reply.content["fitres.parameters"]))


def failure(answer):
    return Failure.from_json(answer.reply.content["fitres.metrics"]["failure"])


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def test_no_two_messages_share_a_process(ask):
    answers = [told(ask("tell")) for _ in range(3)]
    assert {answer["globals"] for answer in answers} == {1}
    for name in ("loaded", "random", "numpy"):
        assert len({answer[name] for answer in answers}) == 3


def test_state_goes_in_and_comes_back(ask):
    state = None
    for number in (1, 2, 3):
        state = ask("tell", state).state
        assert state["kept"]["rounds"] == number


def test_arrays_come_back_bit_by_bit(ask):
    arrays = [np.random.default_rng(1).normal(size=2_000_000), np.array([np.nan])]
    sent = told(ask("send", arrays=arrays))
    assert [array.tobytes() for array in sent] == [array.tobytes() for array in arrays]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("kill", "ended by SIGKILL"),
        ("crash", "ended by SIGSEGV"),
        ("exit", "with exit code 3"),
    ],
)
def test_a_death_is_answered_at_once(ask, what, why):
    began = time.monotonic()
    reply, state, *_ = ask(what)
    assert time.monotonic() - began < 30
    assert reply.error.code == CRASHED
    assert why in reply.error.reason
    assert state is None


def test_an_exception_is_answered_without_its_text(ask):
    failed = failure(ask("raise"))
    assert failed.type == "KeyError"
    assert failed.place.endswith(" in analysis_method")
    assert failed.text == ""


def test_an_interrupt_is_answered(ask):
    failed = failure(ask("interrupt"))
    assert failed.type == "KeyboardInterrupt"
    assert failed.place.endswith(" in analysis_method")
    assert ask("signal").reply.error.code == RAISED


@pytest.mark.parametrize("app", ["broken", "interrupting", "exiting"])
def test_an_app_that_cannot_be_imported_says_so(ask, app):
    error = ask("tell", app=app).reply.error
    assert error.code == UNLOADED
    assert "no_such_module" not in error.reason
    assert not ask("tell").reply.has_error()


@pytest.mark.parametrize(
    ("what", "app", "why"),
    [
        ("kill", "sound", f"{CRASHED}: the process of the message was ended by SIGKILL"),
        ("tell", "broken", f"{UNLOADED}: An exception was raised when attempting to load"),
    ],
)
def test_flowers_own_answers_are_noted(ask, tmp_path, what, app, why):
    log = tmp_path / "audit.jsonl"
    reply = ask(what, app=app, log=str(log)).reply
    line = json.loads(log.read_text())
    assert line["failure"].startswith(why)
    assert line["failure"] == f"{reply.error.code}: {reply.error.reason}"
    assert re.fullmatch(rf"tests\.{app}\.1\.0\.0\.[0-9a-f]{{8}}", line["app"])
    assert "cannot be written" in ask(what, app=app, log=f"{log}/log").reply.error.reason


def test_a_thread_that_goes_on_holds_nobody_up(ask):
    began = time.monotonic()
    assert not ask("linger").reply.has_error()
    assert time.monotonic() - began < 30


def test_nothing_of_a_message_outlives_the_node(ask, tmp_path):
    host, file = MessageHost(), tmp_path / "left"
    server = host._forks._server.pid

    def asks():
        with contextlib.suppress(ValueError):  # its socket is closed below, from another thread
            ask("stay", host=host, file=str(file))

    asking = threading.Thread(target=asks)
    asking.start()
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [int(pid) for pid in file.read_text().split()]
    host.close()
    asking.join()
    assert not any(map(is_alive, [server, *left]))


def test_a_node_outlives_failed_process_starts(host, ask, monkeypatch):
    def _fork(theirs, limits, sandbox, fence):
        theirs.close()
        raise ForkError("the fork server has ended")

    with monkeypatch.context() as patch:
        patch.setattr(host._forks, "fork", _fork)
        reply, state, *_ = ask("tell")
    assert reply.error.code == CRASHED
    assert "no process for the message could be started" in reply.error.reason
    assert state is None
    assert not ask("tell").reply.has_error()


def test_an_earlier_processs_event_is_not_mistaken():
    forks = object.__new__(Forks)
    forks._control, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with forks._control, server:
        for pid, code in ((1, -9), (2, 0)):
            server.send(
                json.dumps({"event": "ended", "pid": pid, "code": code, "limit": ""}).encode()
            )
        assert forks.end(2) == (0, "")


@pytest.mark.parametrize("name", PRELOADED)
def test_what_is_preloaded_is_there(name):
    importlib.import_module(name)


def test_a_fork_holds_nothing_of_the_node():
    """Flower's SuperNode brings SQLAlchemy, 30 MB that no message needs."""
    code = f"import sys, {', '.join(PRELOADED)}, flame_flwr.node.fork_server; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert {"flwr.cli.install", "numpy"} <= {*loaded.stdout.split()}
    assert not {
        "sqlalchemy",
        "flame_flwr.flower_node",
        "flame_flwr.flower_node_state",
        "pandas",
    } & {*loaded.stdout.split()}


def test_the_installed_flower_is_known():
    assert unknown_parts() == []


def test_a_changed_part_of_flower_is_named(monkeypatch):
    def create_task(self):
        return None

    monkeypatch.setattr(flower_node_state.InMemoryNodeState, "create_task", create_task)
    [changed] = unknown_parts()
    assert changed.endswith("create_task")
