"""A node that sends anything at all: its own failure, or a value, within time and memory.

The server's side is the real one, from the ServerApp to the files of the run; the nodes are in this
process, and what the second of three answers is changed on its way.
"""

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from flame_flwr.errors import NodeFailedError
from flame_flwr.flower import message_like

from .forged_estimators import FORGERIES
from .harness import ROUNDS, brief, check_rounds, fuzz, reduced, some_or_many, star
from .mutations import RECORDS, answers, nested


def hostile_run(run, data, make, kinds):
    def change(kind, reply):
        return data.draw(answers(reply)) if kind in kinds else reply

    count = run(make, change)
    check_rounds(run)
    return count


AFTER_HELLO = ("train", "evaluate")


# At least 2,000 changed answers, in `make test-all` 200,000: each run has a hello, 18 rounds and an
# evaluation.


@some_or_many(68, 6000)
def test_answers_cost_their_sender_only(run, examples):
    def check(data):
        assert hostile_run(run, data, star, AFTER_HELLO) == ROUNDS + 2

    fuzz(examples, check)


@some_or_many(30, 4000)
def test_declared_reductions_leave_bad_answers_out(run, examples):
    fuzz(examples, lambda data: hostile_run(run, data, reduced, AFTER_HELLO))


@some_or_many(50, 10_000)
def test_a_hello_of_any_form_ends_no_run(run, examples):
    fuzz(examples, lambda data: hostile_run(run, data, brief, ("get_properties",)))


def test_forged_estimators_cost_their_sender_only(run):
    """One after the other, of which the first is such as a fit gives."""
    sent = iter(RECORDS[-len(FORGERIES) :])

    def change(kind, reply):
        if kind != "train" or not (record := next(sent, None)):
            return reply
        return message_like(reply, RecordDict({**reply.content, "fitres.parameters": record}))

    run(star, change)
    check_rounds(run)
    failed = [len(entry["failed"]) for entry in run.about["history"]]
    assert failed == [0] + [1] * (len(FORGERIES) - 1) + [0] * (ROUNDS - len(FORGERIES))


ABORTED = {
    "no record": lambda reply: RecordDict({}),
    "no arrays": lambda reply: RecordDict({"fitres.metrics": reply.content["fitres.metrics"]}),
    "a report": lambda reply: with_said(reply, filters=nested(800, True)),
    "much text": lambda reply: with_said(reply, failure=b"x" * 2**21),
    "more than may be": lambda reply: with_said(reply, text="x" * 5 * 2**20),
    "too many bytes": lambda reply: RecordDict({"a": ArrayRecord([np.zeros(2**18)])}),
    "a range": lambda reply: RecordDict(
        {**reply.content, "fitres.parameters": ArrayRecord([np.zeros(3, np.uint8)])}
    ),
}


def with_said(reply, **more):
    said = ConfigRecord({**reply.content["fitres.metrics"], **more})
    return RecordDict({**reply.content, "fitres.metrics": said})


@pytest.mark.parametrize("name", ABORTED)
def test_abort_ends_the_run_with_the_senders_name(run, name):
    def change(kind, reply):
        return message_like(reply, ABORTED[name](reply)) if kind == "train" else reply

    with pytest.raises(NodeFailedError, match=r"node node-1 failed in round 1: .{10,}"):
        run(star, change, **{"on-failure": "abort", "max-answer-mb": 1.0})
    about = run.about
    assert about["status"] == "failed"
    assert [failure["node"] for failure in about["failures"]] == ["node-1"]
    assert run.size < 30_000
