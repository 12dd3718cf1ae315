"""What Flower's loop gets from the node's state: one answer per message, however long it takes."""

import base64
import hashlib
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict
from flwr.supercore.constant import TaskType
from flwr.supercore.corestate import in_memory_corestate
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.primitives.asymmetric_ed25519 import create_message_to_sign

from flame_flwr import flower_node_state
from flame_flwr.flower import Run, message_of
from flame_flwr.flower_node import _loop, _surviving
from flame_flwr.flower_node_state import REFUSED, AnsweringState, NodeAnswer
from flame_flwr.node.gated_answer import through_gate
from flame_flwr.node.kept_states import KeptStates
from flame_flwr.node.packed_messages import unpacking


def asked_once(answer, kind=TaskType.CLIENT_APP, spoil=lambda store: None):
    """Give a message to the state as Flower's loop does, and return the replies that it pushes."""
    store = ObjectStoreFactory().store()
    state = AnsweringState(store, answer, KeptStates(1e9).keep)
    state.set_node_id(2)
    fab = Fab("", b"an app", {})
    run = Run.create_empty(7)
    run.fab_hash = state.store_fab(fab)
    state.store_run(run)
    state.set_run_series_context(
        run.series_id, Context(7, 2, {}, RecordDict(), {}, series_id=run.series_id)
    )
    state.create_task(task_type=kind, run_id=7, fab_hash=run.fab_hash)
    metadata = Metadata(7, "", 1, 2, "", "1", time.time(), 60.0, "train")
    message = message_of(metadata, RecordDict({"do": ConfigRecord({"what": "tell"})}))
    _loop._insert_message(message, state, store)
    spoil(store)
    return state.get_messages_legacy(is_reply=True)


def test_an_analysis_that_takes_long_is_answered_once(monkeypatch):
    monkeypatch.setattr(in_memory_corestate, "HEARTBEAT_DEFAULT_INTERVAL", 0.05)

    def answer(asked):
        time.sleep(0.3)
        return NodeAnswer(Message(RecordDict(), reply_to=asked.message), RecordDict())

    [reply] = asked_once(answer)
    assert not reply.has_error()


def test_state_is_stored_before_the_reply_leaves(server, monkeypatch):
    """The next message may come as soon as the reply has gone: Flower stores it afterwards."""
    happened = []
    insert, keep = _loop._insert_message, server.state._keep
    monkeypatch.setattr(
        _loop, "_insert_message", lambda *parts: (happened.append("reply"), insert(*parts))
    )
    server.state._keep = lambda context: (happened.append(dict(context.state)), keep(context))
    kept = RecordDict({"kept": ConfigRecord({"n": 1})})
    server.state._answer = lambda asked: NodeAnswer(
        Message(RecordDict(), reply_to=asked.message), kept
    )
    _, [reply] = server.send(8, lambda fab_hash, run_id: Fab("", b"announced", {}))
    assert not reply.has_error()
    assert happened[-2:] == [dict(kept), "reply"]


def broken(store):
    """Have every part of a message be what nobody can read."""
    store.get = lambda object_id: b"nothing"


@pytest.mark.parametrize(
    ("kind", "spoil", "why"),
    [
        (TaskType.AGENT_APP, lambda store: None, "and no agents"),
        (TaskType.CLIENT_APP, broken, "the content of the message cannot be read"),
    ],
    ids=["agent", "broken"],
)
def test_what_no_app_may_have_is_noted(tmp_path, kind, spoil, why):
    log = tmp_path / "log"

    def answer(asked):
        asked.context.node_config = {"name": "a", "approval": "none", "audit-log": str(log)}
        return unpacking(lambda asked: through_gate(asked, lambda _: None))(asked)

    [reply] = asked_once(answer, kind, spoil)
    assert reply.error.code == REFUSED
    assert why in reply.error.reason
    assert why in json.loads(log.read_text())["failure"]


