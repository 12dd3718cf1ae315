"""What leaves a node that failed: on a deployment neither text nor data, and never an exit."""

import signal
import sys

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from node_messages import EVERYONE, ask, train, train_content

from flame_flwr.clients import StarClient, checked_client
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.clients.reply_records import round_records
from flame_flwr.failure.failure import Failure
from flame_flwr.flower import answer_of, in_process, set_message_id
from flame_flwr.payload import encode, to_record

from .leaking_plans import SECRET, failure_in, plan


def wire(record):
    """Return all the bytes that a record becomes on Flower's wire."""
    top = record.deflate()
    return top + b"".join(wire(child) for child in (record.children or {}).values())


def raise_text(self, data, result):
    raise ValueError(f"could not convert {SECRET}")


def raise_key(self, data, result):
    return {}[SECRET]


def raise_with_note(self, data, result):
    error = ValueError("x")
    error.add_note(SECRET)
    raise error from RuntimeError(SECRET)


def raise_group(self, data, result):
    raise ExceptionGroup(SECRET, [ValueError(SECRET)])


def exit_with_text(self, data, result):
    sys.exit(SECRET)


def return_unsendable(self, data, result):
    return {SECRET: {"inner": object()}}


def keep_unpicklable(self, data, result):
    self.keeps = (letter for letter in SECRET)
    return 1


def call_unavailable(self, data, result):
    return self.flame.get_data_client(SECRET)


LEAKS = [raise_text, raise_key, raise_with_note, raise_group, exit_with_text]


LEAKS += [return_unsendable, keep_unpicklable, call_unavailable]


def failing_reply(method):
    with LocalGrid(plan(method, data_type="s3"), [[{SECRET: SECRET.encode()}]]) as grid:
        return ask(grid, "train", train_content(1))


@pytest.mark.parametrize("method", LEAKS, ids=lambda method: method.__name__)
def test_a_deployments_failures_carry_neither_text_nor_data(method, deployed):
    reply = failing_reply(method)
    assert not [word for word in (b"Maria", b"Muster", b"1961") if word in wire(reply.content)]
    assert failure_in(reply).type
    assert failure_in(reply).traceback == ""


def test_a_deployments_failures_carry_type_and_place(deployed, caplog):
    failure = failure_in(failing_reply(raise_text))
    line = raise_text.__code__.co_firstlineno + 1
    assert failure == Failure("ValueError", f"test_checked_client.py:{line} in raise_text")
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "failed in round 1" in record.getMessage()
    assert SECRET in caplog.text  # the node's own log has it all


@pytest.mark.parametrize("method", LEAKS[:3], ids=lambda method: method.__name__)
def test_failures_in_process_carry_text_and_traceback(method):
    failure = failure_in(failing_reply(method))
    assert "Maria Muster" in failure.traceback
    assert "Traceback (most recent call last)" in failure.traceback


@pytest.mark.parametrize(
    ("where", "share", "shared"),
    [
        ("deployment", None, False),
        ("deployment", True, True),
        ("deployment", False, False),
        ("deployment", "true", False),
        ("simulation", None, True),
        ("simulation", False, False),
        ("process", False, False),
    ],
)
def test_the_node_decides_whether_errors_travel(context, runs_in, where, share, shared):
    runs_in(where)
    config = {} if share is None else {"share-tracebacks": share}
    client = StarClient(plan(raise_text), context(config)).to_client()
    message = checked_client.FitIns(
        checked_client.Parameters([], "numpy.ndarray"), {"round": 1, "analyzers": EVERYONE}
    )
    assert (b"Maria" in client.fit(message).metrics["failure"]) is shared


def test_evaluation_and_hello_keep_their_errors(deployed, tmp_path, context):
    scores = plan(lambda self, data, result: 1, raise_text)
    with LocalGrid(scores, [None]) as grid:
        assert train(grid, 1) == 1
        content = {
            "evaluateins.parameters": to_record(encode(None)),
            "evaluateins.config": ConfigRecord({"round": 1}),
        }
        reply = ask(grid, "evaluate", content)
    assert b"Maria" not in wire(reply.content)
    assert b"failure" in wire(reply.content)

    node = context({"data": f"{tmp_path}/Maria Muster"})
    client = StarClient(plan(raise_text, data_type="s3"), node).to_client()
    said = client.get_properties(checked_client.GetPropertiesIns({})).properties
    assert b"Maria" not in said["failure"]
    assert b"the data folder does not exist" in said["failure"]


def test_a_subclasss_own_error_is_kept_too(deployed):
    class Broken(StarClient):
        def fit(self, parameters, config):
            super().fit(parameters, config)
            raise OSError(SECRET)

    with LocalGrid(plan(lambda self, data, result: 1), [None], Broken) as grid:
        failure = train(grid, 1)
    assert (failure.type, failure.text) == ("OSError", "")


@pytest.mark.parametrize("path", ["Maria Muster.json", "/nowhere/Maria Muster.json"])
def test_a_relative_path_is_explained(deployed, path):
    with LocalGrid(plan(lambda self, data, result: open(path)), [None]) as grid:
        failure = train(grid, 1)
    assert failure.type == "FileNotFoundError"
    assert "Maria" not in str(failure)
    assert ("it opens a relative path, and under Flower" in failure.text) is (path[0] != "/")


@pytest.mark.parametrize("code", [0, None, "bye", 3])
def test_sys_exit_does_not_end_the_node(code):
    def exits(self, data, result):
        sys.exit(code)

    with LocalGrid(plan(exits), [None]) as grid:
        failure = train(grid, 1)
        assert failure.type == "SystemExit"
        assert "in exits" in failure.place
        assert "user code called sys.exit; return a value or raise an error" in failure.text
        assert train(grid, 1).type == "SystemExit"


def test_ctrl_c_is_no_failure():
    def interrupted(self, data, result):
        raise KeyboardInterrupt

    with LocalGrid(plan(interrupted), [None]) as grid, pytest.raises(KeyboardInterrupt):
        train(grid, 1)


@pytest.mark.parametrize("where", ["deployment", "simulation"])
def test_a_raised_interrupt_is_a_nodes_failure(runs_in, where):
    def interrupted(self, data, result):
        raise KeyboardInterrupt

    runs_in(where)
    with LocalGrid(plan(interrupted), [None]) as grid:
        failure = train(grid, 1)
    assert failure.type == "KeyboardInterrupt"
    assert failure.place.endswith(" in interrupted")


@pytest.mark.parametrize("where", ["deployment", "simulation"])
def test_a_signal_ends_the_nodes_process(runs_in, where):
    def interrupted(self, data, result):
        signal.raise_signal(signal.SIGINT)

    runs_in(where)
    with LocalGrid(plan(interrupted), [None]) as grid, pytest.raises(KeyboardInterrupt):
        train(grid, 1)


@pytest.mark.parametrize("value", [{"a": 3}, np.arange(9000.0), None])
def test_rounds_are_answered_as_flower_would(value, context):
    def method(self, data, aggregator_results):
        return value if value is not None else 1 / 0

    asked = RecordDict(train_content(1))
    with in_process(1, 0):
        message = Message(asked, 1, "train")
        set_message_id(message, "message-1")
        client = StarClient(plan(method), context()).to_client()
        theirs = answer_of(client, message, client.client.context)
        ours = round_records(StarClient(plan(method), context()).to_client().train(asked))
    for each in (ours, theirs.content):
        each["fitres.metrics"].pop("seconds", None)
    assert list(ours) == list(theirs.content)
    assert RecordDict(ours) == theirs.content
