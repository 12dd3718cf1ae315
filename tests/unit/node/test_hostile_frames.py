"""What a message's process may send to its node in place of an answer: none of it ends the node."""

import json
import resource
import struct
import threading
import time
from contextlib import suppress

import msgpack
import pytest

from flame_flwr.flower_node_state import CRASHED, RAISED
from flame_flwr.node import message_host, wire
from flame_flwr.node.forks import End

SENDS = """
import gc, os, socket, struct
[sock] = [each for each in gc.get_objects() if isinstance(each, socket.socket)]
header = {header}
sock.sendall(struct.pack("!II", len(header), 0) + header)
os._exit(0)
"""
DEEP = b"\x91" * 1000 + b"\xc0"


def frame(**header):
    """Return code that sends a header, in which DEEP stands for lists within lists."""
    return SENDS.format(header=repr(msgpack.packb(header).replace(b"\xa4DEEP", DEEP)))


@pytest.mark.parametrize(
    "header",
    [
        {"error": "DEEP"},
        {"records": "DEEP", "state": "DEEP"},
        {"records": [["fitres.metrics", "config", [["x", "DEEP"]]]]},
        {"records": [["fitres.metrics", "DEEP", []]]},
        {"records": [["x", "arrays", [["a", "DEEP", [2**63], "DEEP", 0]]]]},
        {"records": [["x", "arrays", [["a", "f", ["DEEP"], "s", 2**63]]]]},
        {"records": [], "state": [[None, "config", []]]},
        {"ask": "DEEP"},
        {"ask": "read", "opened": "DEEP", "source": 1, "kind": [], "keys": ["DEEP"]},
        {"foreign": False, "loads": "DEEP"},
    ],
    ids=lambda header: json.dumps(header)[:50],
)
def test_no_frame_ends_the_node(obey, header, tmp_path):
    log = tmp_path / "log"
    error = obey(frame(**header), audit_log=str(log))
    assert error.code in (CRASHED, RAISED)
    assert json.loads(log.read_text())["failure"]


def test_a_header_of_many_objects_is_not_built(obey):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    header = "b'\\x81\\xa1x' + 12 * (b'\\xdd' + struct.pack('!I', 10**6) + b'\\x80' * (10**6 - 1))"
    assert "too many records or entries" in obey(SENDS.format(header=header)).reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000


STATE = """
import gc
from flwr.app import ConfigRecord, Context
[context] = [each for each in gc.get_objects() if isinstance(each, Context)]
context.state["kept"] = ConfigRecord({str(n): [] for n in range(1000)})
"""
ASKS = """
from flame_flwr.data import served_data
served_data._ASK[0]({"ask": "read", "opened": "s3", "source": 1, "kind": "s3",
                     "keys": ["../../etc/passwd"]})
"""


@pytest.mark.parametrize(
    ("code", "limit", "why"),
    [
        (STATE, {"_MOST_OBJECTS": 1000}, "has too many records or entries"),
        ("told['x'] = [0]", {"_MOST_HEADER": 10}, "has too many records or entries"),
        ("told['x'] = bytes(10**6)", {"_MOST_PARTS": 0}, "has too many records or entries"),
        (ASKS, {}, "it asked its node for data that it may not have"),
        (ASKS.replace("read", "x"), {}, "it asked its node for data that it may not have"),
        (SENDS.format(header=b"\xc1"), {}, "it sent something that is no answer"),
        (SENDS.format(header=b"\x90"), {}, "it sent something that is no answer"),
    ],
)
def test_what_is_refused_is_told_and_audited(obey, tmp_path, monkeypatch, code, limit, why):
    for name, most in limit.items():
        monkeypatch.setattr(wire, name, most)
    error = obey(code, audit_log=str(tmp_path / "log"), data=str(tmp_path))
    assert error.code == RAISED
    assert error.reason.startswith("node a: the analysis was ended: it")
    assert why in error.reason
    assert error.reason in json.loads((tmp_path / "log").read_text())["failure"]


@pytest.mark.parametrize("limit", [{"_MOST_QUESTIONS": 50}, {"_MOST_ASKED": 1000}])
def test_nobody_asks_without_end(obey, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(message_host, *limit.popitem())
    code = f"""
from flame_flwr.data import served_data
while True:
    served_data._ASK[0]({{"ask": "sources", "opened": "s3"}})
    with open({str(tmp_path / "answers")!r}, "a") as file:
        file.write("x")
"""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    error = obey(code, data=str(tmp_path / "data"))
    assert error.code == RAISED
    assert "asks its node for data more often, or at greater length" in error.reason
    assert 10 < (tmp_path / "answers").stat().st_size <= 50


def test_a_conversation_has_an_end(obey, obeying_host, monkeypatch):
    """Also of a process that nobody ends, and that says a byte at a time."""
    monkeypatch.setattr(message_host, "_END_MARGIN", 0.3)

    def fork(theirs, limits, sandbox, fence):
        def trickle():
            with theirs, suppress(OSError):
                theirs.sendall(struct.pack("!II", 2**20, 0))
                while True:
                    theirs.sendall(b"x")
                    time.sleep(0.05)

        threading.Thread(target=trickle).start()
        return 2**22 + 1

    monkeypatch.setattr(obeying_host._forks, "fork", fork)
    monkeypatch.setattr(obeying_host._forks, "end", lambda pid: End(None))
    began = time.monotonic()
    assert obey("", message_timeout=0.2).code == CRASHED
    assert time.monotonic() - began < 30
