"""Flower's messages to nodes, as tests of the node's side write and read them."""

import json

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

from flame_flwr.clients.reply_gate import ReplyGate
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import HELLO, in_process, set_message_id
from flame_flwr.payload import decode, encode, from_arrays, from_record, to_arrays, to_record

EVERYONE = json.dumps(["node-0", "node-1"])
"""The ids of all nodes, as a node's first message of a run has them."""


def fit(client, number, aggregate=None, **config):
    """Have a client run a round; return the value and the metrics."""
    arrays, examples, metrics = client.fit(
        to_arrays(encode(aggregate)), _config(number, {"analyzers": EVERYONE, **config})
    )
    assert examples == 1
    return decode(from_arrays(arrays)), metrics


def gated_fit(client, number, aggregate=None, **config):
    """Have a client run a round; return the value and the metrics as they leave the node's gate."""
    app = ClientApp(lambda context: client.to_client())
    content = train_content(number, aggregate, **config)
    with in_process(1, 0):
        message = Message(RecordDict(content), client.context.node_id, "train")
        set_message_id(message, "message-1")
        reply = ReplyGate(message, client.context).let_out(app(message, client.context))
    metrics = dict(reply.content["fitres.metrics"])
    if "failure" in metrics:
        return Failure.from_json(metrics["failure"]), metrics
    return decode(from_record(reply.content["fitres.parameters"])), metrics


def train_content(number, aggregate=None, **config):
    """Return what a message that asks for a round holds."""
    return {
        "fitins.parameters": to_record(encode(aggregate)),
        "fitins.config": ConfigRecord(_config(number, {"analyzers": EVERYONE, **config})),
    }


def ask(grid, kind, content, node=1):
    """Send one message to a node and return its reply."""
    [reply] = grid.send_and_receive([Message(RecordDict(content), node, kind)])
    return reply


def train(grid, number, aggregate=None, node=1, **config):
    """Run a round over messages; return the value, or the failure."""
    reply = ask(grid, "train", train_content(number, aggregate, **config), node)
    metrics = reply.content["fitres.metrics"]
    if "failure" in metrics:
        return Failure.from_json(metrics["failure"])
    return decode(from_record(reply.content["fitres.parameters"]))


def call(app, context, content, kind=HELLO):
    """Give an app a message in this process, and return its reply."""
    with in_process(1, 0):
        message = Message(RecordDict(content), context.node_id, kind)
        set_message_id(message, "message-1")
        return app(message, context)


def _config(number, first):
    """A node is told all ids in its first round only."""
    if number > 1:
        first = {key: value for key, value in first.items() if key != "analyzers"}
    return {"round": number, **first}
