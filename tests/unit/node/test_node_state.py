"""What Flower's loop gets from the node's state: one answer per message, however long it takes."""

import time

from flwr.app import ConfigRecord, Context, Message, Metadata, RecordDict
from flwr.supercore.constant import TaskType
from flwr.supercore.corestate import in_memory_corestate
from flwr.supercore.fab import Fab
from flwr.supercore.object_store import ObjectStoreFactory

from flame_flwr.flower import Run
from flame_flwr.flower_node import Answer, _loop, _NodeState, message_of


def asked_once(answer):
    """Give a message to the state as Flower's loop does, and return the replies that it pushes."""
    store = ObjectStoreFactory().store()
    state = _NodeState(store, answer)
    state.set_node_id(2)
    fab = Fab("", b"an app", {})
    run = Run.create_empty(7)
    run.fab_hash = state.store_fab(fab)
    state.store_run(run)
    state.set_run_series_context(
        run.series_id, Context(7, 2, {}, RecordDict(), {}, series_id=run.series_id)
    )
    state.create_task(task_type=TaskType.CLIENT_APP, run_id=7, fab_hash=run.fab_hash)
    metadata = Metadata(7, "", 1, 2, "", "1", time.time(), 60.0, "train")
    message = message_of(metadata, RecordDict({"do": ConfigRecord({"what": "tell"})}))
    _loop._insert_message(message, state, store)
    return state.get_messages_legacy(is_reply=True)


def test_an_analysis_that_takes_long_is_answered_once(monkeypatch):
    monkeypatch.setattr(in_memory_corestate, "HEARTBEAT_DEFAULT_INTERVAL", 0.05)

    def answer(asked):
        time.sleep(0.3)
        return Answer(Message(RecordDict(), reply_to=asked.message), RecordDict())

    [reply] = asked_once(answer)
    assert not reply.has_error()
