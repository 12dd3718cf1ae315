"""The node unpacks a message before anything looks at it, and packs the reply last."""

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from flame_flwr.flower import in_process
from flame_flwr.flower_node_state import NodeAnswer, NodeMessage
from flame_flwr.node.packed_messages import unpacking
from flame_flwr.transport.packing import PACKED, SINGLE, pack, packed_as, unpack


def asked(message):
    context = Context(1, 7, {}, RecordDict(), {})
    return NodeMessage(1, message, context, None, None)


@pytest.mark.parametrize("name", [PACKED, SINGLE, None])
def test_only_the_wire_sees_packed_messages(name):
    seen = []

    def answer(each):
        seen.append(dict(each.message.content["config"]))
        return NodeAnswer(
            Message(RecordDict({"answer": ConfigRecord({"n": 1})}), reply_to=sent), None
        )

    with in_process(1, 0):
        sent = Message(RecordDict({"config": ConfigRecord({"round": 3})}), 7, "train")
        reply = unpacking(answer)(asked(pack(sent, name) if name else sent)).reply
    assert seen == [{"round": 3}]
    assert packed_as(reply) == name
    assert unpack(reply).content["answer"]["n"] == 1


def test_a_damaged_message_reaches_its_app():
    """The node goes on, and the app answers what is wrong."""
    with in_process(1, 0):
        content = RecordDict({"flame_flwr.packed": ConfigRecord({"records": b"\xc1"})})
        sent = Message(content, 7, "train")
        reply = unpacking(lambda each: NodeAnswer(each.message, None))(asked(sent)).reply
    assert reply is sent