def test_unused_states_go_first_but_for_counts():
    """Flower does not say that a run has ended, so the one that was used last stays."""
    state = AnsweringState(ObjectStoreFactory().store(), None, KeptStates(2_500).keep)
    for series in (1, 2, 1, 3):
        counts = ConfigRecord({"answers": "[5]"})
        kept = RecordDict({"flame_flwr.filtered": counts, "kept": ConfigRecord({"a": bytes(800)})})
        state.set_run_series_context(series, Context(7, 2, {}, kept, {}, series_id=series))
    kept = {series: [*state.get_run_series_context(series).state] for series in (1, 2, 3)}
    whole = ["flame_flwr.filtered", "kept"]
    assert kept == {1: whole, 2: whole[:1], 3: whole}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A node's state, and a server whose messages it takes as Flower's loop does."""

    class Server:
        def __init__(self):
            self.store = ObjectStoreFactory().store()
            self.state = AnsweringState(self.store, self.answer, KeptStates(1e9).keep)
            self.state.set_node_id(2)

        def answer(self, asked):
            log = {"audit-log": str(tmp_path / "log")}
            asked.context.node_config = {"name": "a", "approval": "none", **log}
            return through_gate(asked, lambda _: pytest.fail("the app has run"))

        def send(self, run_id, get_fab, get_run=None, trusted=None):
            run = Run.create_empty(run_id)
            run.fab_hash, run.series_id = hashlib.sha256(b"announced").hexdigest(), run_id
            metadata = Metadata(run_id, f"{run_id}", 1, 2, "", "1", time.time(), 60.0, "train")
            message = message_of(metadata, RecordDict({"do": ConfigRecord({})}))
            message.metadata.__dict__["_message_id"] = message.object_id
            objects = {key: each.deflate() for key, each in get_all_nested_objects(message).items()}
            taken = _surviving(_loop._pull_and_store_message)(
                state=self.state,
                object_store=self.store,
                node_config={},
                receive=lambda: (message, get_object_tree(message)),
                get_run=get_run or (lambda run_id: run),
                get_fab=get_fab,
                pull_object=lambda run_id, object_id: objects[object_id],
                confirm_message_received=lambda run_id, message_id: None,
                trusted_entities=trusted,
            )
            return taken, self.state.get_messages_legacy(is_reply=True) if taken else []

    monkeypatch.setattr(_loop, "get_fused_config_from_fab", lambda content, run: {})
    return Server()


@pytest.mark.parametrize("says", ["announced", "sent"])
def test_another_app_than_announced_ends_no_node(server, says):
    """Whatever the archive itself says that it is; the next message is answered the same."""
    fab = Fab(hashlib.sha256(says.encode()).hexdigest(), b"sent", {})
    for _ in range(2):
        taken, [reply] = server.send(8, lambda fab_hash, run_id: fab)
        assert taken == 8
        assert reply.error.code == REFUSED
        assert "the server sent another app than it announced" in reply.error.reason
        server.state.delete_messages(message_ids=[reply.metadata.reply_to_message_id])


KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def signed(content):
    """Return what Flower Hub says of an app that this key has signed."""
    signature = KEY.sign(create_message_to_sign(hashlib.sha256(content).digest(), 1))
    said = {"signed_at": 1, "signature": base64.urlsafe_b64encode(signature).decode()}
    return {"valid_license": "MIT", "one": json.dumps(said)}


@pytest.mark.parametrize(
    ("says", "is_trusted"),
    [
        ({}, False),
        (signed(b"another app"), False),
        ({"valid_license": "MIT", "one": '{"signed_at": 1}'}, False),
        (signed(b"announced"), True),
    ],
    ids=["none", "another app's", "unreadable", "sound"],
)
def test_an_app_without_a_trusted_signature_is_noted(server, tmp_path, says, is_trusted):
    """Also with the next message of its run, for which Flower asks for no signature."""
    fab = Fab(hashlib.sha256(b"announced").hexdigest(), b"announced", says)
    for _ in range(2):
        taken, [reply] = server.send(8, lambda fab_hash, run_id: fab, trusted={"one": PUBLIC})
        assert taken == 8
        assert reply.error.code == REFUSED
        assert ("The FAB could not be verified" in reply.error.reason) != is_trusted
        server.state.delete_messages(message_ids=[reply.metadata.reply_to_message_id])
    lines = [json.loads(line)["failure"] for line in (tmp_path / "log").read_text().splitlines()]
    assert ["could not be verified" in line for line in lines] == [not is_trusted] * 2


def test_a_message_that_fails_is_left_out(server, caplog):
    def broken(*_):
        raise KeyError("no such part")

    fab = Fab("", b"announced", {})
    assert server.send(8, broken) == (None, [])
    assert "cannot be taken: it is left out" in caplog.text
    assert not server.state.msg_store
    assert len(server.send(9, lambda fab_hash, run_id: fab)[1]) == 1


def test_a_broken_connection_ends_the_loop():
    def broken():
        raise ConnectionError("the server has gone")

    with pytest.raises(ConnectionError):
        _surviving(lambda **parts: parts["receive"]())(state=0, object_store=0, receive=broken)


def test_apps_in_memory_have_a_number(server, monkeypatch):
    monkeypatch.setattr(flower_node_state, "_MOST_APPS", 2)
    for run_id in (1, 2, 1, 3):
        run = Run.create_empty(run_id)
        run.fab_hash = server.state.store_fab(Fab("", bytes([run_id]), {}))
        server.state.store_run(run)
    assert [server.state.get_run(run_id) is not None for run_id in (1, 2, 3)] == [True, False, True]
    assert [*server.state.fab_store] == [
        hashlib.sha256(bytes([run_id])).hexdigest() for run_id in (1, 3)
    ]
