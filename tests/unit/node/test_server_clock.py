"""The node's clock against the server's: what is said of it, and what the node does about it."""

import os
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path

import pytest
from flwr.proto.fleet_pb2 import ActivateNodeResponse, DeactivateNodeResponse, PullMessagesResponse
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatResponse
from flwr.supernode.fleet_http_connection import http_request_response
from ports import free_port

from flame_flwr import flower_node
from flame_flwr.flower_node import ServerReply
from flame_flwr.node import server_clock
from flame_flwr.node.server_clock import ServerClock

NOW = 1_764_000_000.0


def reply(ahead, status=200, date=None):
    """An answer of a server whose clock says `NOW`, to a node whose clock is ahead."""
    date = formatdate(NOW, usegmt=True) if date is None else date
    return ServerReply(status, date, NOW + 0.5 + ahead, NOW + 0.5 + ahead)


@pytest.mark.parametrize(
    ("ahead", "passes", "words"),
    [
        (0.0, False, ""),
        (3.0, False, ""),
        (5.0, True, "clock is 5 s ahead of the server's, so the server refuses this node"),
        (600.0, True, "clock is 600 s ahead of the server's"),
        (-200.0, False, ""),
        (-3600.0, True, "clock is 3600 s behind the server's"),
    ],
)
def test_a_refusal_for_the_clock_is_told_apart(caplog, ahead, passes, words):
    clock = ServerClock()
    assert clock.note_reply(reply(ahead, 401)) is passes
    assert clock.is_unknown is not passes
    assert clock.difference == pytest.approx(ahead)
    assert words in caplog.text
    assert ("timedatectl" in caplog.text) == bool(words)


@pytest.mark.parametrize(("ahead", "is_said"), [(1.5, False), (4.0, True), (-200.0, True)])
def test_a_difference_is_said_before_it_hurts(caplog, ahead, is_said):
    clock = ServerClock()
    for _ in range(5):
        assert not clock.note_reply(reply(ahead))
    assert len(caplog.messages) == is_said
    assert clock.last_contact == NOW + 0.5 + ahead


def test_it_is_said_again_every_minute(caplog, monkeypatch):
    clock, seconds = ServerClock(), iter(range(0, 10_000, 25))
    monkeypatch.setattr(server_clock.time, "monotonic", lambda: next(seconds))
    for _ in range(7):  # 150 seconds
        clock.note_reply(reply(600, 401))
    assert len(caplog.messages) == 3
    caplog.set_level("INFO")
    clock.note_reply(reply(0))
    assert "the clocks agree again" in caplog.messages[-1]


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Nov 2026 99:00:00 GMT", "\0" * 9, "1 2 3"])
def test_a_server_without_a_date_is_no_clock(date):
    clock = ServerClock()
    assert clock.note_reply(reply(600, 401, date)) is False
    assert (clock.difference, clock.is_unknown) == (None, True)


class FleetServer(BaseHTTPRequestHandler):
    """What a node asks of a SuperLink, answered as `will_say` has it: status, and seconds ahead."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        known = {
            "activate-node": ActivateNodeResponse(node_id=7),
            "send-node-heartbeat": SendNodeHeartbeatResponse(success=True),
            "pull-messages": PullMessagesResponse(),
        }
        kind = self.path.rsplit("/", 1)[-1]
        status, ahead = next(self.server.will_say, (200, 0.0))
        body = known.get(kind, DeactivateNodeResponse()).SerializeToString()
        self.send_response_only(status)
        self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
        self.send_header("Content-Type", "application/protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), FleetServer)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_node_comes_back_when_clocks_agree(monkeypatch, server):
    """Flower's own connection, and a server that refuses it: without this it ends the process."""
    clock = ServerClock()
    patient = flower_node._patient(clock.note_reply)
    monkeypatch.setattr(flower_node.NodeAuthHttpInterceptor, "intercept", patient)
    server.will_say = iter([(401, -600.0), (401, 3600.0)])
    address = f"127.0.0.1:{server.server_port}"
    with http_request_response(address, insecure=True) as made:
        node_id, receive, *_ = made
        assert (node_id, receive()) == (7, None)
    assert abs(clock.difference) < 2
    assert not clock.is_unknown


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the server does not know this node's key (any more)"),
        (500, "The connection to the SuperLink broke off."),
    ],
)
def test_a_node_that_is_refused_for_good_ends(server, tmp_path, status, words):
    """A real node; Flower's own ends with 0, or stays. ``test_provision.py`` has one of these."""
    server.will_say = chain([(200, 0.0)] * 6, repeat((status, 0.0)))
    program = Path(sys.executable).with_name("flame-flwr")
    done = subprocess.run(
        [
            *(program, "node", "start", "--insecure", "--superlink"),
            *(f"127.0.0.1:{server.server_port}", "--port", str(free_port())),
            *("--node-config", 'approval="none" sandbox="off"'),
        ],
        env={**os.environ, "FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert words in said
    assert done.returncode == 1, said
