"""Makes a `flame-flwr node start` one of a hospital that has been taken over.

Python imports it by itself where its folder is in ``PYTHONPATH``. What leaves the node's gate is
changed then, as the JSON file says that ``DEEDS`` names, by kind of message or number of a round:
what its records say, how many bytes of noise the result is, and how many seconds its upload rests
once it has begun.
"""

import json
import os
import time
from pathlib import Path

DELAY = [0.0]


def hostile(asked, answered):
    """Return what leaves in place of an answer."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, Message

    deeds = json.loads(Path(os.environ["DEEDS"]).read_text())
    message, content = asked.message, answered.reply.content
    kind = message.metadata.message_type
    if kind == "train":
        kind = str(message.content["fitins.config"]["round"])
    deed = deeds.get(kind, {})
    for record, said in deed.get("says", {}).items():
        said |= {key: said[key].encode() for key in {"failure"} & said.keys()}
        content[record] = ConfigRecord({**content[record], **said})
    if "noise" in deed:
        noise = os.urandom(deed["noise"])
        content["fitres.parameters"] = ArrayRecord({"0": Array("", (), "numpy.ndarray", noise)})
    DELAY[0] = deed.get("slow", 0.0)
    return answered._replace(reply=Message(content, reply_to=message))


def take_over():
    """Have the node hand over each answer once more before it is packed, and before it is sent."""
    from flwr.supernode import start_client_internal as loop

    from flame_flwr.node import packed_messages

    honest, push = packed_messages.unpacking, loop.push_object_contents_from_iterable

    def unpacking(answer):
        return honest(lambda asked: hostile(asked, answer(asked)))

    def slow(contents, *arguments, **options):
        def one_by_one():
            for number, each in enumerate(contents):
                if number == 1:
                    time.sleep(DELAY[0])
                yield each

        push(one_by_one(), *arguments, **options)

    packed_messages.unpacking = unpacking
    loop.push_object_contents_from_iterable = slow


if "DEEDS" in os.environ:
    take_over()
